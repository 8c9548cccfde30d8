"""Which outcomes back which numbers of a cell: those of the number itself, or those of another that tell it, too."""

from collections.abc import Sequence

from ntkbench.bench.entry import CellNumbers, Numbers
from ntkbench.bench.outcomes import Code, Judged, code, implied, judge, of_correct
from ntkbench.bench.spec import Cell

_SOURCES = frozenset({"source"})
"""what a number may be about beside what the outcomes of another say of it"""


def stored(results: Sequence[CellNumbers], cell: Cell) -> list[bool]:
    """Return which numbers of a cell need outcomes of their own: those that digits carry and no other's digits tell."""
    needed = [False] * len(results)
    told: list[CellNumbers] = []
    for place in sorted(range(len(results)), key=lambda place: _fineness(results[place])):
        result = results[place]
        if code(result.metric, result.where, cell) is None or not any(run.n for run in result.runs):
            continue
        if not any(told_by(one, result, cell) for one in told):
            needed[place] = True
            told.append(result)
    return needed


def _fineness(result: Numbers) -> int:
    """Order numbers so that those whose digits tell of others come first."""
    return 0 if result.metric == "normalized_transfer" else 1 if of_correct(result.metric, result.where) else 2


def told_by(one: CellNumbers, other: CellNumbers, cell: Cell) -> Code | None:
    """Return how the digits of one number give another, None where they do not."""
    if (one.metric, one.where) == (other.metric, other.where):
        return code(one.metric, one.where, cell)
    for metric, where, found in implied(one.metric, one.where, one.analysis, cell):
        known = where.items() <= other.where.items() and other.where.keys() - where.keys() <= _SOURCES
        if metric == other.metric and known:
            return found
    return None


def judged(results: Sequence[CellNumbers], place: int, cell: Cell, points: str) -> Judged | None:
    """Compute a number of a cell from the outcomes that back it; None where it has none."""
    for one in results:
        if one.outcomes is not None and (how := told_by(one, results[place], cell)) is not None:
            return judge(one.outcomes, how, points)
    return None
