"""The fully connected recipe: its weights, and its function."""

import math

import jax
import numpy as np

from ntkbench.ntk import architectures
from tests.ntk.predictors import drawn, uniform


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
