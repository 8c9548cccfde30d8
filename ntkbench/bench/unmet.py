"""Checks that did not hold: what a number rests on and had not, such as gradients that are not zero."""

from collections import Counter
from collections.abc import Callable, Iterable

from ntkbench.bench.record import CheckRow, Record

MARK = "†"
_DESCRIBES = frozenset({"eigenvalues_apart"})
"""checks of single eigen-features, which near neighbors make arbitrary; sums of features are none the worse"""


def _failed(record: Record) -> list[CheckRow]:
    """Return the checks that numbers rest on and that do not hold."""
    return [check for check in record.checks if not check.ok and check.code not in _DESCRIBES]


def codes(record: Record) -> Callable[[str], tuple[str, ...]]:
    """By analysis, the codes of its failed checks; those of no analysis count for each."""
    failed = [(check.analysis, check.code) for check in _failed(record)]
    return lambda analysis: tuple(dict.fromkeys(code for of, code in failed if of in (None, analysis)))


def count(record: Record) -> int:
    """Return how many checks of a record failed."""
    return len(_failed(record))


def told(records: Iterable[Record]) -> str:
    """A line of the runs whose numbers may mean nothing; empty where there are none."""
    records = [each for each in records if each.status == "ok"]
    failed = Counter(code for each in records for code in {check.code for check in _failed(each)})
    if not failed:
        return ""
    named = ", ".join(code if n == len(records) else f"{code} in {n}" for code, n in failed.most_common())
    return line(sum(count(each) > 0 for each in records), len(records), named)


def line(failed: int, runs: int, named: str = "") -> str:
    """Said wherever numbers are told."""
    what = f" ({named})" if named else ""
    said = f"{failed} of {runs} runs failed checks{what}, and their numbers may mean nothing"
    return f"{said}; `ntkbench report` tells more"
