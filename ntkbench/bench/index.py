"""What the records of a store say in short, kept beside them, so that thousands of runs are looked up at once.

A cache: an entry counts only for the very file that it was read from, by its size, its number and both of its times,
so that an index that is old, or of another machine, costs time and never makes a run done that is not. It may be
deleted, and of several that write it at once the last one wins.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import file_digest
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ntkbench.bench import jsonfile, record, unmet
from ntkbench.bench.jsonfile import Document, Line, Natural
from ntkbench.bench.record import Instant, Record, RunId, Sha256, Status
from ntkbench.bench.store import Store
from ntkbench.errors import NtkbenchError, StorageError

FILE = "index.json"
_LIMIT = 2**30
_WORTH = 200
"""records that are read in no time, and not worth a file"""
_SETTLED = 2e9
"""ns, far more than a tick of a file system's clock: a file that was changed in this one may change in it again"""

Signature = tuple[int, int, int, int]


class End(Document):
    """How a run ended, and what its record rests on."""

    status: Status
    attempt: Natural
    error: Line | None
    started: Instant
    ended: Instant
    trained_s: float
    """before its start, of the training that it shares"""
    spec: Line
    stages: dict[Line, Line]
    """keys of the objects that it names, by the stage's name in the record"""
    arrays: tuple[Sha256, ...]
    failed_checks: Natural
    """how many of its checks did not hold"""


class Entry(Document):
    """An end, with the signature of the file that says so, and of the arrays beside it where they were whole."""

    record: Signature
    whole: Signature | None
    end: End


class _File(Document):
    schema_: Literal["ntkbench.index/2"] = Field(alias="schema")
    entries: Annotated[dict[RunId, Entry], Field(default={})]


@dataclass
class Index:
    """The ends of a store's runs, as far as they were looked up."""

    store: Store
    entries: dict[str, Entry] = field(default_factory=dict)
    _restless: set[str] = field(default_factory=set)
    """runs whose files were changed a moment before they were read"""
    _news: int = 0

    @classmethod
    def open(cls, store: Store) -> "Index":
        """With what is known already."""
        path = store.root / FILE
        if path.is_file():
            with suppress(NtkbenchError):  # as good as none
                return cls(store, dict(jsonfile.parse(_File, jsonfile.read(path, _LIMIT), path).entries))
        return cls(store)

    def end(self, run_id: str) -> End | None:
        """Of a run, None where it has no record; NtkbenchError where that is damaged."""
        path, began = self.store.record(run_id), time.time_ns()
        now = signature(path)
        known = self.entries.get(run_id)
        if now is None or known is None or known.record != now:
            self.entries.pop(run_id, None)
            if now is None:
                return None
            known = self._learn(run_id, Entry(record=now, whole=None, end=_end(record.read(path))), began)
        return known.end

    def is_whole(self, run_id: str) -> bool:
        """Whether the arrays beside the record of a run whose end is known are those that it speaks of."""
        known, path, began = self.entries[run_id], self.store.arrays(run_id), time.time_ns()
        now = signature(path)
        if not known.end.arrays or (now is not None and known.whole == now):
            return True
        if now is None or known.end.arrays != (checksum(path),):
            return False
        self._learn(run_id, known.model_copy(update={"whole": now}), began)
        return True

    def keep(self) -> None:
        """Save what was learned, where it is much; a store that can only be read stays as it is."""
        if self._news >= _WORTH:
            self._news = 0
            with suppress(StorageError):
                self.save()

    def save(self) -> None:
        """Write the index; of the last moments it knows nothing."""
        settled = {name: entry for name, entry in self.entries.items() if name not in self._restless}
        content = _File(schema="ntkbench.index/2", entries=settled).model_dump_json(by_alias=True)
        jsonfile.write(self.store.root / FILE, content.encode())

    def _learn(self, run_id: str, entry: Entry, began: int) -> Entry:
        self.entries[run_id] = entry
        if max(entry.record[2:] + (entry.whole or entry.record)[2:]) > began - _SETTLED:
            self._restless.add(run_id)
        else:
            self._news += 1
        return entry


def build(store: Store) -> tuple[Index, list[NtkbenchError]]:
    """A new index of all records, and what is wrong with those that it leaves out."""
    index, damaged = Index(store), []
    for run_id in run_ids(store):
        try:
            if index.end(run_id) is not None:
                index.is_whole(run_id)
        except NtkbenchError as error:
            damaged.append(error)
    return index, damaged


def ends(store: Store) -> dict[str, End]:
    """Of all records that can be read."""
    index, found = Index.open(store), {}
    for run_id in run_ids(store):
        with suppress(NtkbenchError):
            if (end := index.end(run_id)) is not None:
                found[run_id] = end
    index.keep()
    return found


def run_ids(store: Store) -> list[str]:
    """Of all records, by their names."""
    return sorted(path.stem for path in store.records.glob("r*.json"))


def signature(path: Path) -> Signature | None:
    """What tells a file from what it was before: size, number, and when its content and it were changed last."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def checksum(path: Path) -> str:
    """Of a file of any size."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _end(found: Record) -> End:
    training = found.stages.get("training")
    message = found.error.message.splitlines() if found.error else []
    return End(
        status=found.status,
        attempt=found.attempt,
        error=(message or [""])[0][:1000] if found.error else None,
        started=found.time.started,
        ended=found.time.ended,
        trained_s=(training.compile_s or 0.0) + (training.run_s or 0.0) if training else 0.0,
        spec=found.spec.name,
        stages={name: stage.key for name, stage in found.stages.items()},
        arrays=tuple(sorted({note.sha256 for note in (found.samples, *found.series.values()) if note is not None})),
        failed_checks=unmet.count(found),
    )
