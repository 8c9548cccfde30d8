"""Locks for file systems without `flock`: NFS without a lock service, Lustre without `flock`, some FUSE.

A lease is a file: the process that creates it holds it, and touches it every few seconds. A lease that nobody touches
was left behind by a killed process, and whoever waits for it takes it over. A holder that stalls for longer than
`EXPIRED` may lose its lease while it works; two processes then do the same work, which the store tolerates.
`Store.lock` chooses between leases and `flock`.
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
        try:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return False
    return True


@contextmanager
def hold(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lease during the block; yield False if another process holds it and `wait` is off.

    Raise StorageError if the file cannot be made. A thread touches the file until the block ends.
    """
    token = uuid4().hex
    with files.writing(path):
        acquired = _acquire(path, token, wait)
    if not acquired:
        yield False
        return
    ended = Event()
    beating = Thread(target=_refresh, args=(path, token, ended), daemon=True)
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
    """Return whether the file of a lease was touched lately, or that of a lock is locked by another process.

    Lately means within 2 `EXPIRED` by this machine's clock, which may differ from the file server's.
    """
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
    """Remove the file of a lock or a lease; return False if somebody holds it."""
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
    """Create the lease, after its expiry if need be; return False if it is held and `wait` is off."""
    seen, since = _modified(path), time.monotonic()
    while not _create(path, token):
        now = _modified(path)
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > EXPIRED:
            _remove_stale(path, seen)
        elif not wait:
            return False
        else:
            time.sleep(_POLL)
    return True


def _create(path: Path, token: str) -> bool:
    """Create the lease with its holder's token; return False if it exists."""
    try:
        with path.open("x") as file:
            file.write(token)
    except FileExistsError:
        return False
    return True


def _holder(path: Path) -> str | None:
    """Return the token of the lease's holder; None if there is no lease."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def _modified(path: Path) -> tuple[int, int] | None:
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
        if _modified(aside) != seen:
            with suppress(FileExistsError):
                os.link(aside, path)
        aside.unlink()


def _refresh(path: Path, token: str, ended: Event) -> None:
    """Touch the lease until `ended`, as long as the token in it is ours."""
    while not ended.wait(BEAT):
        with suppress(OSError):
            if _holder(path) == token:
                os.utime(path)
