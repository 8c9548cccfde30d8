"""The first-order model against the network that it is made of."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import architectures, linearize, losses, network
from ntkbench.ntk.activations import ReLU
from ntkbench.ntk.convolution import Conv, MaxPool
from ntkbench.ntk.layers import Dense, Flatten, Sequential
from tests.conftest import EXACT
from tests.ntk.predictors import drawn, uniform

X = uniform(2, 2, 1)
NET = drawn(architectures.fc(6, 3, depth=2, b_std=0.1), X.shape)
MOVE = drawn(NET.recipe, X.shape, seed=1).weights


def moved(by: float = 1.0, centered: bool = False) -> linearize.Linearized:
    linear = linearize.linearize(NET, centered=centered)
    return network.with_weights(linear, jax.tree.map(lambda leaf: by * leaf, MOVE))


def by_hand(x):
    """f_0 and J w with the whole Jacobian."""
    flat, unflatten = jax.flatten_util.ravel_pytree(NET.weights)
    J = jax.jacrev(lambda w: network.with_weights(NET, unflatten(w))(x))(flat)
    return NET(x), J @ jax.flatten_util.ravel_pytree(MOVE)[0]


def test_is_the_network_where_it_is_made():
    np.testing.assert_array_equal(linearize.linearize(NET)(X), NET(X))
    np.testing.assert_array_equal(linearize.linearize(NET, centered=True)(X), np.zeros(3))


def test_is_value_and_slope():
    value, slope = jax.jit(by_hand)(X)
    np.testing.assert_allclose(moved()(X), value + slope, rtol=EXACT)
    np.testing.assert_allclose(moved(centered=True)(X), slope, rtol=EXACT)


def test_leaves_the_network_to_second_order():
    """Halving the displacement quarters the distance."""

    @jax.jit
    def distance(by):
        there = network.with_weights(NET, jax.tree.map(lambda leaf, move: leaf + by * move, NET.weights, MOVE))
        return jnp.linalg.norm(there(X) - moved(by)(X))

    np.testing.assert_allclose(distance(1e-3) / distance(5e-4), 4, rtol=1e-2)


@pytest.mark.parametrize("centered", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_gradient_in_the_image(centered):
    """Of f_0 + J w as a function of x, where J depends on x too."""
    label = jnp.array(1)

    def loss(x):
        value, slope = by_hand(x)
        return losses.cross_entropy(slope if centered else value + slope, label)

    found = jax.jit(jax.grad(lambda x: losses.cross_entropy(moved(centered=centered)(x), label)))(X)
    np.testing.assert_allclose(found, jax.jit(jax.grad(loss))(X), rtol=EXACT)


def test_trained_weights_are_the_displacement_alone():
    linear = linearize.linearize(NET)
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(linear.weights))
    slopes = jax.jit(jax.grad(lambda w: network.with_weights(linear, w)(X).sum()))(linear.weights)
    expected = jax.jit(jax.grad(lambda w: network.with_weights(NET, w)(X).sum()))(NET.weights)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=EXACT), slopes, expected)


@pytest.mark.slow
def test_a_convolution_can_be_linearized_attacked_and_trained():
    """Derivatives in the image and in the weights of a derivative: of several networks, and compiled."""
    recipe = Sequential((Conv(3), ReLU(), MaxPool(), Conv(4), ReLU(), Flatten(), Dense(2)))
    images = uniform(3, 4, 4, 2)
    anchor = drawn(recipe, (4, 4, 2))
    step = jax.tree.map(lambda w: 0.1 * w, drawn(recipe, (4, 4, 2), seed=1).weights)

    def value(weights, X):
        return jnp.sum(jax.vmap(linearize.Linearized(anchor, weights))(X) ** 2)

    several = jax.tree.map(lambda w: jnp.stack([w, 2 * w]), step)
    slopes = jax.jit(jax.vmap(jax.grad(value, (0, 1)), (0, None)))
    weights, pixels = slopes(several, images)
    h = 1e-5
    np.testing.assert_allclose(
        pixels[0].sum(), (value(step, images + h) - value(step, images - h)) / (2 * h), rtol=1e-4
    )
    up, down = (jax.tree.map(lambda w, sign=sign: w * (1 + sign * h), step) for sign in (1, -1))
    along = sum(jnp.sum(g[0] * w) for g, w in zip(*map(jax.tree.leaves, (weights, step)), strict=True))
    np.testing.assert_allclose(along, (value(up, images) - value(down, images)) / (2 * h), rtol=1e-4)
