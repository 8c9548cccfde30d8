"""Comparisons of outputs and gradients that are known by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import metrics
from tests.conftest import EXACT

NAN, INF = float("nan"), float("inf")


def test_correct():
    one = metrics.correct(jnp.array([[0.3], [-0.3], [0.0], [0.3]]), jnp.array([1, 0, 0, 0]))
    assert one.tolist() == [True, True, True, False]
    assert metrics.correct(jnp.array([[1.0, 3.0, 2.0], [1.0, 0.0, 0.5]]), jnp.array([1, 2])).tolist() == [True, False]


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_cosine_at_any_scale(scale):
    a = scale * jnp.array([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0], [3.0, 4.0]])[:, None]
    b = jnp.array([[2.0, 0.0], [-1.0, -1.0], [0.0, 5.0], [4.0, 3.0]])[:, None]
    np.testing.assert_allclose(metrics.cosine(a, b), [1, -1, 0, 24 / 25], rtol=EXACT, atol=EXACT)


def test_cosine_is_undefined_without_a_direction():
    a = jnp.array([[0.0, 0.0], [NAN, 1.0], [INF, 1.0], [1.0, 1.0]])
    assert np.isnan(metrics.cosine(a, jnp.ones((4, 2)))).tolist() == [True, True, True, False]
    assert np.isnan(metrics.cosine(jnp.ones((4, 2)), a)).tolist() == [True, True, True, False]


def test_sign_agreement():
    a = jnp.array([[1.0, -2.0, 0.0, 1e-300], [1.0, 1.0, 1.0, 1.0]]).reshape(2, 2, 2)
    b = jnp.array([[5.0, 1.0, 0.0, 1.0], [-1.0, -1.0, 0.0, -1.0]]).reshape(2, 2, 2)
    np.testing.assert_array_equal(metrics.sign_agreement(a, b), [0.75, 0])
    np.testing.assert_array_equal(metrics.sign_agreement(a, a), [1, 1])


def test_sign_agreement_is_undefined_without_a_sign():
    a, b = jnp.array([[1.0, NAN], [1.0, INF]]), jnp.array([[1.0, 1.0], [1.0, 1.0]])
    np.testing.assert_array_equal(metrics.sign_agreement(a, b), [NAN, 1])
    np.testing.assert_array_equal(metrics.sign_agreement(b, a), [NAN, 1])
