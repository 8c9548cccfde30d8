"""Finished stages on disk.

`objects/<stage>/<key>/` holds `arrays.npz` and `manifest.json`. An object is written beside its place,
flushed, and renamed: it is there whole, or not at all. A damaged one counts as absent, with a warning, and
is replaced. Locks keep two processes on one store from doing the same work.

Commands that only look what there is must answer at once: NumPy and filelock wait until they are needed.
"""

import hashlib
import io
import json
import os
import shutil
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ntkbench.errors import UsageError
from ntkbench.reading import content, regular

if TYPE_CHECKING:
    import numpy as np


_MANIFEST = 2**24
"""bytes"""


class StoreWarning(UserWarning):
    """Something in the store was not as it was left; it is made again."""


@dataclass(frozen=True)
class Stored:
    """An object: its arrays, and what its maker noted."""

    arrays: "dict[str, np.ndarray]"
    facts: dict[str, Any]


@dataclass(frozen=True)
class Store:
    """A folder of objects, records and logs."""

    root: Path

    def __post_init__(self) -> None:
        """UsageError where a folder is a link: a store of somebody else could have it lead to the user's own files."""
        objects = self.root / "objects"
        folders = [objects, self.records, self.root / "logs", self.root / "locks"]
        for folder in [*folders, *(objects.iterdir() if objects.is_dir() else ())]:
            if folder.is_symlink():
                raise UsageError(f"{folder} is a link; a store may be one as a whole, but its folders are its own")

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
        from ntkbench.data import npz

        place = self._place(stage, key)
        if place.is_symlink():
            return self._damaged(place, "it is a link, and may lead anywhere")
        try:
            manifest = json.loads(content(place / "manifest.json", _MANIFEST))
            file = regular(place / "arrays.npz")
        except (FileNotFoundError, NotADirectoryError):
            return self._damaged(place, "its arrays are gone") if self.has(stage, key) else None
        except (ValueError, RecursionError):
            return self._damaged(place, "its manifest cannot be read")
        except OSError as error:
            return self._damaged(place, str(error.strerror))
        with file:
            facts = manifest.get("facts") if isinstance(manifest, dict) else None
            if manifest != _manifest(stage, key, file, facts):
                return self._damaged(place, "it is not what its manifest says")
            try:
                # Stored as they are, not compressed: together they are no larger than their file.
                return Stored(npz.read(file, os.fstat(file.fileno()).st_size), facts or {})
            except npz.Damaged as error:
                return self._damaged(place, str(error))

    def save(
        self, stage: str, key: str, arrays: "Mapping[str, np.ndarray]", facts: Mapping[str, Any] | None = None
    ) -> None:
        """Put an object in its place, whole. Whoever may do so at the same time holds a lock."""
        import numpy as np

        place = self._place(stage, key)
        for abandoned in place.parent.glob(f".{key}.*"):
            shutil.rmtree(abandoned)
        draft = place.with_name(f".{key}.{uuid.uuid4().hex}")
        draft.mkdir(parents=True)
        try:
            with (draft / "arrays.npz").open("w+b") as file:
                np.savez(file, allow_pickle=False, **arrays)  # type: ignore[arg-type]
                _flush(file)
                manifest = _manifest(stage, key, file, dict(facts or {}))
            with (draft / "manifest.json").open("w") as file:
                json.dump(manifest, file, indent=1)
                _flush(file)
            _flush_folder(draft)
            self.discard(stage, key)
            draft.rename(place)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        _flush_folder(place.parent)

    def discard(self, stage: str, key: str) -> None:
        """Remove an object. Without its manifest it does not exist, so that goes first."""
        place = self._place(stage, key)
        if place.is_symlink():
            place.unlink()
            return
        (place / "manifest.json").unlink(missing_ok=True)
        shutil.rmtree(place, ignore_errors=True)

    @contextmanager
    def lock(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold the named lock; gives False, at once, where another process holds it and `wait` is off."""
        from filelock import FileLock, Timeout

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


def _manifest(stage: str, key: str, file: io.BufferedRandom | io.BufferedReader, facts: Any) -> dict[str, Any]:
    """The checksum is of the arrays and of all else that is said here."""
    said = {"stage": stage, "key": key, "facts": facts}
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256")
    digest.update(json.dumps(said, sort_keys=True).encode())
    file.seek(0)
    return {**said, "sha256": digest.hexdigest()}


def _flush(file) -> None:
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
