"""Characters that look like those of YAML and are others: word processors, web pages and keyboards bring them in."""

import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

_SPACES = "\u00a0\u1680\u2000-\u200b\u202f\u205f\u2060\u3000\u00ad"
_QUOTES: Mapping[str, str] = MappingProxyType(dict.fromkeys("“”„«»", '"') | dict.fromkeys("‘’‚‹›", "'"))
_MINUS = "\u2212\u2010-\u2014\ufe63\uff0d"
_COLON = "\uff1a\ufe55"
_COMMA = "\uff0c\u3001"
# Where one of these means something else than text: after a ':' or a '-', at an end of a value, before a number.
_IN_A_VALUE = re.compile(
    rf"^(?P<first>[{_SPACES}{''.join(_QUOTES)}])|(?<=[:-])(?P<after>[{_SPACES}])|(?P<last>[{_SPACES}])$"
    rf"|^(?P<minus>[{_MINUS}])(?=[.0-9])|(?<=[0-9][eE])(?P<exponent>[{_MINUS}])(?=[0-9]+$)"
)
_IN_A_TEXT = re.compile(rf"(?m)(?<=[:\-\[{{,])[{_SPACES}]|^ *[{_SPACES}]|(?<=\w)[{_COLON}{_COMMA}]")


def in_a_value(text: str) -> tuple[int, str] | None:
    """Where in a value, or a key, without quotes the first of them stands, and what to say of it."""
    if match := _IN_A_VALUE.search(text):
        at = match.end() - 1
        return at, called(text[at])
    return None


def in_a_text(text: str) -> tuple[int, str] | None:
    """The same of a text that is not YAML: where one of them is likely to be the reason."""
    if match := _IN_A_TEXT.search(text):
        at = match.end() - 1
        return at, called(text[at])
    return None


def called(character: str) -> str:
    """The character by its number and name, and what to write instead."""
    name = unicodedata.name(character, "a character without a name").lower()
    return f"the character U+{ord(character):04X} ({name}) is not YAML's own; write {_instead(character)} in its place"


def _instead(character: str) -> str:
    if character in _QUOTES:
        return _QUOTES[character]
    for these, own in ((_MINUS, "-"), (_COLON, "':' and a space"), (_COMMA, "','")):
        if re.match(f"[{these}]", character):
            return own
    return "a plain space"
