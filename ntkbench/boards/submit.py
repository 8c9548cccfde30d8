"""Make an entry of a leaderboard from records, or say all that keeps them from being one.

An entry is all seeds of the cells that a track asks for. `ntkbench submit` calls `narrowed`, `make` and `save`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ntkbench import documents, files
from ntkbench.boards import entry as entries
from ntkbench.boards.entry import SCHEMA, CellNumbers, Entry, EntryCell, FailedCheck, SeedValue, read_entry, summarize
from ntkbench.boards.evidence import stored
from ntkbench.boards.outcomes import outcome_string, points_digest
from ntkbench.boards.recompute import recompute, rule_breaks, unqualified
from ntkbench.boards.tracks.columns import Column
from ntkbench.boards.tracks.track import QUALIFY, Track
from ntkbench.documents import accept
from ntkbench.errors import UsageError
from ntkbench.labels import label_key, same_label
from ntkbench.plan.runs import Run
from ntkbench.spec.cell import Cell
from ntkbench.spec.identity import resolved
from ntkbench.store.arrays import read_samples
from ntkbench.store.record import MetricRow, Record, distinct
from ntkbench.text import did_you_mean, slug

_MOST = 20
"""cells that a message names, at most"""


@dataclass(frozen=True)
class Chosen:
    """The planned runs, one a seed, of the cell of an entry for one target of the track."""

    label: str
    """label of the target"""
    cell: Cell
    """the cell as an entry has it; where seeds draw training subsets, without one"""
    runs: Sequence[Run]
    """in the order of their seeds"""


# ---- which runs ----------------------------------------------------------------------------------


def one_cell(planned: Sequence[Run], where: Mapping[str, str]) -> list[Run]:
    """Return the planned runs (one a seed) of the only cell with these coordinates; UsageError unless there is one."""
    runs = narrowed(planned, where)
    cells = by_coordinates(runs)
    if len(cells) == 1:
        return runs
    found = f"{len(cells)} cells; choose one by its coordinates:\n{_listed(cells)}" if cells else "no cell"
    raise UsageError(f"{_name(where) or 'the plan'}: {found}")


def narrowed(planned: Sequence[Run], where: Mapping[str, str]) -> list[Run]:
    """Return the planned runs with these coordinates. UsageError where no axis is called so, or none is left."""
    axes = sorted({axis for run in planned for axis in run.coordinates})
    for axis in where:
        if axis not in axes:
            raise UsageError(f"the plan has no axis {axis!r}{did_you_mean(axis, axes)}")
    runs = [
        run
        for run in planned
        if all(axis in run.coordinates and same_label(run.coordinates[axis], label) for axis, label in where.items())
    ]
    if not runs:
        raise UsageError(f"{_name(where)}: no cell; there are:\n{_listed(by_coordinates(planned))}")
    return runs


def by_coordinates(runs: Sequence[Run]) -> list[list[Run]]:
    """Return the runs of each cell of a spec, in the order of their coordinates."""
    found: dict[tuple[tuple[str, str], ...], list[Run]] = {}
    for run in runs:
        found.setdefault(tuple(run.coordinates.items()), []).append(run)
    return [found[cell] for cell in sorted(found, key=lambda cell: [label_key(label) for _, label in cell])]


def choose(track: Track, name: str, planned: Sequence[Run]) -> list[Chosen]:
    """Match the cells of the planned runs to the targets of the track: the cell that departs from none of what is
    frozen, or, so that messages can say what is wrong, those that depart least.

    `name` is that of the entry, which may be exempt from rules. UsageError where a target has several cells.
    """
    cells = [(track.shared(runs[0].cell), sorted(runs, key=lambda run: run.seed)) for runs in by_coordinates(planned)]
    refusals, chosen = [], []
    for label in track.cells:
        departures = [len(track.differences(label, cell, track.exempt(name))) for cell, _ in cells]
        near = [each for each, count in zip(cells, departures, strict=True) if count == min(departures)]
        if len(near) > 1:
            target = f"the target {label}" if len(track.cells) > 1 else "an entry"
            listed = _listed([runs for _, runs in near])
            refusals.append(f"{len(near)} cells for {target}; choose one by its coordinates:\n{listed}")
        chosen.append(Chosen(label, *near[0]))
    if refusals:
        raise UsageError("\n".join(refusals))
    return chosen


def _listed(cells: Sequence[Sequence[Run]]) -> str:
    more = [f"  and {len(cells) - _MOST} more"] if len(cells) > _MOST else []
    return "\n".join([*(f"  {_name(runs[0].coordinates)}" for runs in cells[:_MOST]), *more])


def _name(where: Mapping[str, str]) -> str:
    return " ".join(f"{axis}={label}" for axis, label in where.items())


# ---- the entry -----------------------------------------------------------------------------------


def make(
    track: Track,
    planned: Sequence[Run],
    records: Sequence[Record],
    folder: Path,
    *,
    name: str,
    authors: Sequence[str] = (),
    links: Sequence[str] = (),
    allow_dirty: bool = False,
) -> Entry:
    """Make the entry of the planned runs. `folder`: where the records and their outcomes per test point lie.

    Raises UsageError with all reasons why there is none; `allow_dirty` accepts runs of code with uncommitted changes.
    """
    name = name.strip()
    if not name:
        raise UsageError("an entry needs a name")
    found = {record.run_id: record for record in records}
    chosen = choose(track, name, planned)
    _refuse(track, [*_unfit(track, name, chosen), *_missing(track, chosen, found)])
    made = [found[run.id] for each in chosen for run in each.runs]
    _refuse(track, [] if allow_dirty else _dirty(made))
    samples = {record.run_id: read_samples(folder, record) if record.samples else {} for record in made}
    cells = [_cell(track, name, each, [found[run.id] for run in each.runs], samples) for each in chosen]
    for cell in cells:
        _refuse(
            track, [f"{_at(track, cell.label)}{why}" for why in unqualified(track, name, cell.results, cell.failed)]
        )
    coded = any(result.outcomes is not None for cell in cells for result in cell.results)
    results = [summarize([cell.results[place] for cell in cells]) for place in range(len(track.all_columns))]
    value = {
        "schema": SCHEMA,
        "name": name,
        "authors": list(authors),
        "links": list(links),
        "track": track.name,
        "level": "claimed",
        "seeds": [run.seed for run in chosen[0].runs],
        "results": [result.model_dump(mode="json") for result in results],
        "points": points_digest([*samples.values()]) if coded else None,
        "cells": [cell.model_dump(mode="json") for cell in cells],
        "software": distinct(made, "software"),
        "device": distinct(made, "device"),
    }
    entry = accept(Entry, value, name)
    recompute(entry, track, name)
    return entry


def _refuse(track: Track, reasons: Sequence[str]) -> None:
    """Raise UsageError with the reasons, if there are any."""
    if reasons:
        raise UsageError("\n".join([f"no entry for {track.name}:", *(f"  {reason}" for reason in reasons)]))


def _at(track: Track, label: str) -> str:
    """Return which cell a message is about; nothing where a track has one."""
    return f"{label}: " if len(track.cells) > 1 else ""


def _unfit(track: Track, name: str, chosen: Sequence[Chosen]) -> Iterator[str]:
    """Yield what is wrong with the cells, whatever their runs gave."""
    for each in chosen:
        yield from (f"{_at(track, each.label)}{why}" for why in rule_breaks(track, name, each.label, each.cell))
        for run in each.runs:
            if resolved(run.cell) != resolved(track.of_seed(each.cell, run.seed)):
                yield f"{_at(track, each.label)}seed {run.seed}: {_another_seed(track)}"
    yield from track.unequal(each.cell for each in chosen)
    seeds = {each.label: [run.seed for run in each.runs] for each in chosen}
    if len({tuple(of_cell) for of_cell in seeds.values()}) > 1:
        yield f"all cells of an entry have the same seeds; here {'; '.join(f'{k}: {v}' for k, v in seeds.items())}"


def _another_seed(track: Track) -> str:
    if track.seed_of == "data":
        return "the track asks for seed_of: data, a training subset for each seed"
    return "the runs are of several cells; an entry is one"


def _missing(track: Track, chosen: Sequence[Chosen], found: Mapping[str, Record]) -> Iterator[str]:
    """Yield what is wrong with the runs of the cells: too few seeds, and runs that are not ok."""
    for each in chosen:
        if len(each.runs) < track.min_seeds:
            yield f"{_at(track, each.label)}{len(each.runs)} seeds; the track asks for {track.min_seeds} or more"
        for run in each.runs:
            at = _at(track, each.label)
            status = found[run.id].status if run.id in found else "missing"
            if status != "ok":
                yield f"{at}seed {run.seed} (run {run.id}) is {status}; `ntkbench run` the spec again"


def _dirty(records: Sequence[Record]) -> list[str]:
    """Return the reason against runs of code with uncommitted changes, if there are such."""
    dirty = any(record.software.get("dirty") for record in records)
    told = "these ran with uncommitted changes of the code (software.dirty); --allow-dirty accepts them"
    return [told] if dirty else []


def _cell(
    track: Track, name: str, chosen: Chosen, records: Sequence[Record], samples: Mapping[str, Mapping[str, np.ndarray]]
) -> EntryCell:
    """Return one experiment of an entry: cell, run ids, failed checks, and numbers with the outcomes that they need."""
    optional = track.qualify if QUALIFY in track.exempt(name) else ()
    rows = [_rows(column, records, column in optional) for column in track.measured]
    bare = [_numbers(column, records, of) for column, of in zip(track.measured, rows, strict=True)]
    needed = stored(bare, chosen.cell)
    return EntryCell(
        label=chosen.label,
        cell=resolved(chosen.cell),
        run_ids=tuple(record.run_id for record in records),
        results=tuple(
            result.model_copy(update={"outcomes": _outcomes(of, records, samples, chosen.cell)}) if needs else result
            for needs, result, of in zip(needed, bare, rows, strict=True)
        ),
        failed=tuple(
            FailedCheck(code=check.code, seed=record.spec.seed, analysis=check.analysis, detail=check.detail)
            for record in records
            for check in record.checks
            if not check.ok
        ),
    )


def _rows(column: Column, records: Sequence[Record], optional: bool) -> list[MetricRow]:
    """Return the row of each record; none at all where the number is optional and some record lacks it."""
    if optional and not all(column.rows(record.metrics) for record in records):
        return []
    return [column.row(record.metrics, f"run {record.run_id}") for record in records]


def _numbers(column: Column, records: Sequence[Record], rows: Sequence[MetricRow]) -> CellNumbers:
    """Return a number of every run of a cell, without outcomes; without values where there are no rows."""
    seeds = [record.spec.seed for record in records]
    if rows:
        return CellNumbers(**entries.numbers(seeds, rows).model_dump(), analysis=rows[0].analysis)
    runs = tuple(SeedValue(seed=seed, value=None, k=None, n=None) for seed in seeds)
    revision = column.revision
    return CellNumbers(metric=column.metric, where=column.where, revision=revision, runs=runs, analysis="")


def _outcomes(
    rows: Sequence[MetricRow],
    records: Sequence[Record],
    samples: Mapping[str, Mapping[str, np.ndarray]],
    cell: Cell,
) -> tuple[str, ...]:
    """Return the outcomes that a number follows from, one text a seed (`outcomes.py`)."""
    return tuple(outcome_string(row, samples[each.run_id], cell) for row, each in zip(rows, records, strict=True))


def free(entry: Entry, folder: Path, replace: bool = False) -> Path:
    """Return where the entry belongs; UsageError if another is there, or has the same runs."""
    path = folder / entry.track / "entries" / f"{slug(entry.name)}.json"
    if path.exists() and not replace:
        raise UsageError(f"{path} is there already; choose another name, or replace it")
    for other in sorted(set(path.parent.glob("*.json")) - {path}):
        if twice := set(read_entry(other).run_ids) & set(entry.run_ids):
            raise UsageError(f"{other} has the same runs ({', '.join(sorted(twice))}); a board has them once")
    return path


def save(entry: Entry, folder: Path, replace: bool = False) -> Path:
    """Write the entry where its track keeps entries; another one of the same file name stays unless `replace`."""
    path = free(entry, folder, replace)
    files.write(path, documents.dump(entry))
    return path


def next_steps(path: Path, entry: Entry) -> str:
    """Return what to do with a new entry, whose file is `path`, as text."""
    steps = ["Now run `ntkbench leaderboard build`, commit both, and open a pull request."]
    if entry.mini is None:
        steps.append("Without its small runs it stays *claimed*, and without a rank, until somebody reproduces a seed.")
    return "\n".join([str(path), *steps])
