"""Errors for people: each says what is wrong, where, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass


class NtkbenchError(Exception):
    """What a user can mend. The command line prints it without a traceback and exits with `exit_code`."""

    exit_code = 1


class UsageError(NtkbenchError):
    """The command asks for what cannot be done."""

    exit_code = 2


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a spec: `file:line:col: path: message`."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: "
        return place + (f"{self.path}: " if self.path else "") + self.message


class SpecError(NtkbenchError):
    """Everything wrong with a spec, one line each, in the order of the file."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]):
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


class DataError(NtkbenchError):
    """A data set that is missing, damaged, or not what its name says."""


class StorageError(NtkbenchError):
    """A disk that takes nothing more: full, read-only, gone. Every run would end the same way, so it ends the sweep."""


class NumericsError(NtkbenchError):
    """A computation whose result would mean nothing: a singular kernel, a diverged network."""


class VerificationError(NtkbenchError):
    """Numbers that do not agree with what they claim to be."""

    exit_code = 3


class DivergedError(NumericsError):
    """Training that left the finite numbers."""


class TimeoutReached(NtkbenchError):  # noqa: N818 (a limit that the user set, not an error)
    """A run that took longer than its spec allows."""
