"""Labels along axes: their order, which mean the same, and the names that axes cannot have."""

import re

OF_RUN = ("run_id", "status", "spec", "seed")
OF_NUMBER = ("analysis", "metric", "revision", "value", "k", "n", "ci_method", "unit", "higher_is_better", "reason")
ENDS = ("low", "high")
CHECKS = "failed_checks"
"""checks of a number's analysis that did not hold: their codes, and of a summary the number of such runs"""
SUMMARY = ("mean", "sd", "n", "expected", "ci_low", "ci_high", "undefined", "reason", CHECKS)
FIXED = frozenset((*OF_RUN, *OF_NUMBER, *ENDS, *SUMMARY))
"""columns of tables that are there whatever the axes"""


def label_key(label: object) -> tuple[int, float, str]:
    """Sorts numbers by value (32 < 128, 2/255 < 1/10), then words, numbers in these by value too (top 5 < top 10)."""
    text = str(label)
    number = as_number(text)
    words = re.sub(r"\d+", lambda digits: digits[0].zfill(15), text)
    return (1, 0.0, f"{words}\0{text}") if number is None else (0, number, text)


def as_number(label: str) -> float | None:
    """The value of a label that is a number or a fraction."""
    if match := re.fullmatch(r"(\d{1,15})/0*([1-9]\d{0,14})", label):
        return int(match[1]) / int(match[2])
    try:
        number = float(label)
    except ValueError:
        return None
    return None if number != number else number


def same_label(label: str, other: str) -> bool:
    """Whether both are one label, or one number: 0.2 and 1/5."""
    number = as_number(label)
    return label == other or (number is not None and number == as_number(other))
