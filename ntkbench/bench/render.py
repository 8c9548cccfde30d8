"""Numbers and foreign text as people read them, in Markdown, LaTeX and plain text."""

import html
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

FORMATS = {"md": "pipe", "latex": "latex_booktabs", "plain": "simple"}
"""of `table`, and what tabulate calls them"""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""what spreadsheets compute begins so; the last four are the first, as wide as Chinese signs"""
_DIGITS = r"[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?"
_NUMBER = re.compile(rf"[-+]({_DIGITS}|\.[0-9]+|{_DIGITS}/{_DIGITS}|inf)?")
_MARKDOWN = re.compile(r"([\\`*_\[\]|~#!])")


def mean_sd(mean: float, sd: float | None, n: int, digits: int = 2) -> str:
    """`0.61 ± 0.02 (5)`; one seed shows no bar: `0.61 (1)`."""
    bar = "" if sd is None else f" ± {decimal(sd, digits)}"
    return f"{decimal(mean, digits)}{bar} ({n})"


def missing(n: int, expected: int) -> str:
    """A cell of which only some runs are there: never the mean of those."""
    return f"– ({n}/{expected})"


def undefined(n: int, expected: int) -> str:
    """A cell whose runs are all there, and some of which have no value: there is none to be had."""
    return f"undefined ({expected - n}/{expected})"


def with_interval(value: float, interval: tuple[float, float], digits: int = 2) -> str:
    """`0.61 [0.58, 0.64]`."""
    low, high = (decimal(end, digits) for end in interval)
    return f"{decimal(value, digits)} [{low}, {high}]"


def decimal(value: float, digits: int) -> str:
    """Fixed digits, and no minus before a zero; a number too large for that in powers of ten."""
    return f"{value:z.{digits}f}" if abs(value) < 1e6 else f"{value:.{digits}e}"


def markdown(text: object) -> str:
    """Text of any origin as one line of Markdown that shows it and does nothing else."""
    line = "".join(c if c.isprintable() else " " for c in str(text))
    return _MARKDOWN.sub(r"\\\1", html.escape(line, quote=False))


def no_formula(cell: Any) -> Any:
    """A spreadsheet computes what begins like a formula, and a formula can fetch and run; an apostrophe makes it text.

    Numbers stay as they are: no letter, no formula.
    """
    formula = isinstance(cell, str) and cell.startswith(_FORMULA) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if formula else cell


def csv_of(frame: "pd.DataFrame") -> str:
    """A frame as CSV with all digits, safe to open in a spreadsheet."""
    return frame.rename(columns=no_formula).map(no_formula).to_csv(index=False, lineterminator="\n")


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], form: str) -> str:
    """A table of strings; `form` is a key of FORMATS. Markdown comes escaped already, see `markdown`."""
    from tabulate import tabulate

    return tabulate(rows, headers, tablefmt=FORMATS[form], disable_numparse=True)


def duration(seconds: int | float) -> str:
    """In the unit that suits it."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else "under 1 s"


def size(number: int | float) -> str:
    """Of bytes, in the unit that suits it."""
    for unit, length in (("GB", 1e9), ("MB", 1e6)):
        if number >= length:
            return f"{number / length:.1f} {unit}"
    return f"{number / 1e3:.0f} kB"
