"""Files of strangers: read up to a limit, and only if they have an end."""

import os
import stat
from io import BufferedReader
from os import PathLike


class TooLarge(OSError):  # noqa: N818 (what the file is)
    """A file that holds more than it may."""


def regular(path: str | PathLike[str]) -> BufferedReader:
    """A file to read; OSError if it is a device, which has no end, or a pipe, whose reader waits for its writer."""
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))  # noqa: SIM115
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(0, "no regular file")


def content(path: str | PathLike[str], limit: int) -> bytes:
    """All bytes of a regular file; TooLarge where there are more than `limit`."""
    with regular(path) as file:
        found = file.read(limit + 1)
    if len(found) > limit:
        raise TooLarge(0, f"larger than {limit} bytes")
    return found
