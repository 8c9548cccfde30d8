"""Choose the best of several predictors on one half of the test points, and judge it on the other half.

The largest of many accuracies is biased upward on the points by which it was chosen; on other points it is not.
"""

import numpy as np
from jaxtyping import Bool, Int

_SEED = 0
"""seed of the split: one split for all predictors, budgets and runs with the same labels"""


def chooses(labels: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Return a mask of the points that choose: a random half, to which each class gives half of its points."""
    order = np.random.default_rng(_SEED).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    chosen = np.zeros(len(labels), bool)
    chosen[order[::2]] = True
    return chosen


def best(right: Bool[np.ndarray, "m n"], labels: Int[np.ndarray, " n"]) -> tuple[int, Bool[np.ndarray, " h"]]:
    """Return the index of the best predictor on the choosing half, the first of equals, and its outcomes on the other.

    `right[i, j]`: whether predictor i is right at test point j.
    """
    half = chooses(labels)
    place = int(np.argmax(right[:, half].sum(axis=1)))
    return place, right[place, ~half]
