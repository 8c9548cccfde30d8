"""Write to disk safely: turn faults of the disk into `StorageError`, and flush what must survive a power cut."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ntkbench.errors import StorageError

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
