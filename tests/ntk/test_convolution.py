"""Sums over windows, and their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import convolution
from ntkbench.ntk.convolution import pads, window_sum
from tests.conftest import EXACT


@pytest.mark.parametrize("padding", ["SAME", "VALID", "CIRCULAR", "CENTERED"])
@pytest.mark.parametrize("window", [1, 2, 3, 4])
@pytest.mark.parametrize("axes", [(0,), (0, 2)])
def test_the_derivative_of_a_moving_sum_is_its_transpose(padding, window: int, axes: tuple[int, ...]):
    rng = np.random.default_rng(window)
    x = jnp.asarray(rng.normal(size=(5, 3, 5)))
    amount = pads(5, window, 1, padding)
    y, pull = jax.vjp(lambda x: window_sum(x, axes, window, 1, padding), x)
    g = jnp.asarray(rng.normal(size=y.shape))
    _, plain = jax.vjp(lambda x: convolution._shifted_sum(x, axes, window, 1, amount, padding), x)
    np.testing.assert_allclose(pull(g)[0], plain(g)[0], rtol=EXACT, atol=EXACT)
    # The derivative of the derivative, as first-order models of networks take it, is the sum again.
    _, twice = jax.vjp(lambda g: pull(g)[0], g)
    np.testing.assert_allclose(twice(x)[0], y, rtol=EXACT, atol=EXACT)
