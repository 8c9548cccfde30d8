"""Whether counts beat chance, and whether two rankings agree. SciPy is imported where it is used."""

import numpy as np

LEVEL = 0.05


def beats(k: np.ndarray, n: int, majority: int, level: float = LEVEL) -> np.ndarray:
    """Which counts k of n are above the majority class's: one-sided binomial tests, corrected after Holm (1979)."""
    from scipy.special import bdtrc

    # The chance of k or more; every outcome is 0 or more.
    p = np.where(k > 0, bdtrc(np.maximum(k, 1) - 1, n, majority / n), 1.0)
    order = np.argsort(p, kind="stable")
    passed = p[order] <= level / (len(p) - np.arange(len(p)))
    found = np.zeros(len(p), bool)
    found[order] = np.logical_and.accumulate(passed)  # the first that fails ends it
    return found


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """Spearman's, ties ranked by their mean; None where one of them is constant."""
    from scipy.stats import rankdata

    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])
