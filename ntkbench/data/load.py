"""Finding a named data set on disk."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import platformdirs

from ntkbench.data import bundled
from ntkbench.data.catalog import Entry, entry
from ntkbench.data.dataset import Dataset, Split
from ntkbench.data.layouts import LAYOUTS, Layout
from ntkbench.errors import DataError


def cache() -> Path:
    """Where data sets are put when nothing else is said."""
    return platformdirs.user_cache_path("ntkbench") / "data"


def search_roots(data_dir: Path | None) -> tuple[Path, ...]:
    """The folders to search: the user's, the cache of fetched sets, Keras' own cache."""
    own = () if data_dir is None else (data_dir.expanduser().absolute(),)
    return (*own, cache(), Path.home() / ".keras" / "datasets")


def load(name: str, roots: Sequence[Path]) -> Dataset:
    """The whole data set, from the first root that has it; DataError if none has, or if it is damaged."""
    known = entry(name)
    return find(known, LAYOUTS[name], [bundled.FILE.parent] if known.bundled else roots)


def find(known: Entry, layouts: Sequence[Layout], roots: Sequence[Path]) -> Dataset:
    """The data set in the first place where one of the layouts is whole."""
    places = [(layout, place) for root in roots for layout in layouts for place in layout.places(root)]
    for layout, place in places:
        if not layout.missing(place):
            return verified(Dataset(*layout.read(place), known.classes), known, place)
    looked = "\n".join(_absence(layout, roots) for layout in layouts)
    raise DataError(
        f"data set {known.name} is not on this machine. Looked for\n{looked}\n"
        f"Fetch it with `ntkbench data fetch {known.name}`, "
        "or name the folder that has it with --data-dir or NTKBENCH_DATA."
    )


def _absence(layout: Layout, roots: Sequence[Path]) -> str:
    lines = ["  " + ", ".join(file.name for file in layout.files)]
    for place in (place for root in roots for place in layout.places(root)):
        missing = f"without {', '.join(layout.missing(place))}" if place.is_dir() else "no such folder"
        lines.append(f"    in {place}: {missing}")
    return "\n".join(lines)


def verified(found: Dataset, known: Entry, where: object) -> Dataset:
    """The data set, if its shapes, its classes and their counts are those that are known; else a DataError."""
    _verify(found.train, known.shape, known.train_counts, where)
    _verify(found.test, known.shape, known.test_counts, where)
    if found.classes != known.classes:
        raise DataError(f"{where} has the classes {found.classes}, not {known.classes}")
    return found


def _verify(split: Split, shape: tuple[int, ...], counts: tuple[int, ...], where: object) -> None:
    found = tuple(np.bincount(split.labels, minlength=len(counts)).tolist())
    if split.images.shape[1:] != shape or found != counts:
        raise DataError(
            f"{where} holds images {split.images.shape[1:]} in classes of {found}, "
            f"not {shape} in classes of {counts}; replace it with an intact copy"
        )
