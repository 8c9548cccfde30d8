"""Report failed checks: properties that numbers rest on and that did not hold, such as gradients that are not zero."""

from collections import Counter
from collections.abc import Callable, Iterable

from ntkbench.store.record import CheckRow, Record
from ntkbench.vocabulary import checks

MARK = "†"
"""sign beside a number of a table whose runs failed checks"""
_DESCRIBES = frozenset({"eigenvalues_apart"})
"""checks of single eigenfeatures, which near-equal eigenvalues make arbitrary; sums of features do not suffer"""


def _failed(record: Record) -> list[CheckRow]:
    """Return the failed checks that numbers of the record rest on."""
    return [check for check in record.failed_checks if check.code not in _DESCRIBES]


def codes(record: Record) -> Callable[[str], tuple[str, ...]]:
    """Return a function that gives the codes of an analysis's failed checks; checks of no analysis count for each."""
    failed = by_analysis(record)
    return lambda analysis: of_analysis(failed, analysis)


def by_analysis(record: Record) -> tuple[tuple[str | None, str], ...]:
    """Return analysis and code of each failed check that numbers of the record rest on."""
    return tuple([(check.analysis, check.code) for check in _failed(record)])


def of_analysis(failed: Iterable[tuple[str | None, str]], analysis: str) -> tuple[str, ...]:
    """Return those codes of `by_analysis` that count for an analysis, each once."""
    return tuple(dict.fromkeys(code for of, code in failed if of in (None, analysis)))


def count(record: Record) -> int:
    """Return how many checks of a record failed."""
    return len(_failed(record))


def summary(records: Iterable[Record]) -> str:
    """Return a line that names the failed checks and counts the ok runs that have them; empty if there are none."""
    records = [each for each in records if each.status == "ok"]
    failed = Counter(code for each in records for code in {check.code for check in _failed(each)})
    if not failed:
        return ""
    named = ", ".join(code if n == len(records) else f"{code} in {n}" for code, n in failed.most_common())
    return line(sum(count(each) > 0 for each in records), len(records), named)


def meanings(records: Iterable[Record]) -> list[str]:
    """Return a line for each check that failed in an ok run, with its meaning; the most frequent first."""
    failed = Counter(check.code for each in records if each.status == "ok" for check in _failed(each))
    return [f"{code}: {checks()[code]}" for code, _ in failed.most_common() if code in checks()]


def line(failed: int, runs: int, named: str = "") -> str:
    """Return the sentence of tables, `status` and reports: `failed` of `runs` runs failed the checks `named`."""
    what = f" ({named})" if named else ""
    said = f"{failed} of {runs} runs failed checks{what}, and their numbers may mean nothing"
    return f"{said}; `ntkbench report` tells more"
