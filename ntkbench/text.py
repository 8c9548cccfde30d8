"""Show text of strangers so that a terminal does not obey it, suggest what somebody meant, and name files."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from hashlib import sha256
from types import MappingProxyType

# Show text of unknown origin in a terminal or a message, without control characters that the terminal would obey.


CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
"""characters that move a cursor, change the direction of writing, or are no characters; a line's end and a tab are
not among them"""

_INSTEAD: Mapping[str, str] = MappingProxyType(
    {"–": "-", "±": "+-", "·": "*", "…": "...", "\N{REPLACEMENT CHARACTER}": "?"}
)
"""signs to write where an encoding lacks these characters"""


def without_control_characters(text: str) -> str:
    """Return the text with a replacement character for each control character; lines and tabs stay."""
    if text.isprintable():  # most texts are, and this takes a fifth of the time
        return text
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def escape_unencodable(error: UnicodeError) -> tuple[str | bytes, int]:
    """Handle characters that an output's encoding lacks, as an error handler for `codecs.register_error`.

    A dash becomes a hyphen, a few other signs something similar, and the rest their number, such as `\\u03b8`.
    """
    assert isinstance(error, UnicodeEncodeError)
    strange = error.object[error.start : error.end]
    shown = "".join(_INSTEAD.get(c) or c.encode("ascii", "backslashreplace").decode() for c in strange)
    return shown, error.end


def one_line(text: object, length: int = 80) -> str:
    """Return text as one line without control characters, cut to `length` characters."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text)[: length + 1])
    return shown if len(shown) <= length else shown[: length - 1] + "…"


# Suggest the known word that a mistyped one was probably meant to be.
#
# Messages about unknown fields, kinds, metrics and axes end in what `did_you_mean` returns:
#
#     did_you_mean("acuracy", known_metrics())    # "; did you mean accuracy?"


_LONGEST = 100
"""longest word that is compared, in characters: the time of a comparison grows with the square of the length"""
_MOST = 500
"""largest vocabulary that a word is compared with"""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known word most similar to `word`; None if none is similar enough.

    Case, and `-` in place of `_`, do not count. `cutoff` is the least similarity, from 0 to 1, as `difflib` measures
    it. A word or a vocabulary beyond the limits above gives None too.
    """
    folded = {name.lower().replace("-", "_"): name for name in known}
    if len(word) > _LONGEST or len(folded) > _MOST:
        return None
    close = get_close_matches(word.lower().replace("-", "_"), folded, n=1, cutoff=cutoff)
    return folded[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of an error message about an unknown word: `; did you mean ...?` with the nearest known word.

    If none is near, it lists the known words; it is empty if there are none or more than 16.
    """
    names = sorted(known)
    near = nearest(word, names)
    if near is not None and near != word:
        return f"; did you mean {near}?"
    if not names:
        return ""
    return f"; known: {', '.join(names)}" if len(names) <= 16 else ""


def slug(name: str) -> str:
    """Return the stem of an entry's file name: lower-case letters, digits, hyphens; a short hash if none is left."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60].strip("-")
    return plain or "entry-" + sha256(name.encode()).hexdigest()[:8]
