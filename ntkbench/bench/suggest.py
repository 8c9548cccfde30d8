"""What somebody may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 100
"""characters of a word that is compared: the time it takes grows with their square"""
_MOST = 500
"""words that it is compared with"""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word most like `word`, if one is like it."""
    folded = {name.lower().replace("-", "_"): name for name in known}
    if len(word) > _LONGEST or len(folded) > _MOST:
        return None
    close = get_close_matches(word.lower().replace("-", "_"), folded, n=1, cutoff=cutoff)
    return folded[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean ...?`, or the known words if none is near and they are few, to append to a message."""
    names = sorted(known)
    near = nearest(word, names)
    if near is not None and near != word:
        return f"; did you mean {near}?"
    if not names:
        return ""
    return f"; known: {', '.join(names)}" if len(names) <= 16 else ""
