"""The store: a folder with the records of runs, and with finished stages as objects.

`objects/<stage>/<key>/` holds `arrays.npz` and `manifest.json`. An object is written beside its place, flushed, and
renamed: it is there whole, or not at all. A damaged one counts as absent, with a warning, and is replaced. Locks keep
two processes on one store from doing the same work; where they fail, work is done twice and nothing worse, since of two
that save the same object one comes first and the other leaves it.

Commands that only look at what there is use a `StoreFolder`, which imports neither NumPy nor filelock.
"""

import errno
import hashlib
import io
import json
import os
import shutil
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from ntkbench import files
from ntkbench.data import npz
from ntkbench.files import open_regular, read_bounded
from ntkbench.store.folder import StoreFolder, StoreWarning
from ntkbench.store.locks import has_locks, hold

_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
"""what file systems answer that cannot rename over a folder which is not empty"""
_MANIFEST = 2**24
"""bytes that a manifest has at most"""


class _Damage(Exception):  # noqa: N818 (what is found, not an error of ours)
    """An object that is not what was saved; the message says why."""


@dataclass(frozen=True)
class Stored:
    """An object in memory: its arrays by name, and the facts that its maker noted, as JSON."""

    arrays: dict[str, np.ndarray]
    facts: dict[str, Any]


@dataclass(frozen=True)
class Store(StoreFolder):
    """A folder of objects, records and logs, with all that is done to them."""

    def prepare(self) -> None:
        """Make the folders; raise StorageError if runs cannot be kept, before hours of work. Warn if there are no
        locks."""
        locks = self.root / "locks"
        with files.writing(self.root):
            for folder in (self.records, locks):
                folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=self.records) as probe:
                probe.write(bytes(4096))
                files.flush(probe)
            locked = has_locks(locks)
        if not locked:
            message = f"the file system of {self.root} has no locks; files that their holders touch stand in for them"
            message += ", and what a killed process was at waits for a minute or two"
            warnings.warn(message, StoreWarning, stacklevel=2)

    def load(self, stage: str, key: str) -> Stored | None:
        """Return the object, or None where it is absent or damaged. A damaged one is warned of."""
        place = self._place(stage, key)
        try:
            with _opened(place, stage, key) as (file, facts):
                # Stored as they are, not compressed: together they are no larger than their file.
                stored = Stored(npz.read(file, os.fstat(file.fileno()).st_size), facts)
        except npz.Damaged as found:  # its checksum is right, so that no `save` would replace it
            self.discard(stage, key)
            return self._damaged(place, str(found))
        except (_Damage, OSError) as found:
            absent = isinstance(found, (FileNotFoundError, NotADirectoryError)) or not place.exists()
            return None if absent else self._damaged(place, _reason(found))
        with suppress(OSError):  # `store gc` goes by when an object was last of use
            os.utime(place)
        return stored

    def damage(self, stage: str, key: str) -> str | None:
        """Return what is wrong with an object, None if nothing is. Every byte is read, a little at a time."""
        return damage(self._place(stage, key), stage, key)

    def save(
        self, stage: str, key: str, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any] | None = None
    ) -> None:
        """Put an object in its place, whole, unless a whole one is there. StorageError if the disk does not take it.

        `facts` go into the manifest as JSON.
        """
        with files.writing(self._place(stage, key)), self.draft(stage, key) as draft:
            with (draft / "arrays.npz").open("w+b") as file:
                np.savez(file, allow_pickle=False, **arrays)  # type: ignore[arg-type]
                files.flush(file)
                manifest = _manifest(stage, key, file, dict(facts or {}))
            with (draft / "manifest.json").open("w") as file:
                json.dump(manifest, file, indent=1)
                files.flush(file)

    @contextmanager
    def draft(self, stage: str, key: str) -> Iterator[Path]:
        """Yield a new folder, which becomes the object at the end of the block, unless a whole one is there by then.

        Where the block raises an error, the folder is removed.
        """
        place = self._place(stage, key)
        draft = _draft_path(place)
        draft.mkdir(parents=True)
        try:
            yield draft
            files.flush_folder(draft)
            while not _renamed(draft, place):
                if self.damage(stage, key) is None:
                    shutil.rmtree(draft)
                    return
                _remove(place)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        files.flush_folder(place.parent)

    def discard(self, stage: str, key: str) -> None:
        """Remove an object, at one moment: nobody finds a part of it."""
        _remove(self._place(stage, key))

    @contextmanager
    def lock(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold the named lock; yield False, at once, where another process holds it and `wait` is off, else True."""
        folder = self.root / "locks"
        with files.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            locked = has_locks(folder)
        if not locked:
            with hold(folder / f"{name}.lease", wait=wait) as held:
                yield held
            return
        lock = FileLock(folder / f"{name}.lock")
        with files.writing(folder), suppress(Timeout):
            lock.acquire(blocking=wait)
        if not lock.is_locked:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def _damaged(self, place: Path, why: str) -> None:
        warnings.warn(f"{place} is damaged ({why}); it is made again", StoreWarning, stacklevel=3)


def damage(folder: Path, stage: str, key: str) -> str | None:
    """Return what is wrong with a folder as the object of that stage and key, None if nothing is."""
    try:
        with _opened(folder, stage, key):
            return None
    except (_Damage, OSError) as found:
        return _reason(found)


@contextmanager
def _opened(place: Path, stage: str, key: str) -> Iterator[tuple[io.BufferedReader, dict[str, Any]]]:
    """Yield the open file of an object's arrays, and its facts; raise _Damage unless both are as its manifest says."""
    if place.is_symlink():
        raise _Damage("it is a link, and may lead anywhere")
    try:
        manifest = json.loads(read_bounded(place / "manifest.json", _MANIFEST))
    except (ValueError, RecursionError):
        raise _Damage("its manifest cannot be read") from None
    try:
        file = open_regular(place / "arrays.npz")
    except (FileNotFoundError, NotADirectoryError):
        raise _Damage("its arrays are gone") from None
    with file:
        facts = manifest.get("facts") if isinstance(manifest, dict) else None
        if manifest != _manifest(stage, key, file, facts):
            raise _Damage("it is not what its manifest says")
        yield file, facts or {}


def _manifest(stage: str, key: str, file: io.BufferedRandom | io.BufferedReader, facts: Any) -> dict[str, Any]:
    """Return the manifest of an object. Its checksum is of the file of the arrays and of all else in the manifest."""
    said = {"stage": stage, "key": key, "facts": facts}
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256")
    digest.update(json.dumps(said, sort_keys=True).encode())
    file.seek(0)
    return {**said, "sha256": digest.hexdigest()}


def _reason(damage: Exception) -> str:
    """Return why an object cannot be used, as a warning says it."""
    return str(damage) if isinstance(damage, _Damage) else f"it cannot be read: {damage}"


def _draft_path(place: Path) -> Path:
    """Return a new name beside a place that is no object's."""
    return place.with_name(f".{place.name}.{uuid.uuid4().hex}")


def _renamed(draft: Path, place: Path) -> bool:
    """Move a draft to its place; return False where something is there."""
    try:
        draft.rename(place)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        return False
    return True


def _remove(place: Path) -> None:
    """Rename an object, so that it is gone at one moment, and remove it.

    Files that others have open on a network file system may stay for a while.
    """
    if place.is_symlink():
        return place.unlink()
    away = _draft_path(place)
    with suppress(FileNotFoundError):
        place.rename(away)
    shutil.rmtree(away, ignore_errors=True)
