"""Read thousands of records for tables, exports and reports without reading again what has not changed.

    (found,) = records(StoreFolder(Path("runs")), planned.runs)
    numbers(found).values

A file in the store has what tables need of each record (`columns`). As in the index, a row counts only for the very
file that it was read from, recognized by size, inode and both times. The file may be deleted; a damaged one, or one of
another version, counts as none. If several processes write it, the last one wins.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import time_ns
from typing import Any

from pydantic import PrivateAttr, ValidationError

from ntkbench.errors import NtkbenchError
from ntkbench.plan.runs import Run
from ntkbench.store import index
from ntkbench.store import record as store_record
from ntkbench.store.columns import OF_REQUEST, PARTS, Columns, NumberColumns, numbers_of
from ntkbench.store.folder import StoreFolder
from ntkbench.store.index import Cache
from ntkbench.store.lookup import readable
from ntkbench.store.record import CheckRow, Record, Request

FILE = "tables.npz"
"""name of the file in the store's folder"""


class KeptRecord(Record):
    """A record whose fields are looked up when they are asked for.

    Passing checks and the checksum are read from the record's file. It cannot be dumped: `record.read` gives a whole
    one.
    """

    _columns: Columns = PrivateAttr()
    _place: int = PrivateAttr()
    _path: Path = PrivateAttr()

    @classmethod
    def at(cls, columns: Columns, place: int, path: Path) -> "KeptRecord":
        """Return the record at a place of some columns; `path` is the file that it was read from."""
        made = cls.model_construct(run_id=columns.runs[place])
        vars(made).pop("sha256")  # not its default
        made._columns, made._place, made._path = columns, place, path
        return made

    def __getattr__(self, name: str) -> Any:
        if name in PARTS:
            found = self._part(name)
        elif name == "spec":
            found = Request.model_construct(**{each: self._part(each) for each in OF_REQUEST})
        elif name == "metrics":
            return tuple(self._columns.numbers([self._place]).rows())
        elif name in Record.model_fields:
            return getattr(store_record.read(self._path), name)
        else:
            return super().__getattr__(name)  # type: ignore[misc]
        vars(self)[name] = found  # asked for again and again, and shared with other records
        return found

    @property
    def failed_checks(self) -> tuple[CheckRow, ...]:
        if (found := vars(self).get("_failed_checks")) is None:
            found = vars(self)["_failed_checks"] = self._part("failed_checks")
        return found

    def _part(self, name: str) -> Any:
        """Return a field of the record or of its request; from its file where columns have what is no longer one."""
        try:
            return self._columns.part(name, self._place)
        except ValidationError:
            whole = store_record.read(self._path)
            return getattr(whole.spec if name in OF_REQUEST else whole, name)


@dataclass
class KeptRecords(Cache):
    """The records of a store, of which those that have not changed are taken from its file of columns."""

    columns: Columns = field(default_factory=Columns)
    _places: dict[str, int] = field(default_factory=dict)
    """places of the rows that count, by run id"""

    @classmethod
    def open(cls, store: StoreFolder) -> "KeptRecords":
        """Return the records of a store with the columns of its file; an unreadable file counts as none."""
        columns = Columns.read(store.root / FILE)
        return cls(store, columns, {run: place for place, run in enumerate(columns.runs)})

    def find(self, run_id: str) -> KeptRecord | None:
        """Return the record of a run; None if it has none. Raise NtkbenchError if it is damaged."""
        path, began = self.store.record(run_id), time_ns()
        now, place = index.signature(path), self._places.get(run_id)
        if now is None or place is None or self.columns.signatures[place] != now:
            self._places.pop(run_id, None)
            if now is None:
                return None
            place = self._places[run_id] = self.columns.add(store_record.read(path), now)
            self._note(run_id, began, now)
        return KeptRecord.at(self.columns, place, path)

    def save(self) -> None:
        """Write the file, without records that are gone or were changed a moment before they were read."""
        there = set(index.run_ids(self.store)) - self._restless
        self.columns.write(self.store.root / FILE, [place for run, place in self._places.items() if run in there])


def records(store: StoreFolder, *plans: Iterable[Run]) -> list[list[Record]]:
    """Return what `lookup.records` does for each plan, from the store's columns where a file has not changed.

    These records are for tables: passing checks are read when they are asked for, and none can be dumped.
    """
    if not store.records.is_dir():
        return [[] for _ in plans]
    kept = KeptRecords.open(store)
    found: list[list[Record]] = [
        [record for run in runs if (record := readable(run.id, kept.find)) is not None] for runs in plans
    ]
    kept.keep()
    return found


def every_record(store: StoreFolder) -> tuple[list[Record], list[NtkbenchError]]:
    """Return what `record.read_all` does for a store, from the store's columns where a file has not changed."""
    kept, found, damaged = KeptRecords.open(store), [], []
    for path in sorted(store.records.glob("*.json")):
        try:
            if (record := kept.find(path.stem)) is not None:
                found.append(record)
        except NtkbenchError as error:
            damaged.append(error)
    kept.keep()
    return found, damaged


def numbers(records: Sequence[Record]) -> NumberColumns:
    """Return the numbers of some records as columns, at once where they were kept so."""
    kept = [each for each in records if isinstance(each, KeptRecord)]
    if kept and len(kept) == len(records) and len({id(each._columns) for each in kept}) == 1:
        return kept[0]._columns.numbers([each._place for each in kept])
    return numbers_of(records)
