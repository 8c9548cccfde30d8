"""Batch normalization: against NumPy alone, in evaluation and in training, and what must not see its statistics."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.errors import UsageError
from ntkbench.ntk import batch_norm, cheapest, drift, linearize, losses, network, training
from ntkbench.ntk.activations import ReLU
from ntkbench.ntk.batch_norm import BatchNorm, Statistics
from ntkbench.ntk.convolution import Conv, GlobalAvgPool
from ntkbench.ntk.layers import Covariance, Dense, Flatten, Positions, Sequential, Sum
from tests.conftest import EXACT, ITERATIVE
from tests.ntk.predictors import drawn, uniform
from tests.ntk.test_training import KEYS, LABELS, X, momentum, problem, stack, train

IMAGES = uniform(5, 3, 2, 4, seed=3)
SHARE = jnp.array([0.25, 0.25, 0.25, 0.25, 0.0])
"""the last example is none of the batch"""
ALONE = Sequential((BatchNorm(0.7), Flatten()))
FLAT = Sequential((Flatten(), BatchNorm(0.7), Dense(1, b_std=0.1)))
DEEP = Sequential((Flatten(), Dense(5, b_std=0.1), BatchNorm(0.7), ReLU(), Dense(3, b_std=0.1)))
BRANCHES = Sequential(
    (
        Conv(3),
        Sum((Sequential((BatchNorm(), ReLU(), Conv(3))), Sequential((Conv(3), BatchNorm())))),
        BatchNorm(),
        ReLU(),
        GlobalAvgPool(),
        Dense(2, b_std=0.1),
    )
)


def by_hand(x: np.ndarray, over: np.ndarray) -> np.ndarray:
    """x by the statistics of `over`, whose last axis are channels."""
    rows = over.reshape(-1, over.shape[-1])
    return (x - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-5)


def test_an_example_that_is_left_over_sits_the_epoch_out():
    """Ten examples in batches of three: three steps, and the tenth, another one each epoch, counts for nothing."""
    base = problem([0.1], batch_size=3)
    whole, dropped = (dataclasses.replace(base, drop_last=drop) for drop in (False, True))
    assert (whole.steps, dropped.steps) == (4, 3)
    net = stack(drawn(DEEP, X.shape[1:]))
    *_, before_the_last = training.states(whole, net, training.start(whole, net, 1), every=1, until=3)
    for ours, theirs in zip(
        jax.tree.leaves(train(dropped, net, 1).weights), jax.tree.leaves(before_the_last.weights), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_evaluation_is_by_the_moving_statistics():
    mean, variance = np.array([0.1, -0.2, 0.3, 4.0]), np.array([0.5, 1.0, 0.0, 3.0])
    moving = Statistics(jnp.asarray(mean), jnp.asarray(variance))
    net = network.Network(recipe=ALONE, weights=(moving, ()))
    expected = (np.asarray(IMAGES[0]) - mean) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(net(IMAGES[0]), expected.ravel(), rtol=EXACT)


def test_a_batch_is_normalized_by_itself_and_moves_the_statistics():
    """Those with share 0 are normalized with the rest, and count for nothing."""
    net, X = drawn(ALONE, IMAGES.shape[1:]), np.asarray(IMAGES)
    Y, (left,) = net.together(IMAGES, SHARE)
    np.testing.assert_allclose(Y, by_hand(X, X[:4]).reshape(5, -1), rtol=EXACT, atol=EXACT)
    rows = X[:4].reshape(-1, 4)
    for old, new, seen in zip(net.weights[0], left, (rows.mean(0), rows.var(0)), strict=True):
        np.testing.assert_allclose(new, 0.7 * old + 0.3 * seen, rtol=EXACT)
    one, _ = net.together(IMAGES[:4], SHARE[:4])
    np.testing.assert_allclose(one, Y[:4], rtol=EXACT, atol=EXACT)


def test_gradients_pass_through_the_statistics_of_the_batch():
    """dx = (g - mean g - y mean(g y)) / sd, means over the batch and its positions (Ioffe & Szegedy 2015, p. 4)."""
    net, G = drawn(ALONE, IMAGES.shape[1:]), np.random.default_rng(5).standard_normal(IMAGES.shape)
    G[4] = 0
    Y, pull = jax.vjp(lambda X: net.together(X, SHARE)[0].reshape(X.shape), IMAGES)
    (found,) = pull(jnp.asarray(G))
    g, y, x = (np.asarray(a)[:4].reshape(-1, 4) for a in (G, Y, IMAGES))
    expected = (g - g.mean(0) - y * (g * y).mean(0)) / np.sqrt(x.var(0) + 1e-5)
    np.testing.assert_allclose(found[:4].reshape(-1, 4), expected, rtol=EXACT, atol=EXACT)
    np.testing.assert_array_equal(found[4], 0)


def test_a_settled_network_is_that_of_its_batch():
    """Layer by layer and branch by branch: on that batch evaluation and training are one."""

    @eqx.filter_jit
    def both(net):
        net = network.settled(net, IMAGES)
        return net, jax.vmap(net)(IMAGES), net.together(IMAGES, jnp.full(5, 0.2))

    net, evaluated, (trained, left) = both(drawn(BRANCHES, IMAGES.shape[1:]))
    np.testing.assert_allclose(evaluated, trained, rtol=EXACT, atol=EXACT)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=EXACT), left, batch_norm.statistics(net.weights))


def test_epochs_by_hand():
    """Gradient descent on normalized features, in batches of which the last is smaller."""
    labels, epochs, rate, size = LABELS % 2, 2, 0.1, 4
    net = drawn(FLAT, X.shape[1:])
    last = train(problem([rate], batch_size=size, labels=labels), stack(net), epochs)
    _, moving, (w, b) = jax.tree.map(np.asarray, net.weights)
    mean, variance = moving
    examples, targets = np.asarray(X).reshape(10, 4), 2 * labels - 1.0
    for epoch in range(epochs):
        rows, share = training._order(10, size, jax.random.fold_in(KEYS[0], epoch), jnp.float64)
        for batch in (np.asarray(r)[np.asarray(s) > 0] for r, s in zip(rows, share, strict=True)):
            seen, scale = examples[batch], 2**0.5 / 2
            features = by_hand(seen, seen)
            error = scale * features @ w[0] + 0.1 * b[0] - targets[batch]
            w = w - rate * scale * (features.T @ error) / len(batch)
            b = b - rate * 0.1 * error.mean()
            mean, variance = 0.7 * mean + 0.3 * seen.mean(0), 0.7 * variance + 0.3 * seen.var(0)
    _, found, (found_w, found_b) = last.weights
    np.testing.assert_allclose(found_w[0], w, rtol=EXACT)
    np.testing.assert_allclose(found_b[0], b, rtol=EXACT)
    np.testing.assert_allclose(found.mean[0], mean, rtol=EXACT)
    np.testing.assert_allclose(found.variance[0], variance, rtol=EXACT)


def test_weights_and_shifts_of_channels_are_trained():
    """Against finite differences of the loss of a batch; the moving statistics are those of the values before."""
    recipe = Sequential((Flatten(), BatchNorm(0.7, affine=True), Dense(3, b_std=0.1)))
    plain = Sequential((Flatten(), BatchNorm(0.7), Dense(3, b_std=0.1)))
    net, rate, h = drawn(recipe, X.shape[1:]), 0.1, 1e-5
    last = train(problem([rate]), stack(net), 1)
    _, (moving, affine), head = net.weights
    w, b = map(np.asarray, head)
    features = by_hand(np.asarray(X).reshape(10, 4), np.asarray(X).reshape(10, 4))
    targets = np.stack([losses.encode(jnp.array(y), 3, dtype=jnp.float64) for y in LABELS])

    def loss(scale, shift):
        outputs = np.sqrt(2) / 2 * (features * scale + shift) @ w.T + 0.1 * b
        return np.mean(np.sum((outputs - targets) ** 2, axis=1)) / 2

    scale, shift = map(np.asarray, affine)
    steps = h * np.eye(4)
    slopes = [
        [(loss(scale + s, shift) - loss(scale - s, shift)) / (2 * h) for s in steps],
        [(loss(scale, shift + s) - loss(scale, shift - s)) / (2 * h) for s in steps],
    ]
    left, trained = last.weights[1]
    for new, old, slope in zip(trained, affine, slopes, strict=True):
        np.testing.assert_allclose(new[0], old - rate * np.array(slope), rtol=ITERATIVE, atol=ITERATIVE)
    plainly = train(problem([rate]), stack(network.Network(recipe=plain, weights=((), moving, head))), 1).weights[1]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=EXACT), left, plainly)


def test_the_kernel_of_a_network_with_weights_of_channels_is_that_of_all_its_weights():
    """The sum over all trained arrays of products of their gradients."""
    net = drawn(Sequential((Conv(3), BatchNorm(affine=True), ReLU(), GlobalAvgPool(), Dense(2))), IMAGES.shape[1:])
    assert net.places(IMAGES.shape[1:], IMAGES.dtype) is None
    slopes = jax.vmap(jax.jacrev(lambda w, x: network.with_weights(net, w)(x)), in_axes=(None, 0))(net.weights, IMAGES)
    flat = [np.asarray(leaf).reshape(5, 2, -1) for leaf in jax.tree.leaves(batch_norm.trained(slopes))]
    assert len(flat) == 6
    expected = sum(np.einsum("iak,jbk->iajb", leaf, leaf) for leaf in flat)
    np.testing.assert_allclose(cheapest.ntk(net, IMAGES), expected, rtol=EXACT, atol=EXACT * np.abs(expected).max())


def test_a_step_of_what_stands_before_it():
    """Against finite differences of the loss of the batch; a bias before a normalization does nothing."""
    net, rate, h = drawn(DEEP, X.shape[1:]), 0.1, 1e-5
    last = train(problem([rate]), stack(net), 1)
    w, b = (np.asarray(leaf) for leaf in net.weights[1])

    def loss(w):
        hidden = np.sqrt(2) * np.asarray(X).reshape(10, 4) @ w.T / 2 + 0.1 * b
        hidden = np.maximum(by_hand(hidden, hidden), 0)
        v, c = (np.asarray(leaf) for leaf in net.weights[4])
        outputs = np.sqrt(2 / 5) * hidden @ v.T + 0.1 * c
        targets = np.stack([losses.encode(jnp.array(y), 3, dtype=jnp.float64) for y in LABELS])
        return np.mean(np.sum((outputs - targets) ** 2, axis=1)) / 2

    steps = h * np.eye(w.size).reshape(-1, *w.shape)
    slope = np.array([(loss(w + step) - loss(w - step)) / (2 * h) for step in steps]).reshape(w.shape)
    np.testing.assert_allclose(last.losses[0, 0], loss(w), rtol=EXACT)
    np.testing.assert_allclose(last.weights[1][0][0], w - rate * slope, rtol=ITERATIVE, atol=ITERATIVE)
    np.testing.assert_allclose(last.weights[1][1][0], b, rtol=EXACT)


def test_a_first_order_model_keeps_the_statistics_of_its_anchor():
    """Though whatever has momentum pulls at its weights: it is the model of the network as it is evaluated."""
    net = network.settled(drawn(DEEP, X.shape[1:]), X)
    last = train(problem([0.05], optimizer=momentum, batch_size=4), stack(linearize.linearize(net)), 3)
    for moved in batch_norm.statistics(last.weights):
        jax.tree.map(lambda leaf: np.testing.assert_array_equal(leaf, 0), moved)
    assert np.abs(last.weights[1][0]).min() > 0
    assert last.losses[0, -1] < last.losses[0, 0]


def test_the_first_order_model_is_that_of_the_evaluated_network():
    net = network.settled(drawn(DEEP, X.shape[1:]), X)
    towards = jax.tree.map(jnp.ones_like, net.weights)
    fixed, h, x = batch_norm.statistics(net.weights), 1e-6, X[0] + 0.3

    def there(step):
        moved = jax.tree.map(lambda w: w + step, net.weights)
        return network.with_weights(net, batch_norm.with_statistics(moved, fixed))(x)

    value, slope = linearize.push(lambda weights: network.with_weights(net, weights)(x), net.weights, towards)
    np.testing.assert_allclose(value, net(x), rtol=EXACT)
    np.testing.assert_allclose(slope, (there(h) - there(-h)) / (2 * h), rtol=ITERATIVE)


def test_the_distance_of_weights_is_of_those_that_are_trained():
    net = drawn(DEEP, X.shape[1:])
    moved = network.with_weights(net, jax.tree.map(lambda w: 1.1 * w, net.weights))
    still = network.with_weights(moved, batch_norm.with_statistics(moved.weights, batch_norm.statistics(net.weights)))
    assert drift.weight_distance(moved, net) == pytest.approx(0.1, rel=EXACT)
    assert drift.weight_distance(still, net) == pytest.approx(0.1, rel=EXACT)
    elsewhere = batch_norm.with_statistics(net.weights, batch_norm.statistics(moved.weights))
    assert drift.weight_distance(network.with_weights(net, elsewhere), net) == 0


def test_it_has_no_limit():
    cov = Covariance(jnp.ones(()), jnp.ones(()), 1, Positions.NONE)
    with pytest.raises(UsageError, match="use layer normalization"):
        BatchNorm().observe(cov)
    with pytest.raises(UsageError, match="use layer normalization"):
        BatchNorm().propagate(cov, (), ())
