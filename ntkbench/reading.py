"""Read files of unknown origin: only regular ones, and only up to a limit."""

import os
import stat
from io import BufferedReader
from os import PathLike

# The caller closes the file that `regular` returns:
# ruff: noqa: SIM115


class TooLarge(OSError):  # noqa: N818 (what the file is)
    """The error of a file that holds more bytes than it may."""


def regular(path: str | PathLike[str]) -> BufferedReader:
    """Return a regular file, opened for reading in binary.

    OSError if it is a device, which may have no end, or a pipe, whose reader would wait for a writer.
    """
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(0, "no regular file")


def content(path: str | PathLike[str], limit: int) -> bytes:
    """Return all bytes of a regular file; TooLarge if there are more than `limit`."""
    with regular(path) as file:
        found = file.read(limit + 1)
    if len(found) > limit:
        raise TooLarge(0, f"larger than {limit} bytes")
    return found
