"""From records to an entry: all seeds of one cell, or a list of what keeps them from being one."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ntkbench.bench import jsonfile
from ntkbench.bench.arrays import column, read_samples
from ntkbench.bench.entry import NOT_COUNTED, Entry, read_entry, recompute, slug, summarize
from ntkbench.bench.jsonfile import accept
from ntkbench.bench.labels import label_key, same_label
from ntkbench.bench.plan import Run
from ntkbench.bench.record import MetricRow, Record, distinct
from ntkbench.bench.spec import Cell
from ntkbench.bench.suggest import did_you_mean
from ntkbench.bench.track import Track
from ntkbench.errors import NtkbenchError, UsageError


def one_cell(planned: Sequence[Run], where: Mapping[str, str]) -> list[Run]:
    """The planned runs (one a seed) of the only cell with these coordinates."""
    axes = sorted({axis for run in planned for axis in run.coordinates})
    for axis in where:
        if axis not in axes:
            raise UsageError(f"the plan has no axis {axis!r}{did_you_mean(axis, axes)}")
    runs = [
        run
        for run in planned
        if all(axis in run.coordinates and same_label(run.coordinates[axis], label) for axis, label in where.items())
    ]
    if len(cells := _cells(runs)) == 1:
        return runs
    told = f"{len(cells)} cells; choose one by its coordinates" if cells else "no cell; there are"
    shown = "\n".join(f"  {cell}" for cell in (cells or _cells(planned))[:20])
    raise UsageError(f"{' '.join(f'{axis}={label}' for axis, label in where.items()) or 'the plan'}: {told}\n{shown}")


def _cells(runs: Sequence[Run]) -> list[str]:
    cells = {tuple(run.coordinates.items()) for run in runs}
    ordered = sorted(cells, key=lambda cell: [label_key(label) for _, label in cell])
    return [" ".join(f"{axis}={label}" for axis, label in cell) for cell in ordered]


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
    """The entry of one cell's planned runs. `folder`: where the records and their outcomes per test point lie."""
    if not name.strip():
        raise UsageError("an entry needs a name")
    runs = sorted(planned, key=lambda run: run.seed)
    found = {record.run_id: record for record in records}
    refusals = _missing(track, runs, found) or _unfit(track, [found[run.id] for run in runs], allow_dirty)
    if refusals:
        raise UsageError("\n".join([f"no entry for {track.name}:", *(f"  {refusal}" for refusal in refusals)]))
    entry = _entry(track, [found[run.id] for run in runs], folder, name.strip(), authors, links)
    recompute(entry, track, name)
    return entry


def free(entry: Entry, folder: Path, replace: bool = False) -> Path:
    """Where the entry belongs; UsageError if another is there, or has the same runs."""
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
    jsonfile.write(path, jsonfile.dump(entry))
    return path


def next_steps(path: Path, entry: Entry) -> str:
    """What to do with a new entry."""
    steps = ["Now run `ntkbench leaderboard build`, commit both, and open a pull request."]
    if entry.mini is None:
        steps.append("Without its small run it stays *claimed* until somebody reproduces a seed.")
    return "\n".join([str(path), *steps])


def _missing(track: Track, runs: Sequence[Run], found: Mapping[str, Record]) -> list[str]:
    refusals = []
    if len(runs) < track.min_seeds:
        refusals.append(f"{len(runs)} seeds; the track asks for {track.min_seeds} or more")
    for run in runs:
        status = found[run.id].status if run.id in found else "missing"
        if status != "ok":
            refusals.append(f"seed {run.seed} (run {run.id}) is {status}; `ntkbench run` the spec again")
    return refusals


def _unfit(track: Track, records: Sequence[Record], allow_dirty: bool) -> list[str]:
    cells = [record.spec.resolved for record in records]
    if any(cell != cells[0] for cell in cells):
        return ["the runs are of several cells; an entry is one"]
    refusals = []
    if any(record.execution.get("smoke") for record in records):
        refusals.append("these are smoke runs; run the spec without --smoke")
    if not allow_dirty and any(record.software.get("dirty") for record in records):
        refusals.append("these ran with uncommitted changes of the code (software.dirty); --allow-dirty accepts them")
    return refusals + track.differences(Cell.model_validate(cells[0]))


def _entry(
    track: Track, records: Sequence[Record], folder: Path, name: str, authors: Sequence[str], links: Sequence[str]
) -> Entry:
    seeds = [record.spec.seed for record in records]
    rows = {
        place: [each.row(record.metrics, f"run {record.run_id}") for record in records]
        for place, each in enumerate(track.all_columns)
    }
    results = [summarize(seeds, rows[place]) for place in rows]
    value = {
        "schema": "ntkbench.entry/1",
        "name": name,
        "authors": list(authors),
        "links": list(links),
        "track": track.name,
        "level": "claimed",
        "cell": records[0].spec.resolved,
        "seeds": seeds,
        "run_ids": [record.run_id for record in records],
        "results": [result.model_dump(mode="json") for result in results],
        "outcomes": _outcomes(rows[0], records, folder) if track.by_point else None,
        "software": distinct(records, "software"),
        "device": distinct(records, "device"),
    }
    return accept(Entry, value, name)


def _outcomes(rows: Sequence[MetricRow], records: Sequence[Record], folder: Path) -> dict[str, Any]:
    samples = [read_samples(folder, record) for record in records]
    runs = [packed(row, columns) for row, columns in zip(rows, samples, strict=True)]
    return {"points": points(samples), "runs": runs}


def packed(row: MetricRow, samples: Mapping[str, np.ndarray]) -> str:
    """The outcomes that the row counts, a character a test point."""
    part = f"{row.where['part']}." if "part" in row.where else ""
    clean = _outcome(samples, row, f"{part}clean")
    counted = np.ones_like(clean)
    if row.metric == "accuracy":
        outcome = clean
    else:
        right = _outcome(samples, row, f"{part}{row.where['attack']}@{row.where['eps']}")
        outcome = clean & ~right if row.metric == "transfer_rate" else right
        counted = clean if row.where.get("denominator") == "target_correct" else counted
    return "".join(NOT_COUNTED if not c else "1" if o else "0" for c, o in zip(counted, outcome, strict=True))


def _outcome(samples: Mapping[str, np.ndarray], row: MetricRow, name: str) -> np.ndarray:
    whole = column(row.analysis, name)
    if whole not in samples:
        raise NtkbenchError(f"the runs kept no outcomes {whole!r}; they kept {', '.join(samples)}")
    return samples[whole].astype(bool)


def points(samples: Sequence[Mapping[str, np.ndarray]]) -> str:
    """Which test points, as a checksum: the same for all seeds, or they cannot be paired."""
    if not all("index" in each for each in samples):
        raise NtkbenchError("the runs do not say on which test points they were judged (no column `index`)")
    found = {np.ascontiguousarray(each["index"], "<i8").tobytes() for each in samples}
    if len(found) != 1:
        raise NtkbenchError("the runs were judged on different test points and cannot be compared point by point")
    return sha256(found.pop()).hexdigest()
