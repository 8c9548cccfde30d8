"""Make the content of files part of a run's identity, for data sets of other packages that read from disk.

`plan` calls `bound` when it reads a spec; `build` builds the data set inside `guarded`, which refuses files that have
changed since, and files that the spec does not name.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import file_digest, sha256
from pathlib import Path, PurePath
from typing import Any

from ntkbench.errors import DataError
from ntkbench.files import open_regular
from ntkbench.spec.cell import Cell
from ntkbench.spec.data import ExtensionDataset

_OF_PROGRAMS = (".py", ".pyc", ".pyi", ".so", ".pyd", ".pth", ".dylib")
"""suffixes of files that are code, not data"""
_OF_THE_SYSTEM = ("/proc", "/sys", "/dev", "/etc", "/usr", "/lib", sys.prefix, sys.base_prefix)
"""folders of the system and of Python, whose files are no data either"""


def with_content_digests(cell: Cell) -> Cell:
    """Return the cell with the digest of all files that its data set reads as `content`.

    The cell is returned as it is if the data set reads no files, or if the spec gives the digest itself.
    """
    words = cell.data.dataset
    if not isinstance(words, ExtensionDataset) or words.content is not None or not words.files:
        return cell
    dataset = words.model_copy(update={"content": digest(words.files)})
    return cell.model_copy(update={"data": cell.data.model_copy(update={"dataset": dataset})})


def digest(files: tuple[Path, ...]) -> str:
    """Return one SHA-256 over the contents and names of the files, and of all files below those that are folders.

    DataError if a file cannot be read.
    """
    every = ((file, sorted(filter(Path.is_file, file.rglob("*"))) if file.is_dir() else [file]) for file in files)
    return named_digest((path, path.relative_to(file)) for file, inside in every for path in inside)


def named_digest(files: Iterable[tuple[Path, PurePath]]) -> str:
    """Return one SHA-256 over the contents of files and the names that they have for a data set.

    DataError if a file cannot be read.
    """
    found = sha256()
    for path, name in files:
        found.update(_read_file(path) + os.fsencode(name) + b"\0")
    return f"sha256:{found.hexdigest()}"


def _read_file(path: Path) -> bytes:
    """Return the SHA-256 of one file; DataError if it cannot be read."""
    try:
        with open_regular(path) as file:
            return file_digest(file, "sha256").digest()
    except OSError as error:
        raise DataError(f"{path}, which the data set reads, cannot be read: {error.strerror}") from None


@contextmanager
def requiring_declared_files(words: ExtensionDataset, builder: str) -> Iterator[None]:
    """Watch the files that are read while the data set is built inside this context.

    Raises:
        DataError: on entry, if the files have another digest than `words.content`; on exit, if a file was read that
            the spec does not name, since a change of it would not change the run id.
    """
    if words.files and digest(words.files) != words.content:
        raise DataError(f"{', '.join(map(str, words.files))}: changed since the experiment was planned; plan it anew")
    with _opened() as heard:
        yield
    known = [file.resolve() for file in words.files]
    strange = [path for path in heard if not any(path.is_relative_to(file) for file in known)]
    if strange and (words.files or words.content is None):
        raise DataError(
            f"the builder {builder} reads {strange[0]}, which is no part of the run's identity, so that other content "
            "would be taken for the same: name it in the `files` of its words, or its digest in their `content`"
        )


@contextmanager
def _opened() -> Iterator[list[Path]]:
    """Yield a list that on exit holds the files that were opened for reading inside, without those of `_is_foreign`."""
    ear, heard = _opened_files_hook(), list[str]()
    ear.append(heard)
    found: list[Path] = []
    try:
        yield found
    finally:
        ear.remove(heard)
        paths = dict.fromkeys(Path(os.path.realpath(name)) for name in heard)
        found += [path for path in paths if path.is_file() and not _is_foreign(path)]


def _is_foreign(path: Path) -> bool:
    """Return whether a file is code or belongs to the system."""
    return path.suffix in _OF_PROGRAMS or any(path.is_relative_to(folder) for folder in _OF_THE_SYSTEM)


@cache
def _opened_files_hook() -> list[list[str]]:
    """Install the audit hook, once a process as hooks cannot be removed, and return the lists that it appends to.

    Names of files opened for reading go to the last list; while there is none, the hook does nothing.
    """
    ear: list[list[str]] = []

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if ear and event == "open" and isinstance(arguments[0], (str, bytes)):
            writes = isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if not writes:
                ear[-1].append(os.fsdecode(arguments[0]))

    sys.addaudithook(hear)
    return ear
