"""Show text of unknown origin in a terminal or a message, without control characters that the terminal would obey."""

import re
from collections.abc import Mapping
from types import MappingProxyType

CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
"""characters that move a cursor, change the direction of writing, or are no characters; a line's end and a tab are
not among them"""

_INSTEAD: Mapping[str, str] = MappingProxyType(
    {"–": "-", "±": "+-", "·": "*", "…": "...", "\N{REPLACEMENT CHARACTER}": "?"}
)
"""signs to write where an encoding lacks these characters"""


def tamed(text: str) -> str:
    """Return the text with a replacement character for each control character; lines and tabs stay."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def in_few_letters(error: UnicodeError) -> tuple[str | bytes, int]:
    """Handle characters that an output's encoding lacks, as an error handler for `codecs.register_error`.

    A dash becomes a hyphen, a few other signs something similar, and the rest their number, such as `\\u03b8`.
    """
    assert isinstance(error, UnicodeEncodeError)
    strange = error.object[error.start : error.end]
    shown = "".join(_INSTEAD.get(c) or c.encode("ascii", "backslashreplace").decode() for c in strange)
    return shown, error.end


def printable(text: object, length: int = 80) -> str:
    """Return text as one line without control characters, cut to `length` characters."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text)[: length + 1])
    return shown if len(shown) <= length else shown[: length - 1] + "…"
