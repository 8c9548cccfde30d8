"""Compare two runs field by field, for `ntkbench diff`: configuration, circumstances, and numbers.

A run is named by the beginning of its id, or by the file of its record:

    print(diff(find("r1chq", store), find("results/records/r9ab.json", store)))

What is compared, and with what, is up to `store/comparison.py`.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ntkbench.errors import UsageError
from ntkbench.render import table
from ntkbench.store import record
from ntkbench.store.comparison import _ABSENT, asked, differences, matched
from ntkbench.store.record import MetricRow, Record
from ntkbench.store.store import Store
from ntkbench.text import one_line

_CIRCUMSTANCES = ("software", "jax", "device", "execution")
"""fields of a record that say how it was made"""
_FEW = 5
"""number of run ids that a message lists"""


def find(name: str, store: Store) -> Record:
    """Return the record in the file `name`, which ends in .json, or the one of the store whose id begins with `name`.

    UsageError if there is no such run, or more than one.
    """
    if name.endswith(".json"):
        return record.read(Path(name))
    if not re.fullmatch("r[0-9a-z]{0,12}", name):
        raise UsageError(f"{name}: write the id of a run, such as r1chqyw5atxxe or its beginning, or a record's file")
    found = sorted(store.records.glob(f"{name}*.json"))
    if not found:
        raise UsageError(f"{store.records} has no run {name}; name another store with --store, or a record's file")
    if len(found) > 1:
        some = ", ".join(path.stem for path in found[:_FEW]) + (", ..." if len(found) > _FEW else "")
        raise UsageError(f"{len(found)} runs begin with {name}: {some}; write more of the id")
    return record.read(found[0])


def diff(one: Record, other: Record) -> str:
    """Return all that differs between two records as tables; what is the same is named or counted."""
    parts = [_part(name, _facts(one, name), _facts(other, name)) for name in ("config", *_CIRCUMSTANCES)]
    return "\n\n".join([_sides(one, other), *parts, _numbers(one, other)])


def _facts(of: Record, name: str) -> Mapping[str, Any]:
    """Return a part of a record: what was asked for `config`, else the field of that name."""
    return asked(of) if name == "config" else getattr(of, name)


def _sides(one: Record, other: Record) -> str:
    """Return the table of the two runs: id, status, spec, cell, seed and start."""
    rows = [
        [side, each.run_id, each.status, each.spec.name, _axes(each), str(each.spec.seed), each.time.started]
        for side, each in zip("ab", (one, other), strict=True)
    ]
    return table(["", "run", "status", "spec", "cell", "seed", "started"], rows, "plain")


def _axes(of: Record) -> str:
    return one_line(" ".join(f"{axis}={label}" for axis, label in of.spec.cell.items()))


def _part(name: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return the table of all paths at which a part of the records differs, or a line that it is the same."""
    found = differences(one, other)
    return (
        table([name, "a", "b"], [[path, *sides] for path, sides in found.items()], "plain")
        if found
        else f"{name}: the same"
    )


def _numbers(one: Record, other: Record) -> str:
    """Return the table of all numbers that differ, with the difference and how their intervals overlap."""
    pairs = matched(one, other)
    rows = [
        [*_about(row), *_compared(ours, theirs)]
        for row, ours, theirs in pairs
        if ours is None or theirs is None or ours.value != theirs.value
    ]
    same = f"{len(pairs) - len(rows)} numbers are the same"
    if not rows:
        return same if pairs else "neither has numbers"
    headers = ["analysis", "metric", "of", "a", "b", "b - a", "95 % intervals"]
    return "\n".join([table(headers, rows, "plain"), same])


def _about(row: MetricRow) -> tuple[str, str, str]:
    """Return analysis, metric and labels of a number."""
    return row.analysis, row.metric, one_line(", ".join(f"{name} {label}" for name, label in row.where.items()))


def _compared(one: MetricRow | None, other: MetricRow | None) -> Iterator[str]:
    """Yield the cells of a number: both values with counts, their difference, and the overlap of intervals."""
    for row in (one, other):
        yield (
            _ABSENT
            if row is None or row.value is None
            else f"{row.value:.6g}" + (f" ({row.k}/{row.n})" if row.k is not None else "")
        )
    if one is None or other is None or one.value is None or other.value is None:
        yield from ("", "")
    else:
        yield f"{other.value - one.value:+.3g}"
        yield _overlap(one, other)


def _overlap(one: MetricRow, other: MetricRow) -> str:
    """Return in words whether each value lies in the other's 95 % interval; empty if one has no interval."""
    if one.ci95 is None or other.ci95 is None or one.value is None or other.value is None:
        return ""
    inside = [low <= value <= high for (low, high), value in ((one.ci95, other.value), (other.ci95, one.value))]
    return {2: "each in the other's", 1: "one in the other's", 0: "apart"}[sum(inside)]
