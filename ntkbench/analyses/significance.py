"""Test whether counts beat the majority rate, and correlate rankings. SciPy is imported only where it is used."""

import numpy as np
from scipy.special import bdtrc
from scipy.stats import rankdata

LEVEL = 0.05
"""family-wise error rate of the tests"""


def beats(k: np.ndarray, n: int, majority: int, level: float = LEVEL) -> np.ndarray:
    """Return which of the counts `k` out of n are significantly above chance, the rate of the majority class.

    One-sided binomial tests against `majority` / n, corrected for their number after Holm (1979) at `level`.
    """
    # The tail P(K >= k): bdtrc gives P(K > k - 1), and is not defined for k = 0, where the tail is 1.
    p = np.where(k > 0, bdtrc(np.maximum(k, 1) - 1, n, majority / n), 1.0)
    order = np.argsort(p, kind="stable")
    passed = p[order] <= level / (len(p) - np.arange(len(p)))
    found = np.zeros(len(p), bool)
    found[order] = np.logical_and.accumulate(passed)  # the first that fails ends it
    return found


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """Return Spearman's rank correlation, ties at their mean rank; None where a or b is constant or shorter than 2."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])
