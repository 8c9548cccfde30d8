"""Errors that are told to users: each says what is wrong, where, and what to do about it.

The command line prints their message without a traceback, and exits with the `exit_code` of their class. Records hold
the name of the class that ended a run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ntkbench.text import one_line

MOST = 100
"""most mistakes of a spec that are looked for and told at once"""
_LENGTH = 2000
"""most characters of the line that tells a mistake"""


class NtkbenchError(Exception):
    """The base class of errors that a user can correct."""

    exit_code = 1
    """exit code of the command that meets this error"""


class UsageError(NtkbenchError):
    """An error of a command or call that asks for what cannot be done."""

    exit_code = 2


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a spec; as text it is `file:line:column: path: message`."""

    file: str
    line: int
    """counted from 1, as is the column"""
    column: int
    path: str
    """dotted path of the field; empty where it is about none"""
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: "
        return one_line(place + (f"{self.path}: " if self.path else "") + self.message, _LENGTH)


class SpecError(NtkbenchError):
    """All mistakes in a spec, one line each, in the order of the file; of more than `MOST`, the first."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]):
        self.problems = tuple(sorted(set(problems)))
        more = ["... and more; mend these first"] if len(self.problems) > MOST else []
        super().__init__("\n".join([*map(str, self.problems[:MOST]), *more]))


class DataError(NtkbenchError):
    """An error of a data set that is missing, damaged, or not what its name says."""


class StorageError(NtkbenchError):
    """An error of a disk that takes nothing more: full, read-only, gone.

    Every further run would end the same way, so it ends the command, not only one run.
    """


class NumericsError(NtkbenchError):
    """An error of a computation whose result would mean nothing, as with a singular kernel."""


class VerificationError(NtkbenchError):
    """An error of numbers that are not what they claim to be."""

    exit_code = 3


class DivergedError(NumericsError):
    """An error of a training whose loss is no longer finite."""


class TimeoutReached(NtkbenchError):  # noqa: N818 (a limit that the user set, not an error)
    """The end of a run that took longer than its spec allows (`run.timeout`)."""
