"""Format numbers, tables and text of unknown origin for people: as Markdown, LaTeX, CSV and plain text."""

import html
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

FORMATS = {"md": "pipe", "latex": "latex_booktabs", "plain": "simple"}
"""formats of `table`, with tabulate's names for them"""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""beginnings of text that spreadsheets compute; the last four are full-width forms of the first"""
_ROWS = 20_000
"""rows of a frame that are turned into text at once: their cells as objects take far more memory than the frame"""
_DIGITS = r"[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?"
_NUMBER = re.compile(rf"[-+]({_DIGITS}|\.[0-9]+|{_DIGITS}/{_DIGITS}|inf)?")
"""text that begins like a formula and is a signed number, a fraction, an infinity, or a sign alone"""
_MARKDOWN = re.compile(r"([\\`*_\[\]|~#!])")
"""characters that mean something in Markdown"""


def mean_sd(mean: float, sd: float | None, n: int, digits: int = 2) -> str:
    """Return mean, standard deviation and number of seeds: `0.61 ± 0.02 (5)`, of one seed `0.61 (1)`."""
    bar = "" if sd is None else f" ± {decimal(sd, digits)}"
    return f"{decimal(mean, digits)}{bar} ({n})"


def missing(n: int, expected: int) -> str:
    """Return the text of a cell of a table that has only `n` of its runs: `– (3/5)`, never the mean of those."""
    return f"– ({n}/{expected})"


def undefined(n: int, expected: int) -> str:
    """Return the text of a cell whose runs are all done, where only `n` have a value: `undefined (2/5)` for 3 of 5."""
    return f"undefined ({expected - n}/{expected})"


def with_interval(value: float, interval: tuple[float, float], digits: int = 2) -> str:
    """Return a value and its interval: `0.61 [0.58, 0.64]`."""
    low, high = (decimal(end, digits) for end in interval)
    return f"{decimal(value, digits)} [{low}, {high}]"


def decimal(value: float, digits: int) -> str:
    """Return a number with fixed digits after the point, and no minus before a zero; from 10^6 on in powers of ten."""
    return f"{value:z.{digits}f}" if abs(value) < 1e6 else f"{value:.{digits}e}"


def markdown(text: object) -> str:
    """Return text of any origin as one line of Markdown that shows this text and does nothing else."""
    line = "".join(c if c.isprintable() else " " for c in str(text))
    return _MARKDOWN.sub(r"\\\1", html.escape(line, quote=False))


def no_formula(cell: Any) -> Any:
    """Return a cell that no spreadsheet computes: an apostrophe turns what begins like a formula into text.

    A formula in foreign text could fetch files and run programs. Numbers are returned as they are, signed ones in text
    too.
    """
    formula = isinstance(cell, str) and cell.startswith(_FORMULA) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if formula else cell


def csv_of(frame: "pd.DataFrame") -> str:
    """Return a frame as CSV with all digits, safe to open in a spreadsheet."""
    head = frame.iloc[:0].rename(columns=no_formula).to_csv(index=False, lineterminator="\n")
    return head + "".join(_lines(frame.iloc[first : first + _ROWS]) for first in range(0, len(frame), _ROWS))


def _lines(frame: "pd.DataFrame") -> str:
    """Return the rows of a frame as lines of CSV."""
    cells = frame.astype(object)  # pandas 2 maps integers as floats where one is missing
    for place in range(len(cells.columns)):  # a few cells are formulas, and few are different
        column = cells.iloc[:, place]
        if formulas := {cell: safe for cell in column.unique() if (safe := no_formula(cell)) is not cell}:
            cells.isetitem(place, column.map(lambda cell, formulas=formulas: formulas.get(cell, cell)))
    return cells.to_csv(index=False, header=False, lineterminator="\n")


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], form: str) -> str:
    """Return a table of strings. `form` is a key of FORMATS; Markdown has to be escaped already, see `markdown`."""
    from tabulate import tabulate

    return tabulate(rows, headers, tablefmt=FORMATS[form], disable_numparse=True)


def duration(seconds: int | float) -> str:
    """Return a span of seconds in hours, minutes or seconds: the largest unit of which it has two or more."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else "under 1 s"


def size(number: int | float) -> str:
    """Return a number of bytes in GB, MB or kB, of 10^9, 10^6 and 10^3 bytes."""
    for unit, length in (("GB", 1e9), ("MB", 1e6)):
        if number >= length:
            return f"{number / length:.1f} {unit}"
    return f"{number / 1e3:.0f} kB"
