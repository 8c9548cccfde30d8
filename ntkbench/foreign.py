"""What strangers wrote: bytes of a file of bounded size, and text that a terminal shows and does not obey."""

import os
import re
import stat
from io import BufferedReader
from os import PathLike

CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
"""Characters that move a cursor, turn the direction of writing, or are none. A line's end and a tab are not among."""


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


def tamed(text: str) -> str:
    """The text without power over a terminal."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def printable(text: object, length: int = 80) -> str:
    """Foreign text as one line of a message: no control characters, not endless."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text)[: length + 1])
    return shown if len(shown) <= length else shown[: length - 1] + "…"
