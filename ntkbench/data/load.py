"""Find a named data set on this machine and read it: in folders of the names that it usually has, or in any others.

CIFAR-10, for example, is returned as a `Dataset` by

    load("cifar10", search_roots(None))
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ntkbench.data.catalog import DatasetInfo, entry
from ntkbench.data.dataset import Dataset, Split
from ntkbench.data.layouts import LAYOUTS, FileLayout
from ntkbench.data.places import ARCHIVES, BUNDLED, folders, locate
from ntkbench.errors import DataError


def load(name: str, roots: Sequence[Path]) -> Dataset:
    """Return a whole data set, from the first root that has it; a bundled one from the package.

    UsageError for an unknown name; DataError if no root has it, or if it is damaged.
    """
    known = entry(name)
    return find(known, LAYOUTS[name], [BUNDLED.parent] if known.bundled else roots)


def find(known: DatasetInfo, layouts: Sequence[FileLayout], roots: Sequence[Path]) -> Dataset:
    """Return the data set from the first place where one of its layouts is complete.

    DataError if there is none, or if the files are damaged or not as the catalog says.
    """
    if found := locate(layouts, roots):
        layout, place = found
        return verified(Dataset(*layout.read(place), known.classes), known, place)
    looked = "\n".join(_absence(layout, roots) for layout in layouts)
    raise DataError(
        f"data set {known.name} is not on this machine. Looked for\n{looked}\n"
        + "".join(_packed(known.name, roots))
        + f"Fetch it with `ntkbench data fetch {known.name}`, "
        "or name the folder that has it with --data-dir or NTKBENCH_DATA."
    )


def _packed(name: str, roots: Sequence[Path]) -> Iterator[str]:
    """Yield a line of advice for each archive that was found where unpacked files are needed."""
    for folder in (folder for root in roots if name == "cifar10" for folder in folders(root)):
        for path in (folder / archive for archive in ARCHIVES if os.path.isfile(folder / archive)):
            yield f"{path} is there, but packed: `tar -xf {path.name}` in its folder makes it usable.\n"


def _absence(layout: FileLayout, roots: Sequence[Path]) -> str:
    """Return the lines of a message that say what a layout needs, and what each place lacks.

    Places are those where the layout belongs, and other folders that have some of its files.
    """
    lines = ["  " + ", ".join(file.name for file in layout.files)]
    places = [place for root in roots for place in layout.places(root)]
    others = (folder for root in roots for folder in folders(root) if folder not in places)
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
