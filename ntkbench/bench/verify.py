"""How far an entry is to be believed: what somebody ran again, and what came out.

An entry is *claimed*: its form, ids, frozen fields and means were recomputed from itself. It is *checked* when its
small run was run again, and *reproduced* when a seed of the experiment itself was. These are not the entry's to say.
They follow from a file beside the entries, `checks/<entry>.json`, which holds the numbers of the second run and the
checksum of the entry they belong to: another word in the entry, and it is claimed again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ntkbench.bench import jsonfile
from ntkbench.bench.entry import Entry, Mini, board_of, locate, read_entry, recompute, slug
from ntkbench.bench.identity import run_id
from ntkbench.bench.jsonfile import Document, Facts, Natural, accept
from ntkbench.bench.plan import Plan, Run, check
from ntkbench.bench.record import Measured, Record, RunId, Sha256
from ntkbench.bench.render import table
from ntkbench.bench.spec import Cell, Header
from ntkbench.bench.track import FILE, Track
from ntkbench.bench.track import read as read_track
from ntkbench.bench.vocabulary import METRICS
from ntkbench.errors import NtkbenchError, UsageError, VerificationError

Kind = Literal["mini", "seed"]
Level = Literal["claimed", "checked", "reproduced"]
LEVELS: Mapping[Level, str] = {
    "claimed": "run ids, frozen fields, counts and means were recomputed from the entry; nobody has run it again",
    "checked": "its experiment, made small, was run again and gave the numbers that the entry has for it",
    "reproduced": "a seed of the experiment itself was run again and gave its numbers",
}
_LIMIT = 2**20
_DIGITS = 6


class Rerun(Document):
    """A run that was made again, and its numbers in the order of the track's columns."""

    kind: Kind
    seed: Natural
    run_id: RunId
    numbers: tuple[Measured, ...]
    software: Facts
    device: Facts
    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]


class Check(Document):
    """What `ntkbench verify` writes."""

    schema_: Literal["ntkbench.check/1"] = Field(alias="schema")
    entry: Sha256
    """of the entry's file, as `ntkbench submit` writes it"""
    reruns: Annotated[tuple[Rerun, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _once(self) -> "Check":
        if len({run.run_id for run in self.reruns}) < len(self.reruns):
            raise ValueError("reruns: the same run stands here twice")
        return self


@dataclass(frozen=True)
class Comparison:
    """A number that is claimed, beside the one that was measured."""

    what: str
    claimed: float | None
    measured: float | None
    tolerance: float

    @property
    def ok(self) -> bool:
        if self.claimed is None or self.measured is None:
            return self.claimed is self.measured
        # What a tolerance of 0.01 allows is not to depend on the last bit of a subtraction.
        return abs(self.claimed - self.measured) <= self.tolerance * (1 + 1e-9)


def claim(name: str, folder: Path) -> tuple[Path, Track, Entry]:
    """The folder and rules of an entry's track, and the entry, with all recomputed that can be."""
    path = locate(name, folder)
    entry = read_entry(path)
    board = board_of(path) if (board_of(path) / FILE).is_file() else folder / entry.track
    track = read_track(board)
    recompute(entry, track, path)
    return board, track, entry


def small(track: Track, entry: Entry) -> Run:
    """The run whose numbers an entry's `mini` holds, or is to hold: of its first seed. SpecError if it cannot be."""
    cell = track.small(Cell.model_validate(entry.cell))
    check(cell, f"the small run of {track.name} does not fit {entry.name} (submit --no-mini does without)")
    seed = entry.mini.seed if entry.mini else entry.seeds[0]
    return Run("mini", cell, {"entry": slug(entry.name)}, seed, run_id(cell, seed))


def of_mini(track: Track, entry: Entry) -> list[Run]:
    """The small run again."""
    if entry.mini is None:
        raise UsageError(f"{entry.name} has no numbers of a small run to compare with; leave --mini out")
    return [small(track, entry)]


def of_seeds(entry: Entry, seeds: Sequence[int]) -> list[Run]:
    """Runs of the entry itself; of its first seed where none is named."""
    for seed in seeds:
        if seed not in entry.seeds:
            raise UsageError(f"seed {seed}: {entry.name} has the seeds {', '.join(map(str, entry.seeds))}")
    cell, ids = Cell.model_validate(entry.cell), dict(zip(entry.seeds, entry.run_ids, strict=True))
    return [
        Run("verify", cell, {"entry": slug(entry.name)}, seed, ids[seed])
        for seed in dict.fromkeys(seeds or entry.seeds[:1])
    ]


def planned(runs: Sequence[Run]) -> Plan:
    """A plan of these runs alone."""
    return Plan(Header(ntkbench=1, name="verify"), tuple(runs), "verify")


def with_mini(entry: Entry, track: Track, record: Record) -> Entry:
    """The entry with the numbers of its small run."""
    mini = Mini(seed=record.spec.seed, run_id=record.run_id, numbers=_numbers(track, record))
    return entry.model_copy(update={"mini": mini})


def rerun(track: Track, entry: Entry, record: Record) -> Rerun:
    """What a record says about an entry."""
    value: dict[str, Any] = {
        "kind": "seed" if record.run_id in entry.run_ids else "mini",
        "seed": record.spec.seed,
        "run_id": record.run_id,
        "numbers": [number.model_dump() for number in _numbers(track, record)],
        "software": record.software,
        "device": record.device,
        "date": record.time.ended[:10],
    }
    return accept(Rerun, value, f"run {record.run_id}")


def comparisons(track: Track, entry: Entry, run: Rerun) -> list[Comparison]:
    """All numbers of the run; VerificationError if the entry has none of such a run."""
    columns = track.all_columns
    claimed = _claimed(entry, run)
    if claimed is None or not len(claimed) == len(run.numbers) == len(columns):
        raise VerificationError(
            f"{entry.name}: it has no numbers of the run {run.run_id} ({run.kind}, seed {run.seed})"
        )
    return [
        Comparison(column.title, one.value, other.value, track.tolerance[METRICS[column.metric].unit])
        for column, one, other in zip(columns, claimed, run.numbers, strict=True)
    ]


def report(track: Track, entry: Entry, run: Rerun) -> str:
    """The table of a run's comparisons."""
    rows = [
        [each.what, _shown(each.claimed), _shown(each.measured), _off(each), f"{each.tolerance:g}", _verdict(each)]
        for each in comparisons(track, entry, run)
    ]
    headers = ["", "claimed", "measured", "difference", "allowed", ""]
    what = "small run" if run.kind == "mini" else "run"
    return f"{what} {run.run_id}, seed {run.seed}\n" + table(headers, rows, "plain")


def agrees(track: Track, entry: Entry, run: Rerun) -> bool:
    """Whether all numbers are within the track's tolerance."""
    return all(each.ok for each in comparisons(track, entry, run))


def conclude(folder: Path, track: Track, entry: Entry, runs: Sequence[Rerun]) -> str:
    """Write down that the runs agree; VerificationError, and nothing written, if one does not."""
    wrong = [f"run {run.run_id} (seed {run.seed})" for run in runs if not agrees(track, entry, run)]
    if wrong:
        raise VerificationError(
            f"{entry.name}: {', '.join(wrong)} does not give the entry's numbers; nothing is written down"
        )
    path = save(folder, entry, runs)
    found = level(track, entry, read(folder, entry), path)
    return f"{entry.name} is {found}: {path}\nNow run `ntkbench leaderboard build`, and commit both."


def level(track: Track, entry: Entry, check: Check | None, place: object) -> Level:
    """What the check makes of the entry; VerificationError if its numbers are not the entry's."""
    if check is None or check.entry != checksum(entry):
        return "claimed"
    for run in check.reruns:
        for each in comparisons(track, entry, run):
            if not each.ok:
                told = f"{each.what}: {_shown(each.claimed)} claimed, {_shown(each.measured)} measured"
                raise VerificationError(f"{place}: run {run.run_id}: {told}; no check, delete it")
    return "reproduced" if any(run.kind == "seed" for run in check.reruns) else "checked"


def checksum(entry: Entry) -> str:
    """Of the entry's file."""
    return sha256(jsonfile.dump(entry)).hexdigest()


def file(folder: Path, entry: Entry) -> Path:
    """Where the check of an entry lies. `folder`: the track's."""
    return folder / "checks" / f"{slug(entry.name)}.json"


def read(folder: Path, entry: Entry) -> Check | None:
    """The check of an entry, if there is one."""
    path = file(folder, entry)
    return jsonfile.parse(Check, jsonfile.read(path, _LIMIT), path) if path.is_file() else None


def save(folder: Path, entry: Entry, runs: Sequence[Rerun]) -> Path:
    """Write down that these runs agree; what was known of the same entry stays."""
    path, found = file(folder, entry), read(folder, entry)
    known = found.reruns if found is not None and found.entry == checksum(entry) else ()
    latest = {run.run_id: run for run in (*known, *runs)}
    check = Check(schema="ntkbench.check/1", entry=checksum(entry), reruns=tuple(latest.values()))
    jsonfile.write(path, jsonfile.dump(check))
    return path


def _claimed(entry: Entry, run: Rerun) -> Sequence[Measured] | None:
    if run.kind == "mini":
        mini = entry.mini
        return mini.numbers if mini is not None and (mini.run_id, mini.seed) == (run.run_id, run.seed) else None
    if (run.seed, run.run_id) not in zip(entry.seeds, entry.run_ids, strict=True):
        return None
    place = entry.seeds.index(run.seed)
    return [result.runs[place] for result in entry.results]


def _numbers(track: Track, record: Record) -> tuple[Measured, ...]:
    if record.status != "ok":
        why = record.error.message if record.error else ""
        raise NtkbenchError(f"run {record.run_id} is {record.status}: {why}")
    rows = [column.row(record.metrics, f"run {record.run_id}") for column in track.all_columns]
    return tuple(Measured(value=row.value, k=row.k, n=row.n) for row in rows)


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.{_DIGITS}g}"


def _off(each: Comparison) -> str:
    return "–" if each.claimed is None or each.measured is None else f"{each.measured - each.claimed:+.{_DIGITS}g}"


def _verdict(each: Comparison) -> str:
    return "ok" if each.ok else "DIFFERS"
