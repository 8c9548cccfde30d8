"""A cache of what the records of a store say in short, so that thousands of runs are looked up at once.

`lookup`, `status` and `ntkbench store` read the ends of runs through it. An entry counts only for the very file that it
was read from, recognized by size, inode and both times: an index that is old, or from another machine, costs time and
never makes an unfinished run count as done. The file may be deleted; if several processes write it, the last one wins.
"""

import abc
import time
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import file_digest
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ntkbench import documents, files
from ntkbench.documents import Document, Line, Natural
from ntkbench.errors import NtkbenchError, StorageError
from ntkbench.store import record as store_record
from ntkbench.store.failed_checks import count
from ntkbench.store.folder import StoreFolder
from ntkbench.store.record import Instant, Record, RunId, Sha256, Status

FILE = "index.json"
"""name of the index in the store's folder"""
_LIMIT = 2**30
"""bytes; a larger index is ignored"""
_WORTH = 200
"""number of newly read records from which on a file is saved; fewer are read again in no time"""
_SETTLED = 2e9
"""nanoseconds, far more than a tick of a file system's clock; a file that was changed this shortly before it was read
may change again without a new time stamp, so its entry is not saved
"""

Signature = tuple[int, int, int, int]
"""size, inode, and times of the last change of content and of metadata (ns)"""


class RunSummary(Document):
    """State how a run ended, and the stored objects that its record refers to."""

    status: Status
    attempt: Natural
    error: Line | None
    """first line of the error's message"""
    started: Instant
    ended: Instant
    trained_s: float
    """seconds of the training that the run shares with others, spent before its start"""
    spec: Line
    """name of the spec"""
    stages: dict[Line, Line]
    """keys of the run's objects in the store, by the name of the stage"""
    arrays: tuple[Sha256, ...]
    """checksums of the file of arrays beside the record"""
    failed_checks: Natural
    """number of checks that failed"""


class IndexEntry(Document):
    """A run's end, with the signatures of its record and, once they were found to be whole, of its arrays."""

    record: Signature
    whole: Signature | None
    end: RunSummary


class _File(Document):
    """The content of an index file."""

    schema_: Literal["ntkbench.index/2"] = Field(alias="schema")
    entries: Annotated[dict[RunId, IndexEntry], Field(default={})]


@dataclass
class Cache(abc.ABC):
    """Keep what was read from the records of a store, in a file of the store that saves reading them again."""

    store: StoreFolder
    _restless: set[str] = field(default_factory=set, kw_only=True)
    """runs whose files were changed a moment before they were read; they are not saved"""
    _news: int = field(default=0, kw_only=True)
    """number of entries that the file does not have yet"""

    def keep(self) -> None:
        """Save the file if much is new; a store that cannot be written stays as it is."""
        if self._news >= _WORTH:
            self._news = 0
            with suppress(StorageError):
                self.save()

    @abc.abstractmethod
    def save(self) -> None:
        """Write the file, without what was read of files that were changed a moment before."""

    def _note(self, run_id: str, began: int, *read: "Signature | None") -> None:
        """Note that files of a run with these signatures were read at time `began` (ns)."""
        if all(is_settled(each, began) for each in read if each):
            self._news += 1
        else:
            self._restless.add(run_id)


@dataclass
class Index(Cache):
    """The ends of a store's runs, read from records when they are first asked for."""

    entries: dict[str, IndexEntry] = field(default_factory=dict)

    @classmethod
    def open(cls, store: StoreFolder) -> "Index":
        """Return the index of a store with the entries of its file; an unreadable file counts as none."""
        path = store.root / FILE
        if path.is_file():
            with suppress(NtkbenchError):  # an unreadable index is ignored
                return cls(store, entries=dict(documents.parse(_File, documents.read(path, _LIMIT), path).entries))
        return cls(store)

    def summary(self, run_id: str) -> RunSummary | None:
        """Return how a run ended; None if it has no record.

        Raise NtkbenchError if the record is damaged.
        """
        path, began = self.store.record(run_id), time.time_ns()
        now = signature(path)
        known = self.entries.get(run_id)
        if now is None or known is None or known.record != now:
            self.entries.pop(run_id, None)
            if now is None:
                return None
            known = self._learn(run_id, IndexEntry(record=now, whole=None, end=_end(store_record.read(path))), began)
        return known.end

    def arrays_intact(self, run_id: str) -> bool:
        """Return whether a run's file of arrays has the checksum in its record; True if the record names none.

        `end` must have been called for the run.
        """
        known, path, began = self.entries[run_id], self.store.arrays(run_id), time.time_ns()
        now = signature(path)
        if not known.end.arrays or (now is not None and known.whole == now):
            return True
        if now is None or known.end.arrays != (checksum(path),):
            return False
        self._learn(run_id, known.model_copy(update={"whole": now}), began)
        return True

    def save(self) -> None:
        """Write the index, without entries of files that were changed a moment before they were read."""
        settled = {name: entry for name, entry in self.entries.items() if name not in self._restless}
        content = _File(schema="ntkbench.index/2", entries=settled).model_dump_json(by_alias=True)
        files.write(self.store.root / FILE, content.encode())

    def _learn(self, run_id: str, entry: IndexEntry, began: int) -> IndexEntry:
        """Remember an entry that was read at time `began` (ns), and return it."""
        self.entries[run_id] = entry
        self._note(run_id, began, entry.record, entry.whole)
        return entry


def build(store: StoreFolder) -> tuple[Index, list[NtkbenchError]]:
    """Return a new index of all records, and an error for each record that is left out because it is damaged."""
    index, damaged = Index(store), []
    for run_id in run_ids(store):
        try:
            if index.summary(run_id) is not None:
                index.arrays_intact(run_id)
        except NtkbenchError as error:
            damaged.append(error)
    return index, damaged


def summaries(store: StoreFolder) -> dict[str, RunSummary]:
    """Return the ends of all readable records, by run id."""
    index, found = Index.open(store), {}
    for run_id in run_ids(store):
        with suppress(NtkbenchError):
            if (end := index.summary(run_id)) is not None:
                found[run_id] = end
    index.keep()
    return found


def run_ids(store: StoreFolder) -> list[str]:
    """Return the ids of all records, by their file names."""
    return sorted(path.stem for path in store.records.glob("r*.json"))


def signature(path: Path) -> Signature | None:
    """Return the signature that tells a file from its earlier versions; None if there is no file."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def is_settled(found: Signature, began: int) -> bool:
    """Return whether a file with this signature that was read at time `began` (ns) cannot change without another."""
    return max(found[2:]) <= began - _SETTLED


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal text, without loading it whole."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _end(found: Record) -> RunSummary:
    """Return what the index keeps of a record."""
    training = found.stages.get("training")
    message = found.error.message.splitlines() if found.error else []
    return RunSummary(
        status=found.status,
        attempt=found.attempt,
        error=(message or [""])[0][:1000] if found.error else None,
        started=found.time.started,
        ended=found.time.ended,
        trained_s=(training.compile_s or 0.0) + (training.run_s or 0.0) if training else 0.0,
        spec=found.spec.name,
        stages={name: stage.key for name, stage in found.stages.items()},
        arrays=tuple(sorted({note.sha256 for note in (found.samples, *found.series.values()) if note is not None})),
        failed_checks=count(found),
    )
