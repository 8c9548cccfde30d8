"""Turn records into tidy data frames, and these into summaries over seeds.

`runs` gives one row a run, `numbers` one row a measured number, `aggregate` one row a cell of chosen axes. Only seeds
are ever averaged. `show`, `frame` and the plots build on these.

    every = runs(records, plan.runs)
    aggregate(numbers(records, every), every, ["width", "metric", "eps"])    # mean, sd, n, ci_low, ci_high, ...
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from math import nan
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ntkbench.errors import UsageError
from ntkbench.labels import CHECKS, ENDS, FIXED, OF_NUMBER, OF_RUN, SUMMARY
from ntkbench.plan.runs import Run
from ntkbench.spec.extensions import bounds
from ntkbench.store import failed_checks, kept
from ntkbench.store.record import Record
from ntkbench.uncertainty import Bounds, Summary, summaries

if TYPE_CHECKING:
    import pandas as pd

LABELS = ("analysis", "metric", "ci_method", "unit", "reason", CHECKS)
"""columns of text, in which a missing value becomes an empty string"""


def pandas() -> Any:
    """Return the module pandas, which is imported here since that takes half a second."""
    import pandas

    return pandas


def frame_of(rows: Sequence[Any] | Mapping[str, Any], columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """Return a frame of rows, or of columns by name."""
    return pandas().DataFrame(rows, columns=columns if columns is None else [*columns])


def runs(records: Iterable[Record], planned: Sequence[Run] | None = None) -> "pd.DataFrame":
    """Return a frame with one row a run: id, status, spec, seed, and its coordinates as columns of text.

    Without `planned` its rows are the runs of the records. With it they are the planned runs with their coordinates in
    the plan; a run without a record then has the status `missing`, and `spec` is empty.
    """
    found = {record.run_id: record for record in records}
    if planned is None:
        rows = [
            {"run_id": r.run_id, "status": r.status, "spec": r.spec.name, "seed": r.spec.seed, **_axes(r.spec.cell)}
            for r in found.values()
        ]
    else:
        rows = [
            {"run_id": p.id, "status": found[p.id].status if p.id in found else "missing", "spec": "", "seed": p.seed}
            | _axes(p.coordinates)
            for p in planned
        ]
    axes = sorted({name for row in rows for name in row} - set(OF_RUN))
    return frame_of(rows, columns=[*OF_RUN, *axes]).fillna(dict.fromkeys(axes, ""))


@dataclass(frozen=True)
class NumbersByKind:
    """The numbers of the ok runs among some, with what they are about once for each kind of number."""

    of: "pd.DataFrame"
    """the runs, a frame as `runs` returns it"""
    kinds: "pd.DataFrame"
    """a row a kind of number: metric, unit, ..., and one column for each key of `where`"""
    codes: "pd.Series"
    """texts of failed checks, see `_failed_codes`"""
    begins: np.ndarray
    """(numbers,): where the texts of each number's record begin"""
    row: np.ndarray
    """(numbers,): place of each number's run in `of`"""
    kind: np.ndarray
    """(numbers,): place of each number's kind in `kinds`"""
    values: np.ndarray
    """(numbers, 5): value, k, n, and the ends of the interval"""

    def numbers(self, kinds: Sequence[int] | None = None) -> "pd.DataFrame":
        """Return the frame of numbers, those of some kinds, or all; its columns are the same whatever the kinds."""
        there = np.arange(len(self.kind)) if kinds is None else np.flatnonzero(np.isin(self.kind, list(kinds)))
        kind, columns = self.kind[there], dict(zip(("value", "k", "n", *ENDS), self.values[there].T, strict=True))
        found = self.kinds.take(kind).reset_index(drop=True).assign(**columns)
        codes = self.codes.take(self.begins[there] * len(self.kinds) + kind)
        found = found.assign(**{CHECKS: codes.array})
        where = [name for name in self.kinds if name not in FIXED]
        runs = self.of.take(self.row[there]).reset_index(drop=True)
        return pandas().concat([runs, found[[*OF_NUMBER, CHECKS, *ENDS, *where]]], axis=1)


def numbers(records: Iterable[Record], of: "pd.DataFrame", *, keep_empty: bool = False) -> "pd.DataFrame":
    """Return a frame with one row a number of the ok runs among `of`.

    The columns of `of` come first, then those of the number: metric, value, unit, the failed checks of its analysis,
    the ends `low` and `high` of its interval, and one column for each key of `where`.

    Args:
        records: the records that the numbers are taken from.
        of: the runs, a frame as `runs` returns it.
        keep_empty: whether a run without numbers has a row too, in which their columns are empty.
    """
    return measured(list(records), of, keep_empty=keep_empty).numbers()


def measured(records: Sequence[Record], of: "pd.DataFrame", *, keep_empty: bool = False) -> NumbersByKind:
    """Return the numbers of the ok runs among `of`, before there is a row for each; parameters as of `numbers`."""
    every, places = kept.numbers(records), {record.run_id: place for place, record in enumerate(records)}
    ok = zip(of["run_id"].tolist(), of["status"].eq("ok").tolist(), strict=True)
    record = np.array([places.get(run, -1) if is_ok else -1 for run, is_ok in ok], int)
    # In all that follows place -1 is a row of nothing.
    counts, first = np.append(every.counts, 0)[record], np.append(np.cumsum(every.counts) - every.counts, 0)[record]
    lines = np.maximum(counts, int(keep_empty))
    row = np.repeat(np.arange(len(of)), lines)
    number = first[row] + np.arange(len(row)) - (np.cumsum(lines) - lines)[row]
    number[counts[row] == 0] = -1
    used, kind = np.unique(np.append(every.kind, -1)[number], return_inverse=True)
    kinds = [every.kinds[place] if place >= 0 else {} for place in used.tolist()]
    codes, begins = _failed_codes(records, kinds)
    values = np.append(every.values, [[nan] * 5], axis=0)[number]
    return NumbersByKind(of, _kinds(kinds, of), codes, np.append(begins, 0)[record][row], row, kind, values)


def _kinds(kinds: Sequence[Mapping[str, Any]], of: "pd.DataFrame") -> "pd.DataFrame":
    """Return a frame of what numbers of these kinds are about; an empty kind is about nothing."""
    abouts: list[Mapping[str, Any]] = [kind.get("where", {}) for kind in kinds]
    columns = {name: [kind.get(name) for kind in kinds] for name in OF_NUMBER}
    columns |= {name: [text or "" for text in columns[name]] for name in LABELS if name in columns}
    for column, name in sorted((_beside(of, name), name) for name in {name for about in abouts for name in about}):
        columns[column] = [str(about[name]) if name in about else "" for about in abouts]
    return frame_of(columns)


def _failed_codes(records: Sequence[Record], kinds: Sequence[Mapping[str, Any]]) -> "tuple[pd.Series, np.ndarray]":
    """Return the codes of the failed checks that numbers rest on as texts, and where each record's begin.

    Records that failed the same checks share their texts, one for each kind: that of record r and kind k is at
    `begins[r] * len(kinds) + k`.
    """
    patterns: dict[tuple[tuple[str | None, str], ...], int] = {(): 0}
    begins = [patterns.setdefault(failed_checks.by_analysis(record), len(patterns)) for record in records]
    analyses = [kind.get("analysis", "") for kind in kinds]
    texts = [", ".join(failed_checks.of_analysis(failed, name)) for failed in patterns for name in analyses]
    return frame_of({CHECKS: texts})[CHECKS], np.array(begins, int)  # type: ignore[return-value]


def aggregate(numbers: "pd.DataFrame", runs: "pd.DataFrame", axes: Sequence[str]) -> "pd.DataFrame":
    """Return the mean, sd, n and interval over the seeds of every cell; an incomplete cell has none of these.

    Args:
        numbers: the numbers, a frame as `numbers` returns it.
        runs: all runs that are to have them, a frame as `runs` returns it.
        axes: the columns whose labels make a cell. Those that `runs` has tell experiments apart, the others tell apart
            the numbers of one run. What is no axis must not vary within a cell, except for the seed.

    `expected` counts the runs of a cell and `n` those with a value; `undefined` counts ok runs whose value is missing,
    with the `reason` of the first.

    Raises:
        UsageError: two runs of a cell have the same seed, so that they are different experiments.
    """
    outer = [axis for axis in axes if axis in runs]
    inner = [axis for axis in axes if axis not in runs]
    found = _by_cell(numbers, [*outer, *inner]) if len(numbers) else {}
    abouts = list(_labels(numbers, inner)) if len(numbers) else [("",) * len(inner)]
    statuses, seeds = runs["status"].tolist(), runs["seed"].tolist()
    labels, cells = [], []
    for cell, members in _places(runs, outer).items():
        if len({seeds[place] for place in members}) < len(members):
            raise _not_only_seeds(runs.take(members), dict(zip(outer, cell, strict=True)))
        some_done = any(statuses[place] == "ok" for place in members)
        for what in abouts:
            here = found.get((*cell, *what), [])
            if not here and some_done:
                continue  # the runs of this cell are done and do not measure this number
            labels.append((*cell, *what))
            cells.append(_CellNumbers(here, len(members)))
    rows = [(*label, *row) for label, row in zip(labels, _summarized(cells), strict=True)]
    return frame_of(rows, columns=[*outer, *inner, *SUMMARY])


def groups(frame: "pd.DataFrame", axes: Sequence[str]) -> "Mapping[Any, pd.DataFrame]":
    """Return the rows of a frame by the tuple of their labels along the axes; without axes, all rows under `()`."""
    return dict(iter(frame.groupby(list(axes), sort=False))) if axes else {(): frame}


def _places(frame: "pd.DataFrame", axes: Sequence[str]) -> Mapping[tuple[Any, ...], list[int]]:
    """Return the places of a frame's rows by the tuple of their labels along the axes; a frame for each would take
    long."""
    found: dict[tuple[Any, ...], list[int]] = {}
    cells = zip(*(frame[axis].tolist() for axis in axes), strict=True) if axes else repeat((), len(frame))
    for place, cell in enumerate(cells):
        found.setdefault(cell, []).append(place)
    return found


def _beside(of: "pd.DataFrame", name: str) -> str:
    """Return the column name for a key of `where`: `where.<name>` where the frame has a column `name` already."""
    return f"where.{name}" if name in FIXED or name in of else name


def _axes(coordinates: Mapping[str, str]) -> dict[str, str]:
    """Return coordinates by column name; an axis named like a fixed column becomes `cell.<name>`."""
    return {f"cell.{name}" if name in FIXED else name: label for name, label in coordinates.items()}


class _Number(NamedTuple):
    """Hold what a summary takes from a row of numbers."""

    value: float
    metric: str
    reason: str
    failed_checks: str


class _CellNumbers(NamedTuple):
    """Hold the numbers of a cell, and the number of its runs."""

    numbers: Sequence[_Number]
    expected: int

    @property
    def values(self) -> list[float]:
        """The values of those numbers that have one."""
        return [number.value for number in self.numbers if number.value is not None and number.value == number.value]


def _labels(numbers: "pd.DataFrame", axes: Sequence[str]) -> dict[tuple[Any, ...], None]:
    """Return the different tuples of labels along the axes, in the order of their first rows."""
    return dict.fromkeys(zip(*(numbers[axis].tolist() for axis in axes), strict=True) if axes else [()])


def _by_cell(numbers: "pd.DataFrame", axes: Sequence[str]) -> Mapping[tuple[Any, ...], list[_Number]]:
    """Return the numbers by the tuple of their labels along the axes; a frame for each cell would take most of the
    time of a large table."""
    columns = (numbers[name].tolist() for name in ("value", "metric", "reason", CHECKS))
    cells = zip(*(numbers[axis].tolist() for axis in axes), strict=True) if axes else repeat((), len(numbers))
    found: dict[tuple[Any, ...], list[_Number]] = {}
    for cell, *row in zip(cells, *columns, strict=True):
        found.setdefault(cell, []).append(_Number(*row))
    return found


def _summarized(cells: Sequence[_CellNumbers]) -> list[tuple[Any, ...]]:
    """Return the columns SUMMARY of each cell. Cells of one range and as many values are summarized at once."""
    alike: dict[tuple[Bounds, int], dict[int, list[float]]] = {}
    for place, cell in enumerate(cells):
        if len(values := cell.values) >= cell.expected:
            alike.setdefault((bounds(cell.numbers[0].metric), len(values)), {})[place] = values
    found: dict[int, Summary] = {}
    for (of, _), members in alike.items():
        found |= zip(members, summaries(list(members.values()), of), strict=True)
    return [_summary(cell, found.get(place)) for place, cell in enumerate(cells)]


def _summary(cell: _CellNumbers, of_seeds: Summary | None) -> tuple[Any, ...]:
    """Return the columns SUMMARY of a cell; None stands for the summary of one that lacks values."""
    failed = sum(bool(number.failed_checks) for number in cell.numbers)
    if of_seeds is None:
        n = len(cell.values)
        lacking = [number.reason for number in cell.numbers if number.value is None or number.value != number.value]
        return nan, nan, n, cell.expected, nan, nan, len(lacking), (lacking or [""])[0], failed
    low, high = of_seeds.interval or (None, None)
    return of_seeds.mean, of_seeds.sd, of_seeds.n, cell.expected, low, high, 0, "", failed


def _not_only_seeds(members: "pd.DataFrame", cell: Mapping[str, str]) -> UsageError:
    """Return an error that names two runs of a cell which have the same seed."""
    twice = members.loc[members["seed"].duplicated(keep=False)].sort_values(["seed", "run_id"])
    place = ", ".join(f"{axis} {label}" for axis, label in cell.items()) or "this table"
    first, second = twice["run_id"][:2]
    return UsageError(
        f"{place}: runs {first} and {second} are different experiments with the same seed, and their mean "
        "would mean nothing; add the axis that tells them apart, or name the spec whose runs to show"
    )
