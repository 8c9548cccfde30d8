"""Judge how far an entry of a leaderboard is confirmed: which of its runs were made again, and what came out.

An entry is *claimed* as long as only its form, ids, rules, counts and means were recomputed from itself. It is
*checked* when its small runs were made again and gave its numbers, and *reproduced* when whole seeds were, in as many
seeds as that was done for. An entry cannot say this of itself. It follows from a file beside the entries,
`checks/<entry>.json`, which holds the numbers and outcomes of the repeated runs, and the checksum of the entry that
they belong to: any change of the entry makes it claimed again.

`ntkbench verify` plans the runs (`mini_runs`, `seed_runs`), executes them, and calls `rerun` on each record,
`report` and `conclude`; the leaderboards call `judge`.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ntkbench.boards.checks import EntryCheck, Judgement, Rerun, checksum, read, save
from ntkbench.boards.entry import CellNumbers, Entry, EntryCell, Mini, SmallRun, board_of, locate, read_entry
from ntkbench.boards.outcomes import outcome_string
from ntkbench.boards.recompute import recompute
from ntkbench.boards.tracks.track import FILE, QUALIFY, Track
from ntkbench.boards.tracks.track import read as read_track
from ntkbench.documents import accept
from ntkbench.errors import NtkbenchError, UsageError, VerificationError
from ntkbench.plan.check import check
from ntkbench.plan.runs import Plan, Run
from ntkbench.render import table
from ntkbench.spec.cell import Cell, Header
from ntkbench.spec.extensions import metric
from ntkbench.spec.identity import run_id
from ntkbench.store.arrays import read_samples
from ntkbench.store.comparison import Comparison, shown
from ntkbench.store.record import Measured, MetricRow, Record
from ntkbench.text import slug


def claim(name: str, folder: Path) -> tuple[Path, Track, Entry]:
    """Return the track's folder and rules, and the entry, after all was recomputed that can be.

    `name` is the file of the entry, or TRACK/NAME in `folder`. VerificationError if the entry contradicts itself.
    """
    path = locate(name, folder)
    entry = read_entry(path)
    board = board_of(path) if (board_of(path) / FILE).is_file() else folder / entry.track
    track = read_track(board)
    recompute(entry, track, path)
    return board, track, entry


# ---- what to run ---------------------------------------------------------------------------------


def small(track: Track, entry: Entry) -> list[Run]:
    """Return the small runs of an entry, one a cell, at the seed of its `mini` or else its first seed.

    SpecError if the track's overrides do not make a valid experiment of a cell.
    """
    seed = entry.mini.seed if entry.mini else entry.seeds[0]
    found = []
    for each in entry.cells:
        cell = track.of_seed(track.small(Cell.model_validate(each.cell)), seed)
        check(cell, f"the small run of {track.name} does not fit {entry.name} (submit --no-mini does without)")
        found.append(Run("mini", cell, _coordinates(entry, each), seed, run_id(cell, seed)))
    return found


def mini_runs(track: Track, entry: Entry) -> list[Run]:
    """Return the small runs, to be made again; UsageError if the entry has no numbers of them."""
    if entry.mini is None:
        raise UsageError(f"{entry.name} has no numbers of a small run to compare with; leave --mini out")
    return small(track, entry)


def seed_runs(track: Track, entry: Entry, seeds: Sequence[int]) -> list[Run]:
    """Return the runs of these seeds in all cells of the entry; of its first seed if none is named.

    UsageError for a seed that the entry does not have.
    """
    for seed in seeds:
        if seed not in entry.seeds:
            raise UsageError(f"seed {seed}: {entry.name} has the seeds {', '.join(map(str, entry.seeds))}")
    return [
        Run("verify", track.of_seed(cell, seed), _coordinates(entry, each), seed, _ids(entry, each)[seed])
        for each in entry.cells
        for cell in [Cell.model_validate(each.cell)]
        for seed in dict.fromkeys(seeds or entry.seeds[:1])
    ]


def drawn(entry: Entry, lot: str) -> int:
    """Draw a seed of the entry from its checksum and `lot`, a text that nobody knew when the entry was made."""
    return entry.seeds[int(sha256(f"{checksum(entry)} {lot}".encode()).hexdigest(), 16) % len(entry.seeds)]


def planned(runs: Sequence[Run]) -> Plan:
    """Return a plan of these runs alone."""
    return Plan(Header(ntkbench=1, name="verify"), tuple(runs), "verify")


def _coordinates(entry: Entry, cell: EntryCell) -> dict[str, str]:
    """Return labels for a cell's runs in place of a matrix's coordinates."""
    return {"entry": slug(entry.name), "target": cell.label}


def _ids(entry: Entry, cell: EntryCell) -> dict[int, str]:
    """Return the run ids of a cell by seed."""
    return dict(zip(entry.seeds, cell.run_ids, strict=True))


# ---- what came out -------------------------------------------------------------------------------


def with_mini(entry: Entry, track: Track, records: Sequence[Record]) -> Entry:
    """Return the entry with the numbers of its small runs, whose records come in the order of its cells."""
    runs = [
        SmallRun(label=cell.label, run_id=record.run_id, numbers=_numbers(track, entry, record))
        for cell, record in zip(entry.cells, records, strict=True)
    ]
    return entry.model_copy(update={"mini": Mini(seed=records[0].spec.seed, runs=tuple(runs))})


def rerun(track: Track, entry: Entry, record: Record, folder: Path) -> Rerun:
    """Return the repeated run that a record in `folder` describes: its numbers, and outcomes of a whole seed."""
    cell = next((each for each in entry.cells if record.run_id in each.run_ids), None)
    mini = next((run for run in entry.mini.runs if run.run_id == record.run_id), None) if entry.mini else None
    value: dict[str, Any] = {
        "kind": "seed" if cell else "mini",
        "label": cell.label if cell else mini.label if mini else "",
        "seed": record.spec.seed,
        "run_id": record.run_id,
        "numbers": [number.model_dump() for number in _numbers(track, entry, record)],
        "outcomes": _outcomes(track, entry, cell, record, folder) if cell else [],
        "software": record.software,
        "device": record.device,
        "date": record.time.ended[:10],
    }
    return accept(Rerun, value, f"run {record.run_id}")


def comparisons(track: Track, entry: Entry, run: Rerun) -> list[Comparison]:
    """Compare all numbers and outcomes of a repeated run with the entry's.

    VerificationError if the entry has no such run, or other outcomes than the run.
    """
    columns = track.measured
    claimed = _claimed(entry, run)
    if claimed is None or not len(claimed) == len(run.numbers) == len(columns):
        raise VerificationError(
            f"{entry.name}: it has no numbers of the run {run.run_id} ({run.kind}, seed {run.seed})"
        )
    numbers = [
        Comparison(column.title, one.value, other.value, track.tolerance[metric(column.metric).unit])
        for column, one, other in zip(columns, claimed, run.numbers, strict=True)
    ]
    return [*numbers, *_points(track, entry, run)]


def _points(track: Track, entry: Entry, run: Rerun) -> Iterator[Comparison]:
    """Compare outcomes point by point, since numbers may agree where the points do not."""
    if run.kind == "mini":
        return
    cell = next(each for each in entry.cells if each.label == run.label)
    place = entry.seeds.index(run.seed)
    if len(run.outcomes) != len(cell.results):
        raise VerificationError(f"{entry.name}: run {run.run_id}: outcomes of {len(run.outcomes)} numbers")
    for column, result, again in zip(track.measured, cell.results, run.outcomes, strict=True):
        if result.outcomes is None and again is None:
            continue
        if result.outcomes is None or again is None or len(result.outcomes[place]) != len(again):
            raise VerificationError(f"{entry.name}: run {run.run_id}: {column.title}: other outcomes than the entry's")
        one, two = (np.frombuffer(text.encode(), np.uint8) for text in (result.outcomes[place], again))
        yield Comparison(f"{column.title}: points that differ", 0.0, float(np.mean(one != two)), _fraction(track))


def _fraction(track: Track) -> float:
    """Return the largest share of points whose outcomes may differ."""
    return track.tolerance.get("fraction", 0.01)


def report(track: Track, entry: Entry, run: Rerun) -> str:
    """Return the table of a run's comparisons."""
    rows = [
        [each.what, shown(each.claimed), shown(each.measured), _off(each), f"{each.tolerance:g}", _verdict(each)]
        for each in comparisons(track, entry, run)
    ]
    headers = ["", "claimed", "measured", "difference", "allowed", ""]
    what = "small run" if run.kind == "mini" else "run"
    of = f" of {run.label}" if len(entry.cells) > 1 else ""
    return f"{what} {run.run_id}{of}, seed {run.seed}\n" + table(headers, rows, "plain")


def agrees(track: Track, entry: Entry, run: Rerun) -> bool:
    """Return whether all numbers are within the track's tolerance."""
    return all(each.ok for each in comparisons(track, entry, run))


def conclude(folder: Path, track: Track, entry: Entry, runs: Sequence[Rerun]) -> str:
    """Write the check of an entry, and return what it says of it.

    VerificationError, and nothing is written, if a run does not agree.
    """
    wrong = [f"run {run.run_id} (seed {run.seed})" for run in runs if not agrees(track, entry, run)]
    if wrong:
        raise VerificationError(
            f"{entry.name}: {', '.join(wrong)} does not give the entry's numbers; nothing is written down"
        )
    path = save(folder, entry, runs)
    found = judge(track, entry, read(folder, entry), path)
    return f"{entry.name} is {found}: {path}\nNow run `ntkbench leaderboard build`, and commit both."


def judge(track: Track, entry: Entry, check: EntryCheck | None, place: object) -> Judgement:
    """Return the level that a check (None for none) gives an entry.

    `place` is the check's file, for messages. VerificationError if its numbers do not agree with the entry's.
    """
    if check is None or check.entry != checksum(entry):
        return Judgement("claimed")
    for run in check.reruns:
        for each in comparisons(track, entry, run):
            if not each.ok:
                told = each.told("claimed", "measured")
                raise VerificationError(f"{place}: run {run.run_id}: {told}; this file is no valid check, delete it")
    again = {run.run_id for run in check.reruns}
    seeds = sum(again.issuperset(ids) for ids in zip(*(cell.run_ids for cell in entry.cells), strict=True))
    if seeds:
        return Judgement("reproduced", seeds, len(entry.seeds))
    small = entry.mini is not None and again.issuperset(run.run_id for run in entry.mini.runs)
    return Judgement("checked" if small else "claimed")


def _claimed(entry: Entry, run: Rerun) -> Sequence[Measured] | None:
    """Return the numbers that the entry has of a repeated run; None if it has no such run."""
    if run.kind == "mini":
        small = [each for each in entry.mini.runs if each.run_id == run.run_id] if entry.mini else []
        return small[0].numbers if entry.mini and small and entry.mini.seed == run.seed else None
    cell = next((each for each in entry.cells if each.label == run.label), None)
    if cell is None or _ids(entry, cell).get(run.seed) != run.run_id:
        return None
    return [result.runs[entry.seeds.index(run.seed)] for result in cell.results]


def _numbers(track: Track, entry: Entry, record: Record) -> tuple[Measured, ...]:
    rows = _rows(track, entry, record)
    return tuple(
        Measured(value=row.value, k=row.k, n=row.n) if row else Measured(value=None, k=None, n=None) for row in rows
    )


def _rows(track: Track, entry: Entry, record: Record) -> list[MetricRow | None]:
    """Return the record's row of each number of the track; None where the entry need not have it.

    NtkbenchError if the run is not ok.
    """
    if record.status != "ok":
        why = record.error.message if record.error else ""
        raise NtkbenchError(f"run {record.run_id} is {record.status}: {why}")
    optional = track.qualify if QUALIFY in track.exempt(entry.name) else ()
    return [
        None if column in optional and not column.rows(record.metrics) else column.row(record.metrics, record.run_id)
        for column in track.measured
    ]


def _outcomes(track: Track, entry: Entry, cell: EntryCell, record: Record, folder: Path) -> list[str | None]:
    """Return the outcomes of a record for each number of which the entry has them; None for the others."""
    samples = read_samples(folder, record) if record.samples else {}
    made = Cell.model_validate(cell.cell)

    def again(row: MetricRow | None, result: CellNumbers) -> str | None:
        return outcome_string(row, samples, made) if row is not None and result.outcomes is not None else None

    return [again(row, result) for row, result in zip(_rows(track, entry, record), cell.results, strict=True)]


def _off(each: Comparison) -> str:
    return "–" if each.claimed is None or each.measured is None else f"{each.measured - each.claimed:+.6g}"


def _verdict(each: Comparison) -> str:
    return "ok" if each.ok else "DIFFERS"
