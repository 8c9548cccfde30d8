"""Merge the stores of other machines into one store.

The other store is not trusted. Each file is copied first, the copy is examined, and only what passes is kept. Links are
not followed and names are checked, so that nothing outside the other store is read. Whatever this store has stays as it
is: merging the same store twice, or again after an interruption, brings only what is missing. `ntkbench store merge`
calls `merge` for each store, then `conclude` for all.
"""

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import BinaryIO

from ntkbench import documents, files, text
from ntkbench.errors import NtkbenchError, UsageError, VerificationError
from ntkbench.store import record as records
from ntkbench.store.comparison import Comparison, comparisons
from ntkbench.store.folder import STAGES
from ntkbench.store.record import Record
from ntkbench.store.store import Store, damage
from ntkbench.store.upkeep.audit import read_verified
from ntkbench.text import slug

_KEY = re.compile(
    r"[a-z][0-9a-z]{12}(-[0-9]+(-[0-9]+)?(\.[0-9]+(-[0-9]+)?)*)?(@step[0-9]{1,12}|@[0-9]{1,9}-[0-9]{1,9}-[0-9]{1,9})?"
)
"""keys of objects: a hash, the seeds that trained together (`-0-4.7`), and the step of a checkpoint or snapshot, or the
rows of a tile and its place (`@4096-3-0`)"""
_RECORD = re.compile(r"(r[0-9a-z]{12})\.json")
_OBJECT_LIMIT = 2**38
"""bytes; a larger file of an object is left out"""


class _NotMergeable(Exception):  # noqa: N818 (what is found, not an error of ours)
    """A file of the other store that is damaged, or that no store of ours holds; the message says why."""


@dataclass(frozen=True)
class Conflict:
    """A run that both stores have a result of, with values that differ by more than the tolerance."""

    run_id: str
    numbers: tuple[Comparison, ...]
    """the values that differ: ours as `claimed`, theirs as `measured`"""
    kept: Path
    """the file that holds their record, below `conflicts/` of this store"""

    def __str__(self) -> str:
        lines = [each.told("here", "there") for each in self.numbers]
        return "\n".join(f"{self.run_id}: {line}" for line in [*lines, f"theirs is kept as {self.kept}"])


@dataclass
class Merged:
    """Running totals of the merge of one other store."""

    counts: Counter[str] = field(default_factory=Counter)
    """how many records and objects were brought in or found equal, by what is said of them"""
    conflicts: list[Conflict] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """a message for each file that was left out"""

    def __str__(self) -> str:
        return ", ".join(f"{number} {what}" for what, number in self.counts.items()) or "nothing new"


def merge(store: Store, other: Path, *, objects: bool = True) -> Iterator[Merged]:
    """Merge the store in the folder `other` into `store`; yield the totals so far after each file, and once at the end.

    Every yielded object is the same `Merged`. Records come first, then, unless `objects` is off, the objects of each
    stage. Raises UsageError where `other` is no store, or is, holds or lies in this one; StorageError where this store
    cannot be written.
    """
    if not any((other / name).is_dir() for name in ("records", "objects")):
        raise UsageError(f"{other}: there is no store")
    ours, theirs = store.root.resolve(), other.resolve()
    if ours == theirs or theirs in ours.parents or ours in theirs.parents:
        raise UsageError(f"{other}: a store cannot be merged with itself, or with one that it holds")
    merged = Merged()
    with files.writing(store.root):
        store.records.mkdir(parents=True, exist_ok=True)
    for path in _members(other / "records", merged):
        if path.suffix == ".json":
            _try(merged, path, lambda path=path: _record(store, path, merged, _conflicts(store, other)))
            yield merged
    for stage in STAGES if objects else ():
        for path in _members(other / "objects" / stage, merged):
            if not path.name.startswith("."):
                _try(merged, path, lambda path=path, stage=stage: _object(store, stage, path, merged))
                yield merged
    yield merged


def conclude(store: Store, found: Mapping[Path, Merged]) -> str:
    """Return a summary of the stores that were merged, a line each; `found` maps their folders to their totals.

    Raises VerificationError, with the summary and all conflicts, where a run has other values than here.
    """
    lines = [f"{other}: {merged}" for other, merged in found.items()]
    conflicts = [str(each) for merged in found.values() for each in merged.conflicts]
    if conflicts:
        told = f"{len(conflicts)} runs have other numbers than in {store.root}, where nothing of them was changed"
        raise VerificationError("\n".join([*lines, *conflicts, told]))
    return "\n".join(lines)


def _try(merged: Merged, path: Path, bring: Callable[[], None]) -> None:
    """Call `bring`, which merges the file at `path`; where the file is strange, note it as left out instead."""
    try:
        bring()
    except _NotMergeable as why:
        merged.skipped.append(text.one_line(f"{path}: {why}; left out", 500))


def _conflicts(store: Store, other: Path) -> Store:
    """Return the store that conflicting records of `other` go to: a whole store, so that other commands can read it."""
    return Store(store.root / "conflicts" / slug("-".join(other.resolve().parts[-2:])))


def _members(folder: Path, merged: Merged) -> list[Path]:
    """Return what a folder of the other store holds, sorted; nothing, with a note in `merged`, where it is a link."""
    if folder.is_symlink() or not folder.is_dir():
        if folder.is_symlink():
            merged.skipped.append(f"{folder}: a link, which may lead anywhere; left out")
        return []
    return sorted(folder.iterdir())


def _record(store: Store, path: Path, merged: Merged, conflicts: Store) -> None:
    """Merge one record of the other store, with the arrays beside it.

    A file that equals ours byte by byte is not read further. Any other is copied to a temporary folder and examined
    there, so that the file that was examined is the one that is kept. Raises _Strange where it is no sound record.
    """
    match = _RECORD.fullmatch(path.name)
    if not match:
        raise _NotMergeable("not the name of a record")
    ours = store.record(match[1])
    with _ordinary(path, documents.LIMIT) as file:
        if ours.is_file() and file.read() == ours.read_bytes() and _is_sound(ours):
            merged.counts["records as here"] += 1
            return
    with files.writing(store.root), TemporaryDirectory(prefix=".merge.", dir=store.root) as folder:
        draft = Path(folder) / path.name
        _copy(path, draft, documents.LIMIT)
        if path.with_suffix(".npz").exists():
            _copy(path.with_suffix(".npz"), draft.with_suffix(".npz"), files.LIMIT)
        try:
            theirs = read_verified(draft)
        except NtkbenchError as error:
            raise _NotMergeable(str(error).replace(folder, str(path.parent))) from None
        if not _is_sound(ours):
            _keep(store, theirs, draft)
            merged.counts["new records"] += 1
        else:
            _reconcile(store, records.read(ours), theirs, draft, merged, conflicts)


def _reconcile(store: Store, ours: Record, theirs: Record, draft: Path, merged: Merged, conflicts: Store) -> None:
    """Decide between two sound records of one run; `draft` is the file with theirs, which is moved where it is kept.

    A result (status ok) takes the place of a failure. Of two results ours stays, and theirs becomes a conflict where
    values differ by more than the tolerance. Of two failures the one with more attempts stays, then the later one.
    """
    if ours.status == theirs.status == "ok":
        if apart := [each for each in comparisons(ours, theirs) if not each.ok]:
            _keep(conflicts, theirs, draft)
            merged.conflicts.append(Conflict(ours.run_id, tuple(apart), conflicts.record(ours.run_id)))
        else:
            merged.counts["records as here"] += 1
    elif theirs.status == "ok":
        records.write(theirs.model_copy(update={"attempt": ours.attempt + theirs.attempt}), draft)
        _keep(store, theirs, draft)
        merged.counts["results of runs that were not ok here"] += 1
    elif ours.status != "ok" and (theirs.attempt, theirs.time.ended) > (ours.attempt, ours.time.ended):
        _keep(store, theirs, draft)
        merged.counts["later attempts"] += 1
    else:
        merged.counts["records as here"] += 1


def _keep(store: Store, theirs: Record, draft: Path) -> None:
    """Move their record into `store`, after its arrays: a record must not name arrays that are not there."""
    store.records.mkdir(parents=True, exist_ok=True)
    if draft.with_suffix(".npz").exists():
        draft.with_suffix(".npz").replace(store.arrays(theirs.run_id))
    draft.replace(store.record(theirs.run_id))


def _is_sound(path: Path) -> bool:
    """Return whether a file holds a record that can be believed, see `audit.sound`."""
    try:
        read_verified(path)
    except NtkbenchError:
        return False
    return True


def _object(store: Store, stage: str, path: Path, merged: Merged) -> None:
    """Copy one object of the other store, unless it is here already; raise _Strange where it is damaged.

    A checkpoint whose training has ended here is of no use and is not copied.
    """
    if not _KEY.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
        raise _NotMergeable("not an object")
    if store.has(stage, path.name):
        return
    if stage == "checkpoint" and store.has("training", path.name.partition("@")[0]):
        return
    with files.writing(store.root), store.draft(stage, path.name) as draft:
        for name in ("arrays.npz", "manifest.json"):
            _copy(path / name, draft / name, _OBJECT_LIMIT)
        if why := damage(draft, stage, path.name):
            raise _NotMergeable(f"damaged: {why}")
    merged.counts[f"{stage} objects"] += 1


@contextmanager
def _ordinary(path: Path, limit: int) -> Iterator[BinaryIO]:
    """Open a regular file of at most `limit` bytes; raise _Strange for a link, a pipe, or a larger file.

    The type and the size are those of the open file, so that it cannot be exchanged in between.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise _NotMergeable(f"{path.name} cannot be read, or is a link: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
            raise _NotMergeable(f"{path.name} is no ordinary file, or larger than {limit} bytes")
        yield file


def _copy(source: Path, target: Path, limit: int) -> None:
    """Copy a regular file of at most `limit` bytes to `target`, which must not exist, and flush it to disk."""
    with _ordinary(source, limit) as file, target.open("xb") as copy:
        copyfileobj(file, copy, 2**20)
        files.flush(copy)
