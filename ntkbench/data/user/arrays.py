"""Data sets in an npz file: the arrays x_train, y_train, x_test, y_test and, where classes have names, class_names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from ntkbench.data import npz
from ntkbench.data.catalog import DatasetInfo
from ntkbench.data.dataset import Dataset
from ntkbench.data.user.examples import UserFileError, described, named_classes, opened, require_box, split
from ntkbench.files import LIMIT

_SPLITS = ("train", "test")
_NEEDED = tuple(f"{letter}_{split}" for split in _SPLITS for letter in "xy")
_NAMES = "class_names"
Headers = Mapping[str, npz.ArrayHeader]


@dataclass(frozen=True)
class Arrays:
    """An npz file with the arrays of a data set.

    Images are bytes or floats in [0, 1], (n, h, w, c), (n, h, w) or, for vectors, (n, d); labels are whole numbers,
    (n,) or (n, 1).
    """

    path: Path
    limit: int = LIMIT
    """most bytes that the arrays may take together"""

    @property
    def files(self) -> Sequence[tuple[Path, PurePath]]:
        """The one file."""
        return ((self.path, PurePath()),)

    def describe(self) -> DatasetInfo:
        """Return classes, shape and counts; images are read only if they are floats, which have to lie in [0, 1]."""
        headers, arrays = self._read(images=False)
        classes, labels = self._labels(arrays)
        return described(self.path, classes, image_shape(headers["x_train"].shape), *labels)

    def load(self) -> Dataset:
        """Return all examples."""
        headers, arrays = self._read(images=True)
        classes, labels = self._labels(arrays)
        shape = image_shape(headers["x_train"].shape)
        train, test = (
            split(arrays[f"x_{name}"].reshape(-1, *shape), each) for name, each in zip(_SPLITS, labels, strict=True)
        )
        return Dataset(train, test, classes)

    def _read(self, images: bool) -> tuple[Headers, Mapping[str, np.ndarray]]:
        """Return the headers and the arrays, checked; images of bytes only if `images`."""
        with opened(self.path) as file:
            try:
                headers = npz.headers(file, (*_NEEDED, _NAMES))
                _check(headers)
                wanted = [
                    name
                    for name, header in headers.items()
                    if images or not name.startswith("x_") or header.dtype.kind == "f"
                ]
                arrays = npz.read(file, self.limit, wanted)
            except (npz.Damaged, UserFileError) as error:
                raise UserFileError(f"{self.path.name}: {error}") from None
        for name in (name for name in _NEEDED[::2] if name in arrays):
            require_box(f"{self.path.name}: {name}", arrays[name])
        return headers, arrays

    def _labels(self, arrays: Mapping[str, np.ndarray]) -> tuple[tuple[str, ...], list[np.ndarray]]:
        """Return the names of the classes, and the labels of both splits."""
        labels = [arrays[f"y_{name}"].reshape(-1).astype(np.int64) for name in _SPLITS]
        try:
            names = arrays[_NAMES].tolist() if _NAMES in arrays else None
            return named_classes(names, *labels), labels
        except (UserFileError, ValueError) as error:  # ValueError: numbers that are no characters
            raise UserFileError(f"{self.path.name}: {error}") from None


def image_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """Return rows, columns and channels of images in an array of this shape; a vector has features as channels."""
    _, *one = shape
    rows, columns, channels = (1, 1, *one) if len(one) == 1 else (*one, 1)[:3]
    return rows, columns, channels


def check_images(name: str, header: npz.ArrayHeader) -> None:
    """Raise UserFileError if an array is no images by its type and shape."""
    if header.dtype != np.uint8 and (header.dtype.kind != "f" or header.dtype.itemsize > 8):
        raise UserFileError(
            f"{name} holds {header.dtype}; images are bytes (uint8, 0 to 255) or floats in [0, 1], such as float32"
        )
    if len(header.shape) not in (2, 3, 4) or 0 in header.shape:
        raise UserFileError(f"{name} has the shape {header.shape}; it has to be (n, h, w, c), (n, h, w) or (n, d)")


def _check(headers: Headers) -> None:
    """Raise UserFileError if arrays are missing, or do not fit together by their types and shapes."""
    if absent := [name for name in _NEEDED if name not in headers]:
        raise UserFileError(f"there is no array {', '.join(absent)}; the arrays are {', '.join(_NEEDED)}")
    for name in _SPLITS:
        images, labels = headers[f"x_{name}"], headers[f"y_{name}"]
        check_images(f"x_{name}", images)
        if labels.dtype.kind not in "iu" or labels.shape[1:] not in ((), (1,)) or not labels.shape:
            raise UserFileError(f"y_{name} holds {labels.dtype} {labels.shape}; labels are whole numbers, (n,)")
        if images.shape[0] != labels.shape[0]:
            raise UserFileError(f"x_{name} has {images.shape[0]} images, and y_{name} has {labels.shape[0]} labels")
    if (one := headers["x_train"].shape[1:]) != (other := headers["x_test"].shape[1:]):
        raise UserFileError(f"training images are {one} and test images {other}; both need the same shape")
    if (names := headers.get(_NAMES)) and (names.dtype.kind != "U" or len(names.shape) != 1):
        raise UserFileError(f"class_names holds {names.dtype} {names.shape}; it is a list of texts")
