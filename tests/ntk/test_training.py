"""Training: against kernel regression, against a loop by hand, and against itself."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ntkbench.ntk import (
    architectures,
    attacks,
    balls,
    empirical,
    gram,
    jacobian,
    linearize,
    losses,
    network,
    regression,
    training,
)
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


def problem(
    rates, *, loss=losses.squared, optimizer=sgd, batch_size=10, labels=LABELS, keys=None, inner=None, of=X, until=None
):
    rates = jnp.asarray(rates, jnp.float64)
    keys = KEYS[: len(rates)] if keys is None else keys
    inner = inner and inner(jax.random.split(jax.random.key(7), len(rates)))
    until = None if until is None else jnp.asarray(until, jnp.float64)
    return training.TrainingProblem(
        loss, optimizer, batch_size, of, jnp.asarray(labels), rates, keys, inner, until=until
    )


def inner(attack, eps=0.1, warm_up=0):
    return lambda keys: training.InnerAttack(attack, jnp.array(eps, jnp.float64), jnp.array(warm_up), keys)


ASCENT = attacks.Objective(losses.cross_entropy)


def fgsm(eps=0.1):
    return inner(attacks.FGSM(balls.Linf(), ASCENT), eps)


def pgd(eps=0.1, warm_up=0):
    return inner(attacks.PGD(balls.Linf(), ASCENT, 3, uniform_start=True), eps, warm_up)


def train(words, predictors, epochs, every=None):
    """The last of the states."""
    *_, last = training.states(words, predictors, training.start(words, predictors, epochs), every=every or epochs)
    return last


def net(outputs=3, seed=0):
    return drawn(architectures.fc(6, outputs, depth=1, b_std=0.1), X.shape[1:], seed)


@pytest.mark.parametrize(
    ("outputs", "centered"),
    [(3, False), *(pytest.param(*p, marks=pytest.mark.slow) for p in ((1, False), (3, True)))],
)
def test_small_steps_on_the_linearized_network_are_kernel_regression_at_time_t(outputs, centered):
    """t = epochs * learning_rate / n, since the loss is a mean. Two step sizes give their limit at zero.

    f_t(x) = f_0(x) + Theta(x, X) g_t(lambda) (Y - f_0(X)), without f_0 if centered.
    """
    initial, labels = net(outputs), LABELS if outputs > 1 else LABELS % 2
    K = gram.matrix(np.asarray(gram.gram(jacobian.JacobianKernel(initial), X)))
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
    across = gram.matrix(np.asarray(gram.gram(jacobian.JacobianKernel(initial), NEW, X)))

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


@pytest.mark.parametrize("batch_size", [4, pytest.param(5, marks=pytest.mark.slow)])
def test_an_epoch_by_hand(batch_size):
    """Of mini-batches in their drawn order, each a mean over the examples that it has."""
    labels, epochs, rate = LABELS % 2, 3, 0.1
    words = problem([rate], batch_size=batch_size, labels=labels)
    start = stack(Slope(jnp.zeros(X.shape[1:])))
    last = train(words, start, epochs)
    w, examples = np.zeros(4), np.asarray(X).reshape(10, 4)
    for epoch in range(epochs):
        rows, share = training._order(10, batch_size, jax.random.fold_in(KEYS[0], epoch), jnp.float64)
        means = []
        for batch in (np.asarray(r)[np.asarray(s) > 0] for r, s in zip(rows, share, strict=True)):
            error = examples[batch] @ w - (2 * labels[batch] - 1)
            means.append(np.mean(error**2) / 2)
            w = w - rate * examples[batch].T @ error / len(batch)
        np.testing.assert_allclose(last.losses[0, epoch], np.mean(means), rtol=EXACT)
    np.testing.assert_allclose(last.weights[0].ravel(), w, rtol=EXACT)


@pytest.mark.parametrize(("n", "batch_size"), [(10, 4), (10, 5), (10, 1), (10, 9)])
def test_batches_cover_each_example_once(n, batch_size):
    rows, share = (np.asarray(a) for a in training._order(n, batch_size, KEYS[0], jnp.float64))
    assert sorted(rows[share > 0]) == list(range(n))
    np.testing.assert_allclose(share.sum(1), 1, rtol=1e-15)
    assert all(len(set(each[each > 0])) == 1 for each in share)
    other, _ = training._order(n, batch_size, KEYS[1], jnp.float64)
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
        kept[int(state.step)] = jax.tree.map(np.asarray, state)
    assert list(kept) == [9, 18, 21], "an epoch has three steps"
    assert np.isnan(kept[9].losses[:, 3:]).all()
    for step in (9, 18):
        *_, last = training.states(words, nets, jax.tree.map(jnp.asarray, kept[step]), every=2)
        jax.tree.map(np.testing.assert_array_equal, kept[21], jax.tree.map(np.asarray, last))


def test_stopped_within_an_epoch_and_resumed_bit_for_bit():
    words = problem([0.05, 0.1], optimizer=optax.adam, batch_size=4, inner=pgd(warm_up=1))
    nets = stack(net(), net(seed=1))
    whole = jax.tree.map(np.asarray, train(words, nets, 3))
    state, reached, parts = training.start(words, nets, 3), list[int](), list[np.ndarray]()
    for until in (1, 5, 6, 8, 9):  # in the warm-up, and in the first and the last adversarial epoch
        going = training.states(words, nets, state, every=1, until=until)
        for state in going:
            reached.append(int(state.step))
        state = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)), state)
        parts.append(np.asarray(state.losses))
    assert reached == [1, 3, 5, 6, 8, 9]
    jax.tree.map(np.testing.assert_array_equal, whole, jax.tree.map(np.asarray, state))
    assert np.isnan(parts[1][:, 2]).all()
    assert np.all((parts[1][:, 1] > 0) & (parts[1][:, 1] < whole.losses[:, 1])), "an epoch adds up its batches"


def test_the_predictors_survive():
    """Only what a state holds is used up."""
    slope = stack(Slope(jnp.ones(X.shape[1:])))
    train(problem([0.1]), slope, 2)
    np.testing.assert_array_equal(slope.weights, np.ones((1, 2, 2, 1)))


@pytest.mark.parametrize(
    ("loss", "outputs", "curvature"),
    [
        (losses.squared, 3, 1),
        pytest.param(losses.cross_entropy, 3, 0.5, marks=pytest.mark.slow),
        pytest.param(losses.cross_entropy, 1, 0.25, marks=pytest.mark.slow),
    ],
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


@pytest.mark.parametrize(
    "attack", [pgd(warm_up=4), *(pytest.param(how, marks=pytest.mark.slow) for how in (pgd(eps=0.0), fgsm(eps=0.0)))]
)
@pytest.mark.parametrize("batch_size", [4, pytest.param(10, marks=pytest.mark.slow)])
def test_an_attack_without_budget_or_after_the_end_is_none(attack, batch_size):
    nets = stack(net(), net(seed=1))
    clean, same = (
        train(problem([0.05, 0.1], optimizer=momentum, batch_size=batch_size, inner=how), nets, 4)
        for how in (None, attack)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=EXACT, atol=EXACT), clean, same)


def test_the_warm_up_ends_when_it_says():
    nets = stack(net())
    clean, later, robust = (
        np.asarray(train(problem([0.05], inner=how), nets, 4).losses[0]) for how in (None, pgd(warm_up=2), pgd())
    )
    np.testing.assert_allclose(later[:2], clean[:2], rtol=EXACT)
    assert np.all(later[2:] > clean[2:] * 1.01)
    assert robust[0] > clean[0] * 1.01


INSIDE = 0.3 + 0.4 * X
"""images that a budget of 0.1 does not bring to their border"""


def test_an_adversarial_epoch_of_a_linear_model_by_hand():
    """The margin y w.x loses eps |w|_1, each image moves by -y eps sign(w), and the step is taken there."""
    labels, rate, eps, w = LABELS % 2, 0.3, 0.1, np.array([1.0, -2.0, 0.5, -0.1])
    words = problem([rate], loss=losses.cross_entropy, labels=labels, inner=fgsm(eps), of=INSIDE)
    last = train(words, stack(Slope(jnp.asarray(w).reshape(X.shape[1:]))), 1)
    y, examples = 2 * labels - 1, np.asarray(INSIDE).reshape(10, 4)
    margins = y * (examples @ w) - eps * np.abs(w).sum()
    np.testing.assert_allclose(last.losses[0, 0], np.mean(np.log1p(np.exp(-margins))), rtol=EXACT)
    attacked = examples - eps * y[:, None] * np.sign(w)
    slope = -np.mean((y / (1 + np.exp(margins)))[:, None] * attacked, axis=0)
    np.testing.assert_allclose(last.weights[0].ravel(), w - rate * slope, rtol=EXACT)


def test_a_step_of_trades_of_a_linear_model_by_hand():
    """From a start on one side of the image, the divergence of w.x grows up to the border of the ball on that side."""
    labels, rate, eps, beta, w = LABELS % 2, 0.3, 0.1, 3.0, jnp.array([1.0, -2.0, 0.5, -0.1])
    attack = attacks.PGD(balls.Linf(), attacks.Divergence(losses.cross_entropy), 3, uniform_start=True)
    (key,) = jax.random.split(jax.random.key(7), 1)
    words = problem([rate], loss=losses.cross_entropy, labels=labels, of=INSIDE)
    trades = training.InnerAttack(attack, jnp.array(eps), jnp.array(0), key[None], jnp.array(beta))
    last = train(words.__class__(**{**vars(words), "inner": trades}), stack(Slope(w.reshape(X.shape[1:]))), 1)
    examples, y = jnp.asarray(INSIDE).reshape(10, 4), jnp.asarray(2.0 * labels - 1)
    own = [jax.random.fold_in(jax.random.fold_in(key, 0), row) for row in range(10)]
    starts = [
        attacks.start(balls.Linf(), x, jnp.array(eps), key=k) for x, k in zip(jnp.asarray(INSIDE), own, strict=True)
    ]
    side = jnp.sign((jnp.stack(starts).reshape(10, 4) - examples) @ w)
    attacked = examples + eps * jnp.outer(side, jnp.sign(w))

    def loss(w):
        p, q = (1 / (1 + jnp.exp(-X @ w)) for X in (examples, attacked))
        apart = p * jnp.log(p / q) + (1 - p) * jnp.log((1 - p) / (1 - q))
        return jnp.mean(jnp.log1p(jnp.exp(-y * (examples @ w))) + beta * apart)

    np.testing.assert_allclose(last.losses[0, 0], loss(w), rtol=EXACT)
    np.testing.assert_allclose(last.weights[0].ravel(), w - rate * jax.grad(loss)(w), rtol=EXACT)
    assert loss(w) > 1.05 * float(jnp.mean(jnp.log1p(jnp.exp(-y * (examples @ w)))))


class Square(training.Trainable):
    """w^2 . x, whose slope in x never changes its sign; that of its first-order model does."""

    weights: Weights

    def __call__(self, x):
        return jnp.vdot(self.weights**2, x)[None]


def test_the_first_order_model_is_attacked_in_its_own_direction():
    """At w = 1 and a displacement of -0.9 the slopes are 0.01 and 1 - 1.8: opposite directions."""
    linear = linearize.linearize(Square(jnp.ones(X.shape[1:])))
    moved = stack(network.with_weights(linear, jnp.full(X.shape[1:], -0.9)))
    words = problem([0.0], loss=losses.cross_entropy, labels=LABELS % 2, inner=fgsm(0.1), of=INSIDE)
    y, sums = 2 * (LABELS % 2) - 1, np.asarray(INSIDE).reshape(10, 4).sum(1)
    margins = -0.8 * y * sums - 0.1 * 0.8 * 4
    found = train(words, moved, 1).losses[0, 0]
    np.testing.assert_allclose(found, np.mean(np.log1p(np.exp(-margins))), rtol=EXACT)
    along_the_network = -0.8 * y * sums + 0.1 * 0.8 * 4
    assert abs(found - np.mean(np.log1p(np.exp(-along_the_network)))) > 0.1


@pytest.mark.slow
def test_starts_depend_on_the_seed_the_epoch_and_the_example_alone():
    """Without steps of training, the loss only tells where the examples start from."""
    start = inner(attacks.PGD(balls.Linf(), ASCENT, 1, 1e-9, uniform_start=True), 0.3)
    slopes = stack(*[Slope(jnp.ones(X.shape[1:]))] * 2)
    one, other = (
        np.asarray(train(problem([0.0, 0.0], batch_size=size, inner=start, of=INSIDE), slopes, 3).losses)
        for size in (10, 5)
    )
    np.testing.assert_allclose(one, other, rtol=EXACT)
    assert len(np.unique(one)) == one.size


@pytest.mark.parametrize("batch_size", [10, 4])
def test_each_predictor_stops_when_its_own_loss_is_reached(batch_size):
    predictors, rates = stack(net(seed=0), net(seed=1), net(seed=2)), (0.3, 0.1, 1e-6)
    whole = train(problem(rates, batch_size=batch_size), predictors, 40)
    target = float(np.sort(np.asarray(whole.losses[1]))[5])
    words = problem(rates, batch_size=batch_size, until=target)
    stopped = train(words, predictors, 40)
    epochs = training.epochs_trained(np.asarray(stopped.losses), target)
    assert epochs[0] < epochs[1] < epochs[2] == 40  # the last one's steps are too small
    for i, count in enumerate(epochs):
        alone = train(problem(rates, batch_size=batch_size), predictors, int(count))
        expected = np.asarray(alone.losses[i])
        assert (expected[:-1] > target).all()
        assert (expected[-1] <= target) == (i < 2)
        np.testing.assert_array_equal(stopped.losses[i], np.pad(expected, (0, 40 - count), mode="edge"))
        jax.tree.map(lambda a, b, i=i: np.testing.assert_array_equal(a[i], b[i]), stopped.weights, alone.weights)


def test_a_training_that_has_stopped_resumes_bit_for_bit():
    predictors, rates = stack(net(seed=0), net(seed=1)), (0.3, 0.2)
    freely = np.asarray(train(problem(rates, batch_size=4), predictors, 30).losses)
    until = float(freely.min(axis=1).max())
    words = problem(rates, batch_size=4, until=until)
    whole = train(words, predictors, 60)
    assert (training.epochs_trained(np.asarray(whole.losses), until) <= 30).all()
    for at in (7, 100, 170):
        state = training.start(words, predictors, 60)
        *_, state = training.states(words, predictors, state, every=60, until=at)
        assert int(state.step) == at
        *_, state = training.states(words, predictors, state, every=7)
        jax.tree.map(np.testing.assert_array_equal, state, whole)


def test_the_loss_of_a_warm_up_stops_nothing():
    words = problem((0.3,), inner=fgsm_after(5), until=1e9)
    trained = train(words, stack(net()), 9)
    assert training.epochs_trained(np.asarray(trained.losses), 1e9, first=5).tolist() == [6]
    expected = train(problem((0.3,), inner=fgsm_after(5)), stack(net()), 6)
    jax.tree.map(np.testing.assert_array_equal, trained.weights, expected.weights)


def fgsm_after(warm_up):
    return inner(attacks.FGSM(balls.Linf(), ASCENT), warm_up=warm_up)
