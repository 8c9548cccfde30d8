"""Locks for file systems without `flock`: NFS without a lock service, Lustre without `flock`, some FUSE.

A lease is a file: the process that creates it holds it, and touches it every few seconds. A lease that nobody touches
was left behind by a killed process, and whoever waits for it takes it over. A holder that stalls for longer than
`EXPIRED` may lose its lease while it works; two processes then do the same work, which the store tolerates.
`Store.lock` chooses between leases and `flock`. `filelock.SoftFileLease` is no substitute: on Linux it takes an expired
lease over by exchanging two names in one step, which these file systems cannot do, and then waits forever.
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
from typing import IO, Any
from uuid import uuid4

from ntkbench import files

BEAT = 5.0
"""seconds between two touches"""
EXPIRED = 90.0
"""seconds without a touch after which a lease is taken over; network file systems cache times for less long"""
_POLL = 0.2
"""seconds between two attempts to take a lease"""
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)
"""errors of file systems that have no `flock`"""


def has_locks(folder: Path) -> bool:
    """Return whether the file system of a folder has `flock`; a temporary file is made there to try."""
    with TemporaryFile(dir=folder) as probe:
        return _is_locked(probe, fcntl.LOCK_EX) is not None


@contextmanager
def hold(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lease during the block; yield False if another process holds it and `wait` is off.

    Raise StorageError if the file cannot be made. A thread touches the file until the block ends.
    """
    with files.writing(path):
        lease = _acquire(path, wait)
    if lease is None:
        yield False
        return
    ended = Event()
    beating = Thread(target=_refresh, args=(lease, ended), daemon=True)
    beating.start()
    try:
        yield True
    finally:
        ended.set()
        beating.join()
        with lease, suppress(OSError):
            with path.open("rb") as there:
                ours = os.path.sameopenfile(there.fileno(), lease.fileno())
            if ours:
                path.unlink()


def is_held(path: Path) -> bool:
    """Return whether the file of a lease was touched lately, or that of a lock is locked by another process.

    Lately means within 2 `EXPIRED` by this machine's clock, which may differ from the file server's.
    """
    with suppress(FileNotFoundError), path.open("rb") as file:
        if path.suffix == ".lease":
            return abs(time.time() - os.fstat(file.fileno()).st_mtime) < 2 * EXPIRED
        return bool(_is_locked(file, fcntl.LOCK_SH))
    return False


def remove(path: Path) -> bool:
    """Remove the file of a lock or a lease; return False if somebody holds it."""
    if path.suffix == ".lease" and is_held(path):
        return False
    with suppress(FileNotFoundError), path.open("r+b") as file:
        if _is_locked(file, fcntl.LOCK_EX):
            return False
        path.unlink()
    return True


def _is_locked(file: IO[Any], kind: int) -> bool | None:
    """Return whether another process has locked an open file, None if its file system has no locks.

    If no other process has, this one holds the lock of that kind until the file is closed.
    """
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return None
    return False


def _acquire(path: Path, wait: bool) -> IO[Any] | None:
    """Create the lease, after its expiry if need be, and return it open; None if it is held and `wait` is off."""
    seen, since = _state(path), time.monotonic()
    while True:
        with suppress(FileExistsError):
            return path.open("x")
        now = _state(path)
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > EXPIRED:
            _remove_stale(path, seen)
        elif not wait:
            return None
        else:
            time.sleep(_POLL)


def _state(path: Path) -> tuple[int, int] | None:
    """Return the inode of a lease and when it was touched (ns), by the file system's clock; None if it is gone.

    The file is opened, since that makes a network file system ask its server.
    """
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _remove_stale(path: Path, seen: tuple[int, int] | None) -> None:
    """Remove a lease that was last touched at `seen`.

    Several processes may see it expire: the rename lets one of them win, and a lease that was made anew in between is
    put back.
    """
    aside = path.with_name(f".{path.name}.{uuid4().hex}")
    with suppress(FileNotFoundError):
        path.rename(aside)
        if _state(aside) != seen:
            with suppress(FileExistsError):
                os.link(aside, path)
        aside.unlink()


def _refresh(lease: IO[Any], ended: Event) -> None:
    """Touch the open lease until `ended`; that changes no lease of another process, which is another file."""
    while not ended.wait(BEAT):
        with suppress(OSError):
            os.utime(lease.fileno())
