"""Read and write the checks that lie beside entries: what somebody ran again, and what it makes of a level."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ntkbench import documents, files
from ntkbench.boards.entry import Entry
from ntkbench.boards.outcomes import Digits
from ntkbench.documents import Document, Facts, Natural
from ntkbench.store.record import Measured, RunId, Sha256
from ntkbench.text import slug

Kind = Literal["mini", "seed"]
Level = Literal["claimed", "checked", "reproduced"]
LEVELS: Mapping[Level, str] = {
    "claimed": "run ids, rules, counts and means were recomputed from the entry; nobody has run it again, so it has "
    "no rank",
    "checked": "its experiments, made small, were run again and gave the numbers that the entry has for them",
    "reproduced": "so many of its seeds were run again and gave its numbers and outcomes",
}
"""levels from the least confirmed to the most, and what each means"""
_LIMIT = 32 * 2**20
"""largest size of a check file, in bytes"""


@dataclass(frozen=True)
class Judgement:
    """The level of an entry, and how many of its seeds were reproduced."""

    level: Level
    reproduced: int = 0
    seeds: int = 0

    def __str__(self) -> str:
        return f"{self.level} ({self.reproduced} of {self.seeds} seeds)" if self.level == "reproduced" else self.level


class Rerun(Document):
    """A repeated run: its numbers in the order of `Track.measured`, and the outcomes that entries keep."""

    kind: Kind
    """mini: a small run; seed: a run of one of the entry's seeds"""
    label: str
    """label of the target whose cell was run"""
    seed: Natural
    run_id: RunId
    numbers: tuple[Measured, ...]
    outcomes: tuple[Digits | None, ...] = ()
    """outcomes of each number, one digit a test point, as the entry has them; none of a small run"""
    software: Facts
    device: Facts
    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
    """day on which the run ended"""


class EntryCheck(Document):
    """The file that `ntkbench verify` writes: repeated runs that all agree with an entry."""

    schema_: Literal["ntkbench.check/2"] = Field(alias="schema")
    entry: Sha256
    """checksum of the entry's whole file, as `ntkbench submit` writes it"""
    reruns: Annotated[tuple[Rerun, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _once(self) -> "EntryCheck":
        if len({run.run_id for run in self.reruns}) < len(self.reruns):
            raise ValueError("reruns: the same run stands here twice")
        return self


# ---- the file ------------------------------------------------------------------------------------


def checksum(entry: Entry) -> str:
    """Return the SHA-256 of the entry's file, as `ntkbench submit` writes it."""
    return sha256(documents.dump(entry)).hexdigest()


def file(folder: Path, entry: Entry) -> Path:
    """Return the path of an entry's check; `folder` is the track's."""
    return folder / "checks" / f"{slug(entry.name)}.json"


def read(folder: Path, entry: Entry) -> EntryCheck | None:
    """Return the check of an entry; None if there is no file."""
    path = file(folder, entry)
    return documents.parse(EntryCheck, documents.read(path, _LIMIT), path) if path.is_file() else None


def save(folder: Path, entry: Entry, runs: Sequence[Rerun]) -> Path:
    """Write the check with these runs, and with earlier ones if they belong to the same entry; return its path."""
    path, found = file(folder, entry), read(folder, entry)
    known = found.reruns if found is not None and found.entry == checksum(entry) else ()
    latest = {run.run_id: run for run in (*known, *runs)}
    check = EntryCheck(schema="ntkbench.check/2", entry=checksum(entry), reruns=tuple(latest.values()))
    files.write(path, documents.dump(check))
    return path
