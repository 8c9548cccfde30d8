"""The best of several predictors, chosen on one half of the test points and judged on the other.

The largest of many shares is too large on the points that chose it: each has its own luck, and the luckiest wins.
"""

import numpy as np
from jaxtyping import Bool, Int

_SEED = 0
"""of the split, which is the same for all predictors, budgets and runs with the same labels"""


def choosing(labels: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """A random half of the points, in which each class has half of its own, give or take one; the rest judges."""
    order = np.random.default_rng(_SEED).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    chosen = np.zeros(len(labels), bool)
    chosen[order[::2]] = True
    return chosen


def best(right: Bool[np.ndarray, "m n"], labels: Int[np.ndarray, " n"]) -> tuple[int, Bool[np.ndarray, " h"]]:
    """The first predictor with most right answers on the choosing half, and its answers on the judging half."""
    half = choosing(labels)
    place = int(np.argmax(right[:, half].sum(axis=1)))
    return place, right[place, ~half]
