"""Locks for file systems that have none (NFS without a lock service, Lustre without `flock`, some FUSE).

A lease is a file: whoever creates it holds it, and touches it as long as it is held. One that nobody touches any
more was left behind, and whoever waits takes it over. A holder that was asleep for longer than that may find
another at its work: a lease saves work done twice, and the store bears it.
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event, Thread
from uuid import uuid4

from ntkbench.bench import disk

BEAT = 5.0
"""seconds between two touches"""
EXPIRED = 90.0
"""seconds without a touch, longer than clients of network file systems remember the times of a file"""
_POLL = 0.2
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)


def has_locks(folder: Path) -> bool:
    """Whether the file system of the folder knows `flock`."""
    with TemporaryFile(dir=folder) as probe:
        try:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return False
    return True


@contextmanager
def lease(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the lease; gives False where another holds it and `wait` is off."""
    token = uuid4().hex
    with disk.writing(path):
        acquired = _acquire(path, token, wait)
    if not acquired:
        yield False
        return
    ended = Event()
    beating = Thread(target=_beat, args=(path, token, ended), daemon=True)
    beating.start()
    try:
        yield True
    finally:
        ended.set()
        beating.join()
        with suppress(OSError):
            if _holder(path) == token:
                path.unlink(missing_ok=True)


def is_held(path: Path) -> bool:
    """Whether a lease was touched lately, or a lock is held by another process."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        if path.suffix == ".lease":
            return abs(time.time() - os.fstat(file.fileno()).st_mtime) < 2 * EXPIRED
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
    return False


def remove(path: Path) -> bool:
    """Remove the file of a lock or a lease, unless somebody holds it."""
    if path.suffix == ".lease" and is_held(path):
        return False
    with suppress(FileNotFoundError), path.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        path.unlink()
    return True


def _acquire(path: Path, token: str, wait: bool) -> bool:
    seen, since = _touched(path), time.monotonic()
    while not _create(path, token):
        now = _touched(path)
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > EXPIRED:
            _put_away(path, seen)
        elif not wait:
            return False
        else:
            time.sleep(_POLL)
    return True


def _create(path: Path, token: str) -> bool:
    try:
        with path.open("x") as file:
            file.write(token)
    except FileExistsError:
        return False
    return True


def _holder(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def _touched(path: Path) -> tuple[int, int] | None:
    """When, by the clock of the file system. Opened, since that makes a network file system ask its server."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _put_away(path: Path, seen: tuple[int, int] | None) -> None:
    """Of several that see the same one expire, one moves it away; what was made anew in between is put back."""
    aside = path.with_name(f".{path.name}.{uuid4().hex}")
    with suppress(FileNotFoundError):
        path.rename(aside)
        if _touched(aside) != seen:
            with suppress(FileExistsError):
                os.link(aside, path)
        aside.unlink()


def _beat(path: Path, token: str, ended: Event) -> None:
    while not ended.wait(BEAT):
        with suppress(OSError):
            if _holder(path) == token:
                os.utime(path)
