"""Numbers with their counts."""

import numpy as np
import pytest

from ntkbench.analyses.measurement import Scalar

WHERE = {"eps": "0"}


def test_share():
    assert Scalar.share("accuracy", 3, 4, WHERE) == Scalar("accuracy", 0.75, WHERE, k=3, n=4)


def test_share_of_nothing_is_undefined():
    found = Scalar.share("accuracy", 0, 0, WHERE)
    assert (found.value, found.k, found.n) == (None, 0, 0)
    assert found.reason


def test_mean():
    found = Scalar.mean("gradient_cosine", np.array([0.1, 0.2, 0.6]), WHERE)
    assert found.value == pytest.approx(0.3)
    assert found.sd == pytest.approx(np.std([0.1, 0.2, 0.6], ddof=1))
    assert found.n == 3


def test_mean_is_over_what_is_defined():
    found = Scalar.mean("gradient_cosine", np.array([0.5, np.nan, np.inf]), WHERE)
    assert (found.value, found.n, found.sd) == (0.5, 1, None)


def test_mean_of_nothing_is_undefined():
    found = Scalar.mean("gradient_cosine", np.array([np.nan]), WHERE)
    assert (found.value, found.n) == (None, 0)
    assert found.reason
