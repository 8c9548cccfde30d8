"""Turn the text of a YAML scalar into a value."""

import re
from fractions import Fraction

from ntkbench.spec.document import Scalar
from ntkbench.text import CONTROL

MAX_DIGITS = 300
"""most characters of a number"""
MAX_TEXT = 10_000
"""most characters of a string value"""

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_FRACTION = re.compile(r"([-+]?[0-9]+)/([0-9]+)")
_WORDS: dict[str, Scalar] = {"": None, "~": None, "null": None, "true": True, "false": False}
"""unquoted texts that mean something else than themselves"""
_WORDS |= {sign + dot + "inf": float(sign + "inf") for sign in ("", "+", "-") for dot in ("", ".")}
_WORDS |= {"nan": float("nan"), ".nan": float("nan")}
# A whole text may have the line ends of Windows, "\r\n"; in values, YAML has turned them into "\n".
_UNPRINTABLE = re.compile("(?!\r)" + CONTROL.pattern)


def _readable(text: str) -> str:
    """Return a value's text; raise ValueError where it has control characters, as escapes in quotes allow, or is too
    long."""
    if bad := CONTROL.search(text):
        raise ValueError(_control(bad[0]))
    if len(text) > MAX_TEXT:
        raise ValueError(f"a text of {len(text)} characters; {MAX_TEXT} are the most")
    return text


def _control(character: str) -> str:
    return f"the control character U+{ord(character):04X}; delete it"


def scalar(text: str) -> Scalar:
    """Return what an unquoted scalar means; raise ValueError for a number that cannot be held or divides by zero."""
    if text in _WORDS:
        return _WORDS[text]
    if match := _FRACTION.fullmatch(text):
        if not int(match[2][:MAX_DIGITS]):
            raise ValueError(f"{text} divides by zero")
        if len(text) > MAX_DIGITS:
            raise ValueError(f"a number of {len(text)} characters; {MAX_DIGITS} are the most")
        return Fraction(int(match[1]), int(match[2]))
    if not (text[0] in "+-.0123456789" and _FLOAT.fullmatch(text)):
        return text
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} characters; {MAX_DIGITS} are the most")
    if _INTEGER.fullmatch(text):
        return int(text)
    number = float(text)
    if abs(number) == float("inf"):
        raise ValueError(f"{text} is too large for a number; write inf if that is meant")
    return number
