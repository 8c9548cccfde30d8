"""Training: against kernel regression, against a loop by hand, and against itself."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ntkbench.ntk import architectures, empirical, gram, linearize, losses, network, regression, training
from ntkbench.ntk.layers import Weights
from tests.conftest import EXACT, ITERATIVE
from tests.ntk.predictors import drawn, uniform

X, NEW = uniform(10, 2, 2, 1), uniform(4, 2, 2, 1, seed=1)
LABELS = np.arange(10) % 3
KEYS = jax.random.split(jax.random.key(0), 3)


def sgd(rate):
    return optax.sgd(rate)


def momentum(rate):
    return optax.sgd(rate, 0.9)


def stack(*predictors):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *predictors)


def problem(rates, *, loss=losses.squared, optimizer=sgd, batch_size=10, labels=LABELS, keys=None):
    rates = jnp.asarray(rates, jnp.float64)
    return training.Problem(
        loss, optimizer, batch_size, X, jnp.asarray(labels), rates, KEYS[: len(rates)] if keys is None else keys
    )


def train(words, predictors, epochs, every=None):
    """The last of the states."""
    *_, last = training.states(words, predictors, training.start(words, predictors, epochs), every=every or epochs)
    return last


def net(outputs=3, seed=0):
    return drawn(architectures.fc(6, outputs, depth=1, b_std=0.1), X.shape[1:], seed)


@pytest.mark.parametrize(("outputs", "centered"), [(1, False), (3, False), (3, True)])
def test_small_steps_on_the_linearized_network_are_kernel_regression_at_time_t(outputs, centered):
    """t = epochs * learning_rate / n, since the loss is a mean. Two step sizes give their limit at zero.

    f_t(x) = f_0(x) + Theta(x, X) g_t(lambda) (Y - f_0(X)), without f_0 if centered.
    """
    initial, labels = net(outputs), LABELS if outputs > 1 else LABELS % 2
    K = gram.matrix(np.asarray(gram.gram(empirical.EmpiricalKernel(initial), X)))
    spectrum = regression.Spectrum.of(K)
    epochs, n = 1000, len(X)
    rate = 2e-3 * n / float(spectrum.eigenvalues[0])
    linear = linearize.linearize(initial, centered=centered)

    words = problem([rate, rate / 2], labels=labels)
    states = training.states(
        words, stack(linear, linear), training.start(words, stack(linear, linear), 2 * epochs), every=epochs
    )
    f, tangents = [], jax.jit(lambda weights, x: jax.vmap(network.with_weights(linear, weights))(x))
    for who, state in enumerate(states):
        f.append(np.asarray(tangents(jax.tree.map(lambda leaf, who=who: leaf[who], state.weights), NEW)))

    Y = np.stack([losses.encode(jnp.array(y), outputs, dtype=jnp.float64) for y in labels])
    f0, f0_new = (np.asarray(jax.vmap(initial)(x)) * (not centered) for x in (X, NEW))
    residual = jnp.asarray(Y - f0).reshape(-1, 1)
    across = gram.matrix(np.asarray(gram.gram(empirical.EmpiricalKernel(initial), NEW, X)))

    def predictions(g):
        return f0_new + np.asarray(across @ spectrum.coefficients(g, residual)).reshape(f0_new.shape)

    steps = predictions(lambda values: (1 - (1 - rate * values / n) ** epochs) / values)
    np.testing.assert_allclose(f[0], steps, rtol=1e-8, err_msg="the same steps, in the eigenbasis")
    limit = predictions(regression.flow(epochs * rate / n))
    assert np.abs(f[0] - limit).max() > 1e-5, "there is no error that the limit would remove"
    np.testing.assert_allclose(2 * f[1] - f[0], limit, atol=2 * ITERATIVE)
    assert np.abs(limit - f0_new).max() > 0.05, "nothing was learned"


class Slope(training.Trainable):
    """w . x, so that a step can be done by hand."""

    weights: Weights

    @property
    def position(self):
        return self.weights

    def __call__(self, x):
        return jnp.vdot(self.weights, x)[None]


@pytest.mark.parametrize("batch_size", [4, 5])
def test_an_epoch_by_hand(batch_size):
    """Of mini-batches in their drawn order, each a mean over the examples that it has."""
    labels, epochs, rate = LABELS % 2, 3, 0.1
    words = problem([rate], batch_size=batch_size, labels=labels)
    start = stack(Slope(jnp.zeros(X.shape[1:])))
    last = train(words, start, epochs)
    w, examples = np.zeros(4), np.asarray(X).reshape(10, 4)
    for epoch in range(epochs):
        rows, share = training._batches(10, batch_size, jax.random.fold_in(KEYS[0], epoch), jnp.float64)
        means = []
        for batch in (np.asarray(r)[np.asarray(s) > 0] for r, s in zip(rows, share, strict=True)):
            error = examples[batch] @ w - (2 * labels[batch] - 1)
            means.append(np.mean(error**2) / 2)
            w = w - rate * examples[batch].T @ error / len(batch)
        np.testing.assert_allclose(last.losses[0, epoch], np.mean(means), rtol=EXACT)
    np.testing.assert_allclose(last.weights[0].ravel(), w, rtol=EXACT)


@pytest.mark.parametrize(("n", "batch_size"), [(10, 4), (10, 5), (10, 1), (10, 9)])
def test_batches_cover_each_example_once(n, batch_size):
    rows, share = (np.asarray(a) for a in training._batches(n, batch_size, KEYS[0], jnp.float64))
    assert sorted(rows[share > 0]) == list(range(n))
    np.testing.assert_allclose(share.sum(1), 1, rtol=1e-15)
    assert all(len(set(each[each > 0])) == 1 for each in share)
    other, _ = training._batches(n, batch_size, KEYS[1], jnp.float64)
    assert not np.array_equal(rows, other)


def test_epochs_draw_new_orders():
    """Without steps, the loss only tells which examples share the last, smaller batch."""
    frozen = train(problem([0.0], batch_size=4), stack(Slope(jnp.ones(X.shape[1:]))), 6)
    assert len(np.unique(np.asarray(frozen.losses))) > 3


def test_a_batch_larger_than_the_set_is_the_whole_set():
    slope = stack(Slope(jnp.ones(X.shape[1:])))
    one, other = (train(problem([0.1], batch_size=size), slope, 3) for size in (10, 64))
    np.testing.assert_array_equal(one.losses, other.losses)


def test_together_is_each_alone():
    """Different weights, learning rates and orders."""
    nets, rates = [net(seed=s) for s in range(3)], [0.1, 0.03, 0.05]
    together = train(problem(rates, optimizer=momentum, batch_size=4), stack(*nets), 5)
    alone = train(problem(rates[1:2], optimizer=momentum, batch_size=4, keys=KEYS[1:2]), stack(nets[1]), 5)
    np.testing.assert_allclose(together.losses[1:2], alone.losses, rtol=EXACT)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a[1:2], b, rtol=EXACT, atol=EXACT), together.weights, alone.weights
    )
    assert len(np.unique(np.asarray(together.losses)[:, -1])) == 3


def test_resumed_from_the_middle_bit_for_bit():
    words = problem([0.05, 0.1], optimizer=optax.adam, batch_size=4)
    nets = stack(net(), net(seed=1))
    kept = {}
    for state in training.states(words, nets, training.start(words, nets, 7), every=3):
        kept[int(state.epoch)] = jax.tree.map(np.asarray, state)
    assert list(kept) == [3, 6, 7]
    assert np.isnan(kept[3].losses[:, 3:]).all()
    for epoch in (3, 6):
        *_, last = training.states(words, nets, jax.tree.map(jnp.asarray, kept[epoch]), every=2)
        jax.tree.map(np.testing.assert_array_equal, kept[7], jax.tree.map(np.asarray, last))


def test_the_predictors_survive():
    """Only what a state holds is used up."""
    slope = stack(Slope(jnp.ones(X.shape[1:])))
    train(problem([0.1]), slope, 2)
    np.testing.assert_array_equal(slope.weights, np.ones((1, 2, 2, 1)))


@pytest.mark.parametrize(
    ("loss", "outputs", "curvature"),
    [(losses.squared, 3, 1), (losses.cross_entropy, 3, 0.5), (losses.cross_entropy, 1, 0.25)],
)
def test_learning_rate_from_the_largest_eigenvalue(loss, outputs, curvature):
    """n / (curvature lambda_1) descends at every step; beyond twice that squared loss diverges."""
    initial, labels = net(outputs), LABELS if outputs > 1 else LABELS % 2
    top = empirical.largest_eigenvalue(initial, X, key=KEYS[0], rtol=1e-6)
    rates = np.array([1.0, 1.9, 2.1]) * len(X) / (curvature * float(top))
    linear = linearize.linearize(initial)
    history = np.asarray(train(problem(rates, loss=loss, labels=labels), stack(linear, linear, linear), 200).losses)
    assert np.all(np.diff(history[:2]) <= 1e-12), "no step on a convex function may climb below twice the bound"
    assert history[0, -1] < 0.9 * history[0, 0]
    if loss is losses.squared:
        assert history[2, -1] > 100 * history[2, 0]
