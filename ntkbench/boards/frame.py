"""Give the entries of a leaderboard as a tidy data frame."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ntkbench.boards import standings
from ntkbench.boards.entry import Entry
from ntkbench.boards.tracks import track as tracks
from ntkbench.errors import UsageError
from ntkbench.labels import FIXED
from ntkbench.results.frame import _TYPES, File, _flat, _typed, is_provenance
from ntkbench.spec.extensions import metric
from ntkbench.spec.identity import leaves


def track(folder: File) -> "pd.DataFrame":
    """Return the numbers of a leaderboard's verified entries: one row for each entry, target, column and seed.

    Columns: `track`, `entry`, its `level`, `target_label`, `run_id`, `seed`; every path that the
    track leaves free (`width`, ...); `column` (its title in the table, or that of a requirement), `metric`, `revision`,
    `value`, `k`, `n`, `unit`, `higher_is_better`; what the number is about; software and device, where they are the
    same for all seeds. Raise UsageError if there are no entries, VerificationError if one of them is wrong.
    """
    rules = tracks.read(Path(folder))
    rows = [row for entry, level in standings.entries(Path(folder), rules) for row in _rows(rules, entry, str(level))]
    if not rows:
        raise UsageError(f"{folder} has no entries; `ntkbench submit` makes one")
    frame = pd.DataFrame(rows)
    facts = [name for name in frame if is_provenance(name)]
    labels = [name for name in frame if name not in (*facts, *_TYPES)]
    return _typed(frame.fillna(dict.fromkeys(labels, "")))


def _rows(rules: tracks.Track, entry: Entry, level: str) -> list[dict[str, Any]]:
    """Return the rows of one entry."""
    facts = {"software": _common(entry.software), "device": _common(entry.device)}
    return [
        {"track": rules.name, "entry": entry.name, "level": level, "target_label": cell.label, "run_id": run_id}
        | {"seed": run.seed, **_free(rules, cell.cell)}
        | {"column": column.title, "metric": result.metric, "revision": result.revision}
        | {"value": run.value, "k": run.k, "n": run.n, "unit": metric(result.metric).unit}
        | {"higher_is_better": metric(result.metric).higher_is_better}
        | {f"where.{name}" if name in FIXED else name: label for name, label in result.where.items()}
        | _flat(facts)
        for cell in entry.cells
        for column, result in zip(rules.measured, cell.results, strict=True)
        for run_id, run in zip(cell.run_ids, result.runs, strict=True)
    ]


def _free(rules: tracks.Track, cell: Mapping[str, Any]) -> dict[str, str]:
    """Return what the track leaves free in a cell, by dotted path."""
    return {path: _label(value) for path, value in leaves(cell) if rules.frozen_of([path]) == []}


def _label(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _common(facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the facts that are the same in all mappings."""
    first, *others = facts
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}
