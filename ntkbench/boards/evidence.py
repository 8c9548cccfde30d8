"""Find the outcomes that back a number of an entry's cell: its own, or those of another number that imply it.

The digits of a normalized transfer, for example, also give the transfer rates of its three attacks and the accuracy of
its target. `submit` and `recompute` ask which outcomes an entry has to hold; comparisons take their numbers from
`judged`.
"""

from collections.abc import Sequence

from ntkbench.boards.entry import CellNumbers, Numbers
from ntkbench.boards.outcomes import Code, SeedValues, code, counts_correct_only, implied, judge
from ntkbench.spec.cell import Cell

_SOURCES = frozenset({"source"})
"""keys of `where` that a number may have in addition to those of the number that implies it"""


def stored(results: Sequence[CellNumbers], cell: Cell) -> list[bool]:
    """Return whether the entry has to hold outcomes, for each number of a cell.

    It has to where digits can carry the number and no other number's digits imply it.
    """
    needed = [False] * len(results)
    told: list[CellNumbers] = []
    for place in sorted(range(len(results)), key=lambda place: _fineness(results[place])):
        result = results[place]
        if code(result.metric, result.where, cell) is None or not any(run.n for run in result.runs):
            continue
        if not any(implied_code(one, result, cell) for one in told):
            needed[place] = True
            told.append(result)
    return needed


def _fineness(result: Numbers) -> int:
    """Return a sort key that puts first the numbers whose digits imply the most others."""
    return 0 if result.metric == "normalized_transfer" else 1 if counts_correct_only(result.metric, result.where) else 2


def implied_code(one: CellNumbers, other: CellNumbers, cell: Cell) -> Code | None:
    """Return the code by which the digits of `one` give the number `other`; None if they do not."""
    if (one.metric, one.where) == (other.metric, other.where):
        return code(one.metric, one.where, cell)
    for metric, where, found in implied(one.metric, one.where, one.analysis, cell):
        known = where.items() <= other.where.items() and other.where.keys() - where.keys() <= _SOURCES
        if metric == other.metric and known:
            return found
    return None


def judged(results: Sequence[CellNumbers], place: int, cell: Cell, points: str) -> SeedValues | None:
    """Compute the number at position `place` of a cell's results from the outcomes that back it.

    `points`: digest of the test points. Return None if no outcomes back the number.
    """
    for one in results:
        if one.outcomes is not None and (how := implied_code(one, results[place], cell)) is not None:
            return judge(one.outcomes, how, points)
    return None
