"""Find the two sides of a comparison: each is an entry of a leaderboard, or the runs of one cell of a spec.

`ntkbench compare` calls `find` for each of them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ntkbench.boards.entry import Entry, Result, board_of, locate, numbers, read_entry, summarize
from ntkbench.boards.evidence import judged
from ntkbench.boards.outcomes import SeedValues, code, judge, outcome_string, points_digest
from ntkbench.boards.submit import one_cell
from ntkbench.boards.tracks.track import FILE
from ntkbench.errors import NtkbenchError, UsageError
from ntkbench.plan.read import read
from ntkbench.plan.runs import Run
from ntkbench.plan.seeding import shared
from ntkbench.spec.cell import Cell
from ntkbench.store import lookup
from ntkbench.store.arrays import read_samples
from ntkbench.store.record import MetricRow, Record, distinct
from ntkbench.store.store import Store

Key = tuple[str, int, tuple[tuple[str, str], ...]]
"""what tells numbers apart: metric, revision, and the labels of what the number is about"""
_CELL = re.compile(r"(?P<spec>.+\.ya?ml)(?::(?P<labels>.*))?")
"""a spec's file (.yaml or .yml), alone or with labels after a colon"""
_NEXT_AXIS = re.compile(r",(?=[^,=]+=)")
"""a comma before another AXIS=, since labels may have commas"""


@dataclass(frozen=True)
class Comparand:
    """All seeds of one experiment, or of the several that an entry is: their numbers, and how these were made."""

    name: str
    cells: Mapping[str, Cell]
    """by the label of a target of the track; the label is empty where there is one cell"""
    seeds: Sequence[int]
    results: Sequence[Result]
    outcomes: Mapping[Key, SeedValues]
    """what outcomes per test point give, for the numbers whose outcomes are known; of several cells their mean"""
    software: Sequence[dict]
    device: Sequence[dict]
    track: str | None = None
    """the track that an entry is on; None of a cell"""
    board: Path | None = None
    """the folder with the rules of that track"""
    notes: Sequence[str] = ()
    """what the reader of a comparison has to know, such as seeds that are left out"""


def find(name: str, folder: Path, store: Store) -> Comparand:
    """Return the side that is named on a command line.

    `name` is the file of an entry, or TRACK/NAME below the folder of leaderboards; or a cell of a spec: SPEC, or
    SPEC:AXIS=LABEL,AXIS=LABEL. The records of a cell are those in `store`.
    """
    match = _CELL.fullmatch(name)
    return from_cell(match["spec"], match["labels"] or "", store) if match else from_entry(locate(name, folder), folder)


def key(result: Result) -> Key:
    """Return what tells a number from the others of its side."""
    return result.metric, result.revision, tuple(sorted(result.where.items()))


def from_entry(path: Path, folder: Path) -> Comparand:
    """Return the side of an entry. Its track's rules are taken from beside it, or else from `folder`."""
    entry = read_entry(path)
    boards = (board_of(path).with_name(entry.track), folder / entry.track)
    cells = [Cell.model_validate(each.cell) for each in entry.cells]
    labels = [each.label for each in entry.cells] if len(cells) > 1 else [""]
    return Comparand(
        entry.name,
        dict(zip(labels, cells, strict=True)),
        entry.seeds,
        entry.results,
        dict(_kept(entry, cells)),
        entry.software,
        entry.device,
        entry.track,
        next((board for board in boards if (board / FILE).is_file()), None),
    )


def _kept(entry: Entry, cells: Sequence[Cell]) -> Iterator[tuple[Key, SeedValues]]:
    """Yield the columns of an entry that its outcomes give, by their keys."""
    for place, result in enumerate(entry.results):
        found = [
            judged(each.results, place, cell, entry.points or "") if place < len(each.results) else None
            for each, cell in zip(entry.cells, cells, strict=True)
        ]
        known = [each for each in found if each is not None and np.isfinite(each.values).all()]
        if len(known) == len(found):
            yield key(result), _mean(known)


def _mean(cells: Sequence[SeedValues]) -> SeedValues:
    """Return the mean of a number over cells that were judged on the same points."""
    values, counted, influence = (
        np.mean([getattr(each, name) for each in cells], axis=0) for name in ("values", "counted", "influence")
    )
    return SeedValues(values, counted, influence, cells[0].points)


def from_cell(spec: str, labels: str, store: Store) -> Comparand:
    """Return the side of a cell of a spec, of its runs that are ok; UsageError if there is none.

    `labels` chooses the cell, AXIS=LABEL,AXIS=LABEL; it may be empty where the spec has one cell.
    """
    planned = read(spec)
    runs = sorted(one_cell(planned.runs, _labels(labels)), key=lambda run: run.seed)
    found = {record.run_id: record for record in lookup.records(store, runs) if record.status == "ok"}
    name = " ".join([planned.header.name, *(f"{axis}={label}" for axis, label in runs[0].coordinates.items())])
    if not found:
        raise UsageError(f"{name}: none of its {len(runs)} runs is done in {store.root}; `ntkbench run {spec}`")
    records = [found[run.id] for run in runs if run.id in found]
    samples = [read_samples(store.records, record) if record.samples else {} for record in records]
    measured = list(_numbers(records))
    return Comparand(
        name,
        {"": shared(runs[0].cell) if planned.header.seed_of == "data" else runs[0].cell},
        [record.spec.seed for record in records],
        [result for result, _ in measured],
        dict(_outcomes(measured, samples, runs[0].cell)),
        distinct(records, "software"),
        distinct(records, "device"),
        notes=_left_out(name, runs, found),
    )


def _labels(text: str) -> dict[str, str]:
    """Return the labels of a cell by axis; raise UsageError for a part without a `=`."""
    parts = _NEXT_AXIS.split(text) if text else []
    for part in parts:
        if "=" not in part:
            raise UsageError(f"{part!r}: name a cell by its labels, SPEC:AXIS=LABEL,AXIS=LABEL")
    return dict(part.split("=", 1) for part in parts)


def _numbers(records: Sequence[Record]) -> Iterator[tuple[Result, Sequence[MetricRow]]]:
    """Yield the numbers that all seeds have measured, each with its rows, one a seed.

    A number that several analyses have measured alike is one number; where they differ, each is named.
    """
    seeds = [record.spec.seed for record in records]
    rows = [{(row.analysis, _place(row)): row for row in record.metrics} for record in records]
    shared: dict[Key, dict[str, list[MetricRow]]] = {}
    for analysis, place in rows[0]:
        if all((analysis, place) in each for each in rows):
            shared.setdefault(place, {})[analysis] = [each[analysis, place] for each in rows]
    for by_analysis in shared.values():
        alike = len({tuple((row.value, row.k, row.n) for row in found) for found in by_analysis.values()}) == 1
        for analysis, found in by_analysis.items():
            result, about = summarize([numbers(seeds, found)]), {} if alike else {"analysis": analysis}
            yield result.model_copy(update={"where": about | result.where}), found
            if alike:
                break


def _outcomes(
    found: Sequence[tuple[Result, Sequence[MetricRow]]], samples: Sequence[Mapping[str, np.ndarray]], cell: Cell
) -> Iterator[tuple[Key, SeedValues]]:
    """Yield, of the numbers whose outcomes all seeds kept, what the outcomes give."""
    if not all("index" in each for each in samples):
        return
    which = points_digest(samples)
    for result, rows in found:
        if (how := code(result.metric, result.where, cell)) is not None:
            try:
                kept = [outcome_string(row, each, cell) for row, each in zip(rows, samples, strict=True)]
                made = judge(kept, how, which)
            except (NtkbenchError, ValueError):  # a share of other points, such as the training set
                continue
            if all(made.gives(rows)) and np.isfinite(made.values).all():
                yield key(result), made


def _place(row: MetricRow) -> Key:
    """Return the key of a row of a record."""
    return row.metric, row.revision, tuple(sorted((name, str(label)) for name, label in row.where.items()))


def _left_out(name: str, runs: Sequence[Run], found: Mapping[str, Record]) -> list[str]:
    """Return a note for each run that is not ok."""
    return [f"{name}: seed {run.seed} (run {run.id}) is not done and left out" for run in runs if run.id not in found]
