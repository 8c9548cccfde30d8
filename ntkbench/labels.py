"""Labels of runs along axes: their order, when two are equal, and the column names that no axis can have."""

import re
from functools import lru_cache

OF_RUN = ("run_id", "status", "spec", "seed")
"""columns of tables that every run has"""
OF_NUMBER = ("analysis", "metric", "revision", "value", "k", "n", "ci_method", "unit", "higher_is_better", "reason")
"""columns of tables that hold a number and its definition"""
ENDS = ("low", "high")
"""columns with the ends of a 95 % interval over test points"""
CHECKS = "failed_checks"
"""column with the codes of failed checks that a number rests on; in summaries, the number of runs with any"""
SUMMARY = ("mean", "sd", "n", "expected", "ci_low", "ci_high", "undefined", "reason", CHECKS)
"""columns of a summary over seeds"""
FIXED = frozenset((*OF_RUN, *OF_NUMBER, *ENDS, *SUMMARY))
"""all columns that tables have whatever the axes; an axis of such a name is called cell.NAME there"""


def label_key(label: object) -> tuple[int, float, str]:
    """Return a sort key for labels: numbers by value (32 < 128, 2/255 < 1/10), then words.

    Numbers inside of words count by value too (top 5 < top 10), and budgets such as 1/2/sqrt(d) by their multiple.
    """
    return _key(str(label))


@lru_cache(2**14)  # a table asks for the same labels in each of its lines
def _key(text: str) -> tuple[int, float, str]:
    """Return the sort key of a label's text, see `label_key`."""
    number = as_number(text.removesuffix("/sqrt(d)"))
    words = re.sub(r"\d+", lambda digits: digits[0].zfill(15), text)
    return (1, 0.0, f"{words}\0{text}") if number is None else (0, number, text)


def as_number(label: str) -> float | None:
    """Return the value of a label that is a number or a fraction; None for words and NaN."""
    if match := re.fullmatch(r"(\d{1,15})/0*([1-9]\d{0,14})", label):
        return int(match[1]) / int(match[2])
    try:
        number = float(label)
    except ValueError:
        return None
    return None if number != number else number


def same_label(label: str, other: str) -> bool:
    """Return whether two labels are the same text or the same number, such as 0.2 and 1/5."""
    number = as_number(label)
    return label == other or (number is not None and number == as_number(other))
