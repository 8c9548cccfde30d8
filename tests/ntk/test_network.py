"""Networks: their weights, other weights, another precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import architectures, network
from tests.conftest import STATISTICAL
from tests.ntk.predictors import drawn, uniform

RECIPE = architectures.fc(5, 3, depth=1, b_std=0.1)
X = uniform(2, 2, 1)


@pytest.mark.parametrize(
    ("parameterization", "sds"), [("ntk", (1, 1, 1, 1)), ("standard", (1.5 / 2, 0.3, 1.5 / 50, 0.3))]
)
def test_initial_weights(parameterization, sds):
    """Zero mean, and the variance that the parameterization says, in standard errors of 2500 draws and more."""
    recipe = architectures.fc(2500, 2500, depth=1, W_std=1.5, b_std=0.3, parameterization=parameterization)
    net = jax.jit(lambda key: network.initialize(recipe, (2, 2, 1), key=key))(jax.random.key(0))
    for leaf, sd in zip(jax.tree.leaves(net.weights), sds, strict=True):
        assert leaf.dtype == jnp.float32
        assert abs(leaf.mean()) < STATISTICAL * sd / leaf.size**0.5
        assert abs(leaf.var() / sd**2 - 1) < STATISTICAL * (2 / leaf.size) ** 0.5


def test_with_weights_changes_nothing_else():
    net, other = drawn(RECIPE, X.shape), drawn(RECIPE, X.shape, seed=1)
    moved = network.with_weights(net, other.weights)
    np.testing.assert_array_equal(moved(X), other(X))
    assert not np.array_equal(moved(X), net(X))
    assert moved.recipe == net.recipe


def test_cast():
    net = drawn(RECIPE, X.shape, dtype=np.float32)
    double = network.cast(net, jnp.float64)
    assert {leaf.dtype for leaf in jax.tree.leaves(double)} == {np.dtype("float64")}
    np.testing.assert_allclose(double(X), net(X.astype(jnp.float32)), rtol=1e-4, atol=1e-5)
