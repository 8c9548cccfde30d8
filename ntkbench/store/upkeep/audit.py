"""Check that a store holds what was written to it, for `ntkbench store verify`.

Every object and record is read whole, with all bytes of the arrays beside it. Damaged files are moved aside, never
deleted.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ntkbench import documents
from ntkbench.errors import NtkbenchError, StorageError
from ntkbench.spec.cell import Cell
from ntkbench.spec.identity import run_id
from ntkbench.store import record
from ntkbench.store.folder import STAGES
from ntkbench.store.index import checksum
from ntkbench.store.record import Record
from ntkbench.store.store import Store
from ntkbench.store.upkeep.inventory import StoredItem

_AGAIN = "the next run that needs it makes it again"
"""what a damaged object means"""


@dataclass(frozen=True)
class Damage:
    """One damage: what is wrong, what follows from it (`then`), and the files it is about."""

    what: str
    then: str
    paths: tuple[Path, ...]

    def __str__(self) -> str:
        return f"{self.what}; {self.then}"


def examinable(items: Iterable[StoredItem]) -> list[StoredItem]:
    """Return the objects and records among the things of a store; nothing else holds a result."""
    return [each for each in items if each.kind in STAGES or (each.kind == "records" and each.path.suffix == ".json")]


def examine(store: Store, item: StoredItem) -> Damage | None:
    """Read an object or a record whole, and return what is wrong with it; None if nothing is, or if it has gone."""
    if item.kind in STAGES:
        why = store.damage(item.kind, item.name) if item.path.exists() else None
        return Damage(f"{item.path}: damaged: {why}", _AGAIN, (item.path,)) if why else None
    try:
        read_verified(item.path)
    except NtkbenchError as error:
        if not item.path.exists():  # gone since it was listed
            return None
        arrays = item.path.with_suffix(".npz")
        return Damage(str(error), "the run counts as not done: run its spec again", (item.path, arrays))
    return None


def read_verified(path: Path) -> Record:
    """Return the record in a file after checking its id and its arrays.

    Raises:
        NtkbenchError: if the record cannot be read, if its run id is not the hash of the cell and seed in it, or if the
            arrays beside it are missing or differ from its checksum.
    """
    found = record.read(path)
    try:
        cell = Cell.model_validate(found.spec.resolved)
    except ValidationError as error:
        told = documents.explain(error, f"{path}: spec.resolved").splitlines()[0]
        raise NtkbenchError(f"{told} (kinds of extensions need these to be installed)") from None
    if (known := run_id(cell, found.spec.seed)) != found.run_id:
        raise NtkbenchError(f"{path}: what it says was run is {known}, not {found.run_id}")
    _arrays(found, path.with_suffix(".npz"))
    return found


def _arrays(found: Record, path: Path) -> None:
    """Check the name and the checksum of the npz file at `path` against a record; NtkbenchError if they differ."""
    notes = [note for note in (found.samples, *found.series.values()) if note is not None]
    for file in {note.file for note in notes} - {path.name}:
        raise NtkbenchError(f"{path}: the record says {file}, which is not the name of this run's arrays")
    try:
        if notes and {note.sha256 for note in notes} != {checksum(path)}:
            raise NtkbenchError(f"{path}: its checksum is not the record's")
    except OSError as error:
        raise NtkbenchError(f"{path}: cannot be read: {error.strerror}") from None


def report(found: Sequence[Damage], examined: int, moved: Sequence[Path]) -> str:
    """Return the report: a line for each finding, a line for each file that was moved, and the counts."""
    lines = [*map(str, found), *(f"moved to {path}" for path in moved)]
    return "\n".join([*lines, f"{examined} objects and records, of which {len(found)} are damaged"])


def quarantine(store: Store, finding: Damage) -> Iterator[Path]:
    """Move the files of a finding to the same place below `damaged/` in the store, and yield their new paths.

    Files that were moved there before are kept: a later one gets a number. StorageError if a file cannot be moved.
    """
    for path in finding.paths:
        target = store.root / "damaged" / path.relative_to(store.root)
        earlier = 0
        while target.exists():
            earlier += 1
            target = target.with_name(f"{path.name}.{earlier}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StorageError(f"{path}: cannot be moved to {target}: {error.strerror}") from error
        yield target
