"""Text of strangers, so that a terminal shows it and does not obey."""

import re
from collections.abc import Mapping
from types import MappingProxyType

CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
"""Characters that move a cursor, turn the direction of writing, or are none. A line's end and a tab are not among."""

_INSTEAD: Mapping[str, str] = MappingProxyType(
    {"–": "-", "±": "+-", "·": "*", "…": "...", "\N{REPLACEMENT CHARACTER}": "?"}
)


def tamed(text: str) -> str:
    """The text without power over a terminal."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def in_few_letters(error: UnicodeError) -> tuple[str | bytes, int]:
    """An error handler for terminals that have not all letters: a dash is a hyphen, others are told by number."""
    assert isinstance(error, UnicodeEncodeError)
    strange = error.object[error.start : error.end]
    shown = "".join(_INSTEAD.get(c) or c.encode("ascii", "backslashreplace").decode() for c in strange)
    return shown, error.end


def printable(text: object, length: int = 80) -> str:
    """Foreign text as one line of a message: no control characters, not endless."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text)[: length + 1])
    return shown if len(shown) <= length else shown[: length - 1] + "…"
