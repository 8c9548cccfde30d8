"""Find a named data set on this machine and read it: in folders of the names that it usually has, or in any others.

CIFAR-10, for example, is returned as a `Dataset` by

    load("cifar10", search_roots(None))
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import platformdirs

from ntkbench.data import bundled
from ntkbench.data.catalog import DatasetInfo, entry
from ntkbench.data.dataset import Dataset, Split
from ntkbench.data.layouts import ARCHIVES, LAYOUTS, FileLayout
from ntkbench.errors import DataError


def caches() -> tuple[Path, ...]:
    """Return the folders in which fetched data sets may be; the last is where they are put by default.

    This is the user's cache, or the temporary folder where the user has no home that can be written.
    """
    own = _user_cache()
    if own is not None and _is_writable(own):
        return (own / "data",)
    temporary = Path(tempfile.gettempdir()) / f"ntkbench-{os.getuid()}" / "data"
    return (temporary,) if own is None else (own / "data", temporary)


def _user_cache() -> Path | None:
    """Return the user's cache of ntkbench; None if the system knows no home, in whichever way platformdirs says so."""
    try:
        own = platformdirs.user_cache_path("ntkbench")
    except RuntimeError:
        return None
    return own if own.is_absolute() else None


def cache() -> Path:
    """Return the folder in which fetched data sets are put by default."""
    return caches()[-1]


def _is_writable(place: Path) -> bool:
    """Return whether a folder, or the nearest existing one above it, can be written."""
    there = next(folder for folder in (place, *place.parents) if os.path.isdir(folder))
    return os.access(there, os.W_OK | os.X_OK)


def _keras() -> tuple[Path, ...]:
    """Return the folder in which Keras keeps data sets, if the home that it would be in is known."""
    home = os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")
    return (Path(home).absolute() / "datasets",) if not home.startswith("~") else ()


def search_roots(data_dir: Path | None) -> tuple[Path, ...]:
    """Return the folders to search, in order: `data_dir`, the caches of fetched data sets, the cache of Keras."""
    own = () if data_dir is None else (Path(os.path.expanduser(data_dir)).absolute(),)
    return (*own, *caches(), *_keras())


def load(name: str, roots: Sequence[Path]) -> Dataset:
    """Return a whole data set, from the first root that has it; a bundled one from the package.

    UsageError for an unknown name; DataError if no root has it, or if it is damaged.
    """
    known = entry(name)
    return find(known, LAYOUTS[name], [bundled.FILE.parent] if known.bundled else roots)


def is_there(name: str, roots: Sequence[Path]) -> bool:
    """Return whether a data set would be found.

    In folders of its name the names of the files decide, in other folders also the checksum of the smallest file.
    """
    return entry(name).bundled or _place(LAYOUTS[name], roots) is not None


def find(known: DatasetInfo, layouts: Sequence[FileLayout], roots: Sequence[Path]) -> Dataset:
    """Return the data set from the first place where one of its layouts is complete.

    DataError if there is none, or if the files are damaged or not as the catalog says.
    """
    if found := _place(layouts, roots):
        layout, place = found
        return verified(Dataset(*layout.read(place), known.classes), known, place)
    looked = "\n".join(_absence(layout, roots) for layout in layouts)
    raise DataError(
        f"data set {known.name} is not on this machine. Looked for\n{looked}\n"
        + "".join(_packed(known.name, roots))
        + f"Fetch it with `ntkbench data fetch {known.name}`, "
        "or name the folder that has it with --data-dir or NTKBENCH_DATA."
    )


def _place(layouts: Sequence[FileLayout], roots: Sequence[Path]) -> tuple[FileLayout, Path] | None:
    """Return a layout and the folder that has all its files; None if there is none.

    Folders of the right name come first, then folders of any name that hold the files, those nearest to a root first.
    """
    places = [(layout, place) for root in roots for layout in layouts for place in layout.places(root)]
    named = (found for found in places if not found[0].missing(found[1]))
    others = ((layout, folder) for root in roots for folder in _folders(root) for layout in layouts)
    return next(named, None) or next((found for found in others if found[0].lies_in(found[1])), None)


_DEPTH = 3
"""how many folders below a root are looked into: `data/vision/MNIST/raw` is found in `data`"""
_MOST = 10_000
"""most files and folders that are looked at below a root: it may hold other data sets of many files"""


def _folders(root: Path) -> Iterator[Path]:
    """Yield a root and the folders below it, level by level; hidden ones, and what cannot be read, are left out."""
    level, left = [root], _MOST
    for _ in range(_DEPTH + 1):
        yield from level
        below = list[Path]()
        for folder in level:
            inside = list(islice(_entries(folder), left))
            left -= len(inside)
            below += sorted(Path(each.path) for each in inside if not each.name.startswith(".") and each.is_dir())
        level = below


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield what is in a folder; nothing if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError:
        return


def _packed(name: str, roots: Sequence[Path]) -> Iterator[str]:
    """Yield a line of advice for each archive that was found where unpacked files are needed."""
    for folder in (folder for root in roots if name == "cifar10" for folder in _folders(root)):
        for path in (folder / archive for archive in ARCHIVES if os.path.isfile(folder / archive)):
            yield f"{path} is there, but packed: `tar -xf {path.name}` in its folder makes it usable.\n"


def _absence(layout: FileLayout, roots: Sequence[Path]) -> str:
    """Return the lines of a message that say what a layout needs, and what each place lacks.

    Places are those where the layout belongs, and other folders that have some of its files.
    """
    lines = ["  " + ", ".join(file.name for file in layout.files)]
    places = [place for root in roots for place in layout.places(root)]
    others = (folder for root in roots for folder in _folders(root) if folder not in places)
    partly = [folder for folder in others if len(layout.missing(folder)) < len(layout.files)]
    return "\n".join([*lines, *(f"    in {place}: {_found(layout, place)}" for place in (*places, *partly))])


def _found(layout: FileLayout, place: Path) -> str:
    """Return what is wrong with a place where a layout was looked for."""
    try:
        os.stat(place)
    except PermissionError:
        return "it cannot be read"
    except OSError:
        return "no such folder"
    if not os.path.isdir(place):
        return "no folder"
    absent = ", ".join(layout.missing(place))
    return f"without {absent}" if absent else "files of these names, but of another data set, or damaged"


def verified(found: Dataset, known: DatasetInfo, where: object) -> Dataset:
    """Return the data set if its shapes, classes and their counts are as the catalog says; else raise a DataError.

    `where` names the data set in messages.
    """
    _verify(found.train, known.shape, known.train_counts, where)
    _verify(found.test, known.shape, known.test_counts, where)
    if found.classes != known.classes:
        raise DataError(f"{where} has the classes {found.classes}, not {known.classes}")
    return found


def _verify(split: Split, shape: tuple[int, ...], counts: tuple[int, ...], where: object) -> None:
    """Raise a DataError if a split has images of another shape, or other numbers of each class."""
    found = tuple(np.bincount(split.labels, minlength=len(counts)).tolist())
    if split.images.shape[1:] != shape or found != counts:
        raise DataError(
            f"{where} holds images {split.images.shape[1:]} in classes of {found}, "
            f"not {shape} in classes of {counts}; replace it with an intact copy"
        )
