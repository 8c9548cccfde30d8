"""Suggest the known word that a mistyped one was probably meant to be.

Messages about unknown fields, kinds, metrics and axes end in what `did_you_mean` returns:

    did_you_mean("acuracy", METRICS)    # "; did you mean accuracy?"
"""

from collections.abc import Iterable
from difflib import get_close_matches

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
