"""Numbers and foreign text as people read them, in Markdown, LaTeX and plain text."""

import html
import re
from collections.abc import Sequence

FORMATS = {"md": "pipe", "latex": "latex_booktabs", "plain": "simple"}
"""of `table`, and what tabulate calls them"""
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


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], form: str) -> str:
    """A table of strings; `form` is a key of FORMATS. Markdown comes escaped already, see `markdown`."""
    from tabulate import tabulate

    return tabulate(rows, headers, tablefmt=FORMATS[form], disable_numparse=True)
