"""Check what a user's files hold, and make the splits of a data set of it.

`arrays`, `folders` and `tables` each have a class with the methods of `Source`: `describe` is for planning and reads no
more than it has to, `load` is for running.

    arrays.Arrays(Path("lab.npz")).describe().n_train
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path, PurePath
from typing import Protocol

import numpy as np

from ntkbench.data.catalog import DatasetInfo
from ntkbench.data.dataset import Dataset, Split
from ntkbench.errors import DataError
from ntkbench.files import open_regular
from ntkbench.text import CONTROL, nearest, one_line

MOST_CLASSES = 1000
"""most classes of a data set"""


class UserFileError(DataError):
    """An error of a user's file; `field` is that field of the spec's data set which is to be changed."""

    def __init__(self, message: str, field: str = "path"):
        self.field = field
        super().__init__(message)


class Source(Protocol):
    """The files of one data set, before they are read."""

    @property
    def files(self) -> Sequence[tuple[Path, PurePath]]:
        """The files whose content is the data set, each with the name under which it is part of it."""
        ...

    def describe(self) -> DatasetInfo:
        """Return classes, shape and counts. Raise UserFileError if something is wrong with the files."""
        ...

    def load(self) -> Dataset:
        """Return all examples. Raise UserFileError if something is wrong with the files."""
        ...


@contextmanager
def opened(path: Path, field: str = "path") -> Iterator[BufferedReader]:
    """Yield a file opened for reading in binary; UserFileError if there is none, or it cannot be read."""
    try:
        with open_regular(path) as file:
            yield file
    except FileNotFoundError:
        raise UserFileError(not_there(path), field) from None
    except OSError as error:
        raise UserFileError(f"{path} cannot be read: {error.strerror}", field) from None


def not_there(path: Path) -> str:
    """Return a message about a path that does not exist, with the name that was probably meant."""
    folder = path.parent
    near = nearest(path.name, (each.name for each in folder.iterdir())) if folder.is_dir() else None
    return f"{path} is not there; " + (
        f"did you mean {one_line(near)}?" if near else "paths are relative to the file that names them"
    )


def described(path: Path, classes: Sequence[str], shape: Sequence[int], *labels: np.ndarray) -> DatasetInfo:
    """Return what the catalog says of a data set, of a user's: its `path`, and the labels of both splits."""
    train, test = (tuple(np.bincount(each, minlength=len(classes)).tolist()) for each in labels)
    rows, columns, channels = shape
    return DatasetInfo(path.name, "", tuple(classes), (rows, columns, channels), train, test, "")


def named_classes(names: Sequence[str] | None, train: np.ndarray, test: np.ndarray) -> tuple[str, ...]:
    """Return the names of the classes: `names`, or the numbers of the labels where it is None.

    Raise UserFileError if there are fewer than two or too many, if a name is repeated, a label has no class, or a class
    has no training or no test examples.
    """
    labels = {"training": train, "test": test}
    for what, each in labels.items():
        if not len(each):
            raise UserFileError(f"there are no {what} examples")
        low, high = int(each.min()), int(each.max())
        if low < 0 or (names is not None and high >= len(names)):
            wrong, last = (low if low < 0 else high), ("" if names is None else f" to {len(names) - 1}")
            raise UserFileError(f"the label {wrong} of a {what} example is no class: labels are 0{last or ', 1, ...'}")
    count = len(names) if names is not None else 1 + max(int(each.max()) for each in labels.values())
    if not 2 <= count <= MOST_CLASSES:
        raise UserFileError(f"{count} classes; there have to be 2 to {MOST_CLASSES}")
    found = tuple(map(str, range(count))) if names is None else tuple(names)
    for place, name in enumerate(found):
        if not name.strip() or CONTROL.search(name) or name in found[:place]:
            why = "is there twice" if name in found[:place] else "is no text that can be shown"
            raise UserFileError(f"the class name {one_line(name)!r} {why}")
    for what, each in labels.items():
        absent = np.flatnonzero(np.bincount(each, minlength=count) == 0)
        if len(absent):
            raise UserFileError(f"class {one_line(found[absent[0]])} has no {what} examples")
    return found


def require_box(name: str, images: np.ndarray) -> None:
    """Raise UserFileError with the first of the images (n, ...) that is not in [0, 1]; bytes always are."""
    if images.dtype == np.uint8:
        return
    outside = ~((images >= 0) & (images <= 1))
    if outside.any():
        first = int(np.flatnonzero(outside.reshape(len(images), -1).any(axis=1))[0])
        value = float(images[first][outside[first]].flat[0])
        helps = "; divide by the largest value that a pixel can have, or save bytes (uint8, 0 to 255)"
        raise UserFileError(
            f"{name}: image {first} holds {value:g}, and floats have to lie in [0, 1]{helps if value == value else ''}"
        )


def split(images: np.ndarray, labels: np.ndarray) -> Split:
    """Return a split of images (n, h, w, c) and integer labels (n,), numbered as they come."""
    native = images.astype(images.dtype.newbyteorder("="), copy=False)
    return Split(native, labels.astype(np.int64), np.arange(len(labels)))
