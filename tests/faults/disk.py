"""A disk that fails at one operation, chosen by its number among all that change it.

Operations are counted in the order in which the program asks for them, and their number and kind depend on the
program alone. So a test that fails each of them in turn has been at every moment at which what lies on the disk
can differ.
"""

import builtins
import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

Fault = Literal["killed", "power cut", "error", "full"]
"""killed: the process is gone, in the middle of it. power cut: so is what was written and not flushed.
error: this operation fails, the next ones do not. full: from here on, whatever needs space fails."""

_NAMES = ("fsync", "mkdir", "rename", "replace", "rmdir", "unlink")
_NEED_SPACE = {"open", "write", "mkdir", "fsync"}


class Gone(BaseException):
    """The process or the machine stopped here. Nobody handles this."""


class Disk:
    """What is done to the files of the process; the operation of number `at` meets the fault."""

    def __init__(self, fault: Fault = "error", at: int | None = None):
        self.done: list[str] = []
        """names of the operations, in order"""
        self.gone = False
        self._fault, self._at = fault, at
        self._unflushed: dict[tuple[int, int], int] = {}

    def meet(self, name: str, halfway: Callable[[], object] = lambda: None) -> None:
        """The next operation; `halfway`: what is done of it when it fails."""
        if self.gone:
            raise Gone
        self.done.append(name)
        number = len(self.done) - 1
        if self._at is None or number < self._at:
            return
        if self._fault == "full" and name in _NEED_SPACE:
            halfway()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if number > self._at or self._fault == "full":
            return
        halfway()
        if self._fault == "error":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._stop()

    def _stop(self) -> None:
        self.gone = True
        for descriptor in self._unflushed.values() if self._fault == "power cut" else ():
            os.ftruncate(descriptor, 0)
        raise Gone

    def written(self, descriptor: int) -> None:
        """Something in this file is not flushed."""
        if (file := _identity(descriptor)) not in self._unflushed:
            self._unflushed[file] = os.dup(descriptor)

    def flushed(self, descriptor: int) -> None:
        if (copy := self._unflushed.pop(_identity(descriptor), None)) is not None:
            os.close(copy)

    def close(self) -> None:
        for descriptor in self._unflushed.values():
            os.close(descriptor)


class _File(io.FileIO):
    """Without a buffer."""

    def __init__(self, path: Any, mode: str, opener: Any, disk: Disk):
        super().__init__(path, mode, opener=opener)
        self._disk = disk

    def write(self, content: Any, /) -> int:
        if self._disk.gone:  # a buffer that Python flushes as it lets go of a file
            return len(memoryview(content).cast("B"))
        content = bytes(content)
        self._disk.meet("write", lambda: super(_File, self).write(content[: len(content) // 2]))
        self._disk.written(self.fileno())
        return super().write(content)


@contextmanager
def failing(fault: Fault = "error", at: int | None = None) -> Iterator[Disk]:
    """While it is open, all that this process does to files goes over such a disk. Ends quietly where it stopped it."""
    disk = Disk(fault, at)
    real = io.open

    def opened(file: Any, mode: str = "r", buffering: int = -1, encoding: str | None = None, *rest: Any, **more: Any):
        if not set("wxa+") & set(mode) or not isinstance(file, str | Path):
            return real(file, mode, buffering, encoding, *rest, **more)
        disk.meet("open")
        raw = _File(file, "".join(set(mode) - set("bt")), more.get("opener"), disk)
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding or "utf-8")

    with pytest.MonkeyPatch.context() as patch:
        for name in _NAMES:
            patch.setattr(os, name, _through(disk, name, getattr(os, name)))
        patch.setattr(io, "open", opened)
        patch.setattr(builtins, "open", opened)
        try:
            yield disk
        except Gone:
            pass
        finally:
            disk.close()


def _through(disk: Disk, name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
    def operate(*arguments: Any, **options: Any) -> Any:
        disk.meet(name)
        result = operation(*arguments, **options)
        if name == "fsync":
            disk.flushed(arguments[0])
        return result

    return operate


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino
