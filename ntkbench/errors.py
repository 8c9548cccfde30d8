"""Errors that are told to users: each says what is wrong, where, and what to do about it.

The command line prints their message without a traceback, and exits with the `exit_code` of their class. Records hold
the name of the class that ended a run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

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
    """counted from 1, as is the column; 0 where the spec is a Python value, which has no lines"""
    column: int
    """in a Python value, the number of values before this one"""
    path: str
    """dotted path of the field; empty where it is about none"""
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.line else f"{self.file}: "
        return one_line(place + (f"{self.path}: " if self.path else "") + self.message, _LENGTH)


class SpecError(NtkbenchError):
    """All mistakes in a spec, one line each, in the order of the file; of more than `MOST`, the first."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]):
        self.problems = tuple(sorted(set(problems)))
        more = ["... and more; mend these first"] if len(self.problems) > MOST else []
        super().__init__("\n".join([*map(str, self.problems[:MOST]), *more]))

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows in place of a traceback: the mistakes, since none of them is in the program."""
        return [f"{type(self).__name__}: mistakes in the spec", *str(self).splitlines()]

    def _repr_html_(self) -> str:
        """Return the mistakes as an HTML table, for notebooks that show the error as a value."""
        rows = (
            (f"{each.file}:{each.line}:{each.column}" if each.line else each.file, each.path, each.message)
            for each in self.problems[:MOST]
        )
        cells = ("".join(f"<td style='text-align:left'>{escape(text)}</td>" for text in row) for row in rows)
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        return (
            f"<table><thead><tr><th>place</th><th>field</th><th>mistake</th></tr></thead><tbody>{body}</tbody></table>"
        )


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
