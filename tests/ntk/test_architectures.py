"""Recipes by name: what they build, and the contract that every activation keeps."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import architectures
from ntkbench.ntk.activations import Deviation
from tests.ntk.predictors import drawn, uniform

ACTIVATIONS = {name: make() for name, make in architectures.ACTIVATIONS.items()}


def shapes(recipe):
    return [leaf.shape for leaf in jax.tree.leaves(drawn(recipe, (2, 3, 1)).weights)]


def test_depth_counts_hidden_layers():
    assert shapes(architectures.fc(5, 4, depth=1)) == [(5, 6), (5,), (4, 5), (4,)]
    assert shapes(architectures.fc(5, 4, depth=3, b_std=None)) == [(5, 6), (5, 5), (5, 5), (4, 5)]


def test_equal_words_are_equal_recipes():
    one, same = (architectures.fc(5, 4, depth=2, b_std=0.1) for _ in range(2))
    assert one == same
    assert hash(one) == hash(same)
    assert one != architectures.fc(5, 4, depth=2, b_std=0.2)


def test_computes_the_formula():
    """W_2 relu(W_1 x s_1 + b b_1) s_2 + b b_2, s = W_std / sqrt(fan in)."""
    x = uniform(2, 3, 1)
    net = drawn(architectures.fc(5, 4, depth=1, W_std=1.5, b_std=0.3), x.shape)
    (w1, b1), (w2, b2) = (tuple(map(np.asarray, layer)) for layer in net.weights if layer)
    hidden = np.maximum(w1 @ np.asarray(x).ravel() * 1.5 / math.sqrt(6) + 0.3 * b1, 0)
    np.testing.assert_allclose(net(x), w2 @ hidden * 1.5 / math.sqrt(5) + 0.3 * b2, rtol=1e-13)


def test_standard_parameterization_applies_its_weights_as_they_are():
    x = uniform(2, 3, 1)
    net = drawn(architectures.fc(5, 4, depth=1, W_std=1.5, b_std=0.3, parameterization="standard"), x.shape)
    (w1, b1), (w2, b2) = (tuple(map(np.asarray, layer)) for layer in net.weights if layer)
    np.testing.assert_allclose(net(x), w2 @ np.maximum(w1 @ np.asarray(x).ravel() + b1, 0) + b2, rtol=1e-13)


@pytest.mark.parametrize("name", ACTIVATIONS)
class TestActivation:
    """E over (u, v) ~ N(0, [[q, K], [K, q']]), by a sum over a fine grid."""

    q1, q2, K = 1.3, 0.6, 0.5

    def grid(self):
        z = np.linspace(-8, 8, 1601)
        density = np.exp(-(z**2) / 2)
        weight = density[:, None] * density / density.sum() ** 2
        u = math.sqrt(self.q1) * z[:, None] + 0 * z
        v = self.K / math.sqrt(self.q1) * z[:, None] + math.sqrt(self.q2 - self.K**2 / self.q1) * z
        return weight, u, v

    def both(self, activation, x):
        f, slope = jax.jvp(activation.function, (jnp.asarray(x),), (jnp.ones(x.shape),))
        return np.asarray(f), np.asarray(slope)

    def test_dual(self, name):
        activation = ACTIVATIONS[name]
        weight, u, v = self.grid()
        (f, df), (g, dg) = self.both(activation, u), self.both(activation, v)
        one, two = (Deviation(jnp.array(q**0.5), jnp.array(q**-0.5)) for q in (self.q1, self.q2))
        values, slopes = activation.dual(jnp.array(self.K), one, two)
        np.testing.assert_allclose(values, np.sum(weight * f * g), rtol=1e-3)
        np.testing.assert_allclose(slopes, np.sum(weight * df * dg), rtol=1e-2)

    def test_moments_are_the_dual_of_equal_units(self, name):
        activation = ACTIVATIONS[name]
        note = Deviation(jnp.array(self.q1**0.5), jnp.array(self.q1**-0.5))
        for exact, pair in zip(activation.moments(jnp.array(self.q1)), activation.dual(jnp.array(self.q1), note, note), strict=True):
            np.testing.assert_allclose(exact, pair, rtol=1e-7)
