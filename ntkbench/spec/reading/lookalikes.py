"""Find Unicode characters that look like those of YAML syntax, and say what to write in their place.

Word processors, web pages and keyboards bring them in: no-break spaces, curly quotes, dashes for minus signs,
full-width colons. The parser calls `in_a_text` when a file is no YAML, and `in_a_value` for every value without quotes.
"""

import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

_SPACES = "\u00a0\u1680\u2000-\u200b\u202f\u205f\u2060\u3000\u00ad"
"""characters that look like a space, or like nothing; a class of a regular expression, as `_MINUS` is"""
_QUOTES: Mapping[str, str] = MappingProxyType(dict.fromkeys("“”„«»", '"') | dict.fromkeys("‘’‚‹›", "'"))
"""quotation marks, each with the plain one that it stands for"""
_MINUS = "\u2212\u2010-\u2014\ufe63\uff0d"
"""dashes and minus signs that are not the plain hyphen"""
_COLON = "\uff1a\ufe55"
_COMMA = "\uff0c\u3001"
# Places where a lookalike is a mistake rather than text: after a ':' or a '-', at an end of a value, before a number.
_IN_A_VALUE = re.compile(
    rf"^(?P<first>[{_SPACES}{''.join(_QUOTES)}])|(?<=[:-])(?P<after>[{_SPACES}])|(?P<last>[{_SPACES}])$"
    rf"|^(?P<minus>[{_MINUS}])(?=[.0-9])|(?<=[0-9][eE])(?P<exponent>[{_MINUS}])(?=[0-9]+$)"
)
_IN_A_TEXT = re.compile(rf"(?m)(?<=[:\-\[{{,])[{_SPACES}]|^ *[{_SPACES}]|(?<=\w)[{_COLON}{_COMMA}]")


def in_a_value(text: str) -> tuple[int, str] | None:
    """Return the position of the first lookalike in a value or key without quotes, and a message; None without one.

    Only those count that are likely to be mistakes: at an end of the value, after ':' or '-', or in place of a minus.
    """
    if match := _IN_A_VALUE.search(text):
        at = match.end() - 1
        return at, called(text[at])
    return None


def in_a_text(text: str) -> tuple[int, str] | None:
    """Return the position of the lookalike that is likely to make a text no YAML, and a message; None without one."""
    if match := _IN_A_TEXT.search(text):
        at = match.end() - 1
        return at, called(text[at])
    return None


def called(character: str) -> str:
    """Return a message that names a character by its number and name, with what to write instead."""
    name = unicodedata.name(character, "a character without a name").lower()
    return f"the character U+{ord(character):04X} ({name}) is not YAML's own; write {_instead(character)} in its place"


def _instead(character: str) -> str:
    """Return what to write instead of a lookalike."""
    if character in _QUOTES:
        return _QUOTES[character]
    for these, own in ((_MINUS, "-"), (_COLON, "':' and a space"), (_COMMA, "','")):
        if re.match(f"[{these}]", character):
            return own
    return "a plain space"
