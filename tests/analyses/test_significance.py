import numpy as np
import pandas as pd
from scipy.stats import binomtest

from ntkbench.analyses.significance import beats, rank_correlation


def test_one_count_is_a_binomial_test():
    for k in range(21):
        p = binomtest(k, 20, 0.5, alternative="greater").pvalue
        assert beats(np.array([k]), 20, 10)[0] == (p <= 0.05), k


def test_holm_divides_the_level_by_what_is_left():
    """Of 20 points with half in each class: p of 15, 16, 18, 20 are 0.0207, 0.0059, 0.0002, 1e-6."""
    np.testing.assert_array_equal(beats(np.array([15, 20, 16, 18]), 20, 10), [True] * 4)
    np.testing.assert_array_equal(beats(np.array([15, 15, 20]), 20, 10), [True] * 3)
    np.testing.assert_array_equal(beats(np.array([15]), 20, 10), [True])


def test_after_the_first_that_fails_none_passes():
    """p of 14 and 15 are 0.058 and 0.021: of the four, 15 must be below 0.05 / 2 to pass."""
    np.testing.assert_array_equal(beats(np.array([14, 15, 20, 20]), 20, 10), [False, True, True, True])
    np.testing.assert_array_equal(beats(np.array([14, 15, 15, 15]), 20, 10), [False] * 4)


def test_the_rate_to_beat_is_the_majority_s():
    np.testing.assert_array_equal(beats(np.array([15, 20, 0]), 20, 15), [False, True, False])
    assert not beats(np.array([20]), 20, 20)[0], "nothing beats a single class"


def test_rank_correlation_with_ties():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, 30), rng.integers(0, 5, 30)
    found = rank_correlation(a, b)
    assert found is not None
    np.testing.assert_allclose(found, pd.Series(a).corr(pd.Series(b), method="spearman"), rtol=1e-12)
    assert rank_correlation(a, 0 * a) is None
    assert rank_correlation(a[:1], b[:1]) is None
