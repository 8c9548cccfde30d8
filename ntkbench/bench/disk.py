"""Disks that are full, read-only, or gone: no fault of what is being written."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ntkbench.errors import StorageError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)
_NO_FOLDERS = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)
"""what file systems answer that flush files and no folders"""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Whatever the system refuses here is a StorageError that tells where, and what to do."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}{_advice(error)}") from error


def _advice(error: OSError) -> str:
    if error.errno in _FULL:
        return "; make room (`ntkbench store gc` shows what can go), then the same command resumes"
    return "; name another place" if error.errno in _REFUSED else ""


def flush(file) -> None:
    """What was written is there after a power cut."""
    file.flush()
    os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """So are the names in a folder, where the file system can do that."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDERS:
            raise
    finally:
        os.close(descriptor)
