"""Turn entries into the arrays that `ranks.py` takes: values, influences, and which seeds vary together."""

from collections.abc import Sequence

import numpy as np

from ntkbench.boards.entry import Entry
from ntkbench.boards.evidence import judged
from ntkbench.boards.ranking.pairs import Scores
from ntkbench.boards.tracks.track import Track
from ntkbench.spec.cell import Cell
from ntkbench.spec.identity import canonical, digest, normalized


def scores(entry: Entry, track: Track) -> Scores:
    """Return what a verified entry is ranked by: the mean over cells of each seed, and its influences and pairing."""
    cells = [Cell.model_validate(each.cell) for each in entry.cells]
    influence = _influence(entry, cells) if track.by_point else None
    return Scores(np.array(entry.values), pairing(track, cells, entry.seeds), influence, entry.points)


def _influence(entry: Entry, cells: Sequence[Cell]) -> np.ndarray | None:
    """Return the mean over cells of N times the change of each seed's value with each of N points, (seeds, N).

    It is None where some cell has no outcomes to compute it from.
    """
    found = [judged(each.results, 0, cell, entry.points or "") for each, cell in zip(entry.cells, cells, strict=True)]
    known = [each.influence for each in found if each is not None]
    return np.mean(known, axis=0) if len(known) == len(found) else None


def pairing(track: Track, cells: Sequence[Cell], seeds: Sequence[int]) -> tuple[str, ...]:
    """Return an id for each seed; two entries whose ids are equal vary together with it.

    With `seed_of: data` they share the training subset. Otherwise they share the initial networks, where architecture,
    width and precision of all cells are the same; cells without a network share what else the seed draws.
    """
    of = [_drawn(track, cell) for cell in cells]
    return tuple(digest("p", [of, seed]) for seed in seeds)


def _drawn(track: Track, cell: Cell) -> object:
    """Return everything, beside the seed, that determines what a seed draws; None where that is the seed alone."""
    if track.seed_of == "data":
        return canonical(normalized(cell).data)
    if not cell.has_network:
        return None
    return [canonical(cell.architecture), cell.width, cell.numerics.network]
