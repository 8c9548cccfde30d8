"""Finished stages on disk.

`objects/<stage>/<key>/` holds `arrays.npz` and `manifest.json`. An object is written beside its place,
flushed, and renamed: it is there whole, or not at all. A damaged one counts as absent, with a warning, and
is replaced. Locks keep two processes on one store from doing the same work.
"""

import hashlib
import json
import os
import shutil
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

Arrays = Mapping[str, np.ndarray]


class StoreWarning(UserWarning):
    """Something in the store was not as it was left; it is made again."""


@dataclass(frozen=True)
class Stored:
    """An object: its arrays, and what its maker noted."""

    arrays: dict[str, np.ndarray]
    facts: dict[str, Any]


@dataclass(frozen=True)
class Store:
    """A folder of objects, records and logs."""

    root: Path

    @property
    def records(self) -> Path:
        return self.root / "records"

    def record(self, run_id: str) -> Path:
        return self.records / f"{run_id}.json"

    def arrays(self, run_id: str) -> Path:
        """Of a record: outcomes per test point and series."""
        return self.records / f"{run_id}.npz"

    def log(self, run_id: str) -> Path:
        return self.root / "logs" / f"{run_id}.log"

    def has(self, stage: str, key: str) -> bool:
        """Whether the object exists; whether it is whole shows on loading."""
        return (self._place(stage, key) / "manifest.json").is_file()

    def keys(self, stage: str, prefix: str) -> list[str]:
        """Of the objects whose key starts with the prefix, in order."""
        return sorted(place.parent.name for place in self._stage(stage).glob(f"{prefix}*/manifest.json"))

    def load(self, stage: str, key: str) -> Stored | None:
        """The object, or None where it is absent or damaged."""
        place = self._place(stage, key)
        try:
            manifest = json.loads((place / "manifest.json").read_bytes())
            content = (place / "arrays.npz").open("rb")
            expected = manifest["sha256"]
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, TypeError, KeyError):
            return self._damaged(place, "its manifest cannot be read")
        with content:
            if hashlib.file_digest(content, "sha256").hexdigest() != expected:
                return self._damaged(place, "its arrays are not what its manifest says")
            content.seek(0)
            with np.load(content, allow_pickle=False) as arrays:
                return Stored(dict(arrays), manifest.get("facts", {}))

    def save(self, stage: str, key: str, arrays: Arrays, facts: Mapping[str, Any] | None = None) -> None:
        """Put an object in its place, whole. Whoever may do so at the same time holds a lock."""
        place = self._place(stage, key)
        for abandoned in place.parent.glob(f".{key}.*"):
            shutil.rmtree(abandoned)
        draft = place.with_name(f".{key}.{uuid.uuid4().hex}")
        draft.mkdir(parents=True)
        with (draft / "arrays.npz").open("w+b") as file:
            np.savez(file, allow_pickle=False, **arrays)  # type: ignore[arg-type]
            _flush(file)
            file.seek(0)
            manifest = {"stage": stage, "key": key, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
        with (draft / "manifest.json").open("w") as file:
            json.dump({**manifest, "facts": dict(facts or {})}, file, indent=1)
            _flush(file)
        _flush_folder(draft)
        self.discard(stage, key)
        draft.rename(place)
        _flush_folder(place.parent)

    def discard(self, stage: str, key: str) -> None:
        """Remove an object. Without its manifest it does not exist, so that goes first."""
        place = self._place(stage, key)
        (place / "manifest.json").unlink(missing_ok=True)
        shutil.rmtree(place, ignore_errors=True)

    @contextmanager
    def lock(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold the named lock; gives False, at once, where another process holds it and `wait` is off."""
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{name}.lock")
        try:
            lock.acquire(blocking=wait)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def _damaged(self, place: Path, why: str) -> None:
        warnings.warn(f"{place} is damaged ({why}); it is made again", StoreWarning, stacklevel=3)

    def _stage(self, stage: str) -> Path:
        return self.root / "objects" / stage

    def _place(self, stage: str, key: str) -> Path:
        return self._stage(stage) / key


def _flush(file) -> None:
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
