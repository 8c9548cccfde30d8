"""Read files of strangers up to a limit and only if they have an end; write files whole or not at all."""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from os import PathLike
from pathlib import Path
from uuid import uuid4

from ntkbench.errors import StorageError

# Read files of unknown origin: only regular ones, and only up to a limit.


# The caller closes the file that `regular` returns:
# ruff: noqa: SIM115


class TooLarge(OSError):  # noqa: N818 (what the file is)
    """The error of a file that holds more bytes than it may."""


def open_regular(path: str | PathLike[str]) -> BufferedReader:
    """Return a regular file, opened for reading in binary.

    OSError if it is a device, which may have no end, or a pipe, whose reader would wait for a writer.
    """
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(0, "no regular file")


def read_bounded(path: str | PathLike[str], limit: int) -> bytes:
    """Return all bytes of a regular file; TooLarge if there are more than `limit`."""
    with open_regular(path) as file:
        found = file.read(limit + 1)
    if len(found) > limit:
        raise TooLarge(0, f"larger than {limit} bytes")
    return found


def free_bytes(folder: Path) -> int:
    """Return the bytes that are free on the disk of a folder, which need not be there yet."""
    return shutil.disk_usage(
        next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    ).free


# Write to disk safely: turn faults of the disk into `StorageError`, and flush what must survive a power cut.


_FULL = (errno.ENOSPC, errno.EDQUOT)
"""error numbers of a full disk or quota"""
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)
"""error numbers of a place that must not be written"""
_NO_FOLDERS = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)
"""error numbers of file systems that can flush files but not folders"""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise every OSError inside this context as a StorageError that names `path` and says what to do."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}{_advice(error)}") from error


def _advice(error: OSError) -> str:
    """Return what to do about an error, to append to its message; empty if nothing is known to help."""
    if error.errno in _FULL:
        return "; make room (`ntkbench store gc` shows what can go), then the same command resumes"
    return "; name another place" if error.errno in _REFUSED else ""


def flush(file) -> None:
    """Flush an open file to disk, so that its content survives a power cut."""
    file.flush()
    os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, so that a rename survives a power cut, where the file system can do that."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDERS:
            raise
    finally:
        os.close(descriptor)


LIMIT = 2 * 2**30
"""largest size in bytes, of the file and of all its arrays together"""


def write(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file as a whole: readers see the old content or the new, never a part.

    With `durable` this holds even after a power cut. Raise StorageError if the file system refuses.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(content)
                if durable:
                    flush(file)
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
