"""Fit tables into a terminal: cells are broken where the table would be wider than the window.

print(fitted(["width", "transfer"], [["64", "0.61 ± 0.02 (5)"]]))
"""

import io
import shutil
import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


def fitted(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table that is no wider than the terminal; it has no colors and no other control characters."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for header in headers:
        made.add_column(Text(header), overflow="fold")
    for row in rows:
        made.add_row(*map(Text, row))
    written = io.StringIO()
    width = shutil.get_terminal_size().columns
    Console(file=written, width=width, color_system=None, legacy_windows=False).print(made)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def is_terminal() -> bool:
    """Return whether standard output is a terminal: a person reads it, and no program."""
    return sys.stdout.isatty()
