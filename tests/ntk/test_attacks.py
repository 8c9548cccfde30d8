"""Attacks: against reference gradients and images, closed forms, finite differences."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import architectures, attacks, balls, infinite, losses, regression
from tests.conftest import EXACT, ITERATIVE, ORACLES
from tests.ntk.predictors import linear, uniform

LINF, L2 = balls.Linf(), balls.L2()
LOSS = attacks.Objective(losses.cross_entropy)
KERNEL = infinite.InfiniteKernel(architectures.fc(1, 1, depth=2, b_std=0.1))
KEY = jax.random.key(0)
REFERENCE = 1e-9
"""relative; sums over training points cancel some digits of the reference's coefficients"""


def perturb(attack, predictor, X, labels, eps, key=KEY, batch_size=100):
    eps = jnp.asarray(np.atleast_1d(eps), X.dtype)
    return np.asarray(attacks.perturb(attack, predictor, X, jnp.asarray(labels), eps, key=key, batch_size=batch_size))


def loss(predictor, X, labels):
    return np.asarray(jax.vmap(lambda x, y: losses.cross_entropy(predictor(x), y))(jnp.asarray(X), jnp.asarray(labels)))


@pytest.fixture(scope="module")
def reference():
    with np.load(ORACLES / "grad_fc2.npz", allow_pickle=False) as arrays:
        o = dict(arrays)
    X, many, one = (jnp.asarray(o[name]) for name in ("x_train", "alpha_centered", "alpha_pm1"))
    return o, regression.predictor(KERNEL, X, many), regression.predictor(KERNEL, X, one[:, None])


class TestReference:
    """Gradients and PGD images of a peer, through kernel regression of two hidden layers."""

    def test_outputs(self, reference):
        o, many, one = reference
        X = jnp.asarray(o["x_test"])
        np.testing.assert_allclose(attacks.outputs(many, X, batch_size=5), o["f_multi"], rtol=REFERENCE, atol=REFERENCE)
        np.testing.assert_allclose(attacks.outputs(one, X, batch_size=5)[:, 0], o["f_pm1"], rtol=REFERENCE)

    @pytest.mark.parametrize(
        "name", ["grad_ce", *(pytest.param(k, marks=pytest.mark.slow) for k in ("grad_bce", "grad_sum_pm1"))]
    )
    def test_gradients(self, reference, name):
        o, many, one = reference
        predictor, labels = (
            (many, o["y_test_labels"]) if name == "grad_ce" else (one, (o["y_test_pm1"] > 0).astype(int))
        )
        objective = attacks.Objective(lambda f, label: f.sum()) if name == "grad_sum_pm1" else LOSS
        found = attacks.gradients(objective, predictor, jnp.asarray(o["x_test"]), jnp.asarray(labels), batch_size=5)
        np.testing.assert_allclose(found, o[name], rtol=REFERENCE, atol=REFERENCE * np.abs(o[name]).max())

    def test_gradient_of_the_kernel(self, reference):
        o, _, _ = reference
        rows = regression.predictor(KERNEL, jnp.asarray(o["x_train"]), jnp.eye(len(o["x_train"])))
        found = jax.jit(jax.jacrev(rows))(jnp.asarray(o["x_test"][0]))
        np.testing.assert_allclose(found, o["jac_k_first"], rtol=REFERENCE, atol=1e-12)

    @pytest.mark.slow
    def test_pgd(self, reference):
        o, many, _ = reference
        X, labels = jnp.asarray(o["x_test"]), o["y_test_labels"]
        adv = perturb(attacks.PGD(LINF, LOSS, 10, 2 / 255), many, X, labels, 8 / 255)[0]
        np.testing.assert_allclose(adv, o["pgd10_ce"], rtol=0, atol=1e-14)
        np.testing.assert_allclose(loss(many, X, labels).sum(), o["loss_ce_clean"], rtol=REFERENCE)
        np.testing.assert_allclose(loss(many, adv, labels).sum(), o["loss_ce_pgd"], rtol=REFERENCE)


@pytest.mark.parametrize(
    "objective",
    [LOSS, *(pytest.param(attacks.Objective(f), marks=pytest.mark.slow) for f in (losses.margin, losses.squared))],
)
def test_kernel_gradient_is_that_of_finite_differences(objective):
    train, X = uniform(6, 3, 2, 1), uniform(3, 3, 2, 1, seed=1)
    predictor = regression.predictor(KERNEL, train, jnp.asarray(np.random.default_rng(2).standard_normal((6, 3))))
    labels = jnp.array([0, 1, 2])
    found = attacks.gradients(objective, predictor, X, labels, batch_size=3)
    pixels = jnp.asarray(np.eye(6).reshape(6, 3, 2, 1))

    @jax.jit
    @jax.vmap
    def slopes(x, label):
        def at(h):
            return jax.vmap(lambda pixel: objective.loss(predictor(x + h * pixel), label))(pixels)

        return ((at(1e-5) - at(-1e-5)) / 2e-5).reshape(x.shape)

    np.testing.assert_allclose(found, slopes(X, labels), rtol=ITERATIVE, atol=1e-8)


def test_kernel_gradient_is_finite_at_a_training_point():
    X = uniform(6, 3, 2, 1)
    predictor = regression.predictor(KERNEL, X, jnp.asarray(np.random.default_rng(2).standard_normal((6, 1))))
    found = attacks.gradients(LOSS, predictor, X, jnp.array([0, 1] * 3), batch_size=6)
    assert np.all(np.isfinite(found))
    assert np.all(np.any(found != 0, axis=(1, 2, 3)))


RNG = np.random.default_rng(0)
MANY = linear(RNG.standard_normal((3, 12)), RNG.standard_normal(3))
ONE = linear(RNG.standard_normal(12), 0.1)
X = uniform(7, 2, 3, 2, seed=3)
BINARY, LABELS = np.arange(7) % 2, np.arange(7) % 3
GRADIENT = {LINF: np.sign(np.asarray(ONE.W[0])), L2: np.asarray(ONE.W[0]) / np.linalg.norm(ONE.W[0])}


@pytest.mark.parametrize("ball", [LINF, L2])
class TestLinear:
    """Predictors whose worst image is known: X + eps times the steepest step, cut to the box."""

    EPS = (0.0, 0.02, 0.3)

    def worst(self, ball, images):
        step = -(2 * BINARY - 1)[:, None] * GRADIENT[ball]
        return np.stack([np.clip(images + eps * step.reshape(images.shape), 0, 1) for eps in self.EPS])

    def test_one_step(self, ball):
        np.testing.assert_allclose(
            perturb(attacks.FGSM(ball, LOSS), ONE, X, BINARY, self.EPS), self.worst(ball, X), atol=1e-14
        )

    @pytest.mark.slow
    def test_pgd_of_one_full_step_is_fgsm(self, ball):
        one = perturb(attacks.PGD(ball, LOSS, 1, 0.3), MANY, X, LABELS, 0.3)
        np.testing.assert_array_equal(one, perturb(attacks.FGSM(ball, LOSS), MANY, X, LABELS, 0.3))

    def test_many_steps_reach_the_optimum(self, ball):
        """From anywhere in the ball. l2: away from the box, where the optimum is known."""
        images = X if ball == LINF else 0.5 + 0.3 * (X - 0.5)
        adv = perturb(attacks.PGD(ball, LOSS, 60, 0.3, uniform_start=True), ONE, images, BINARY, self.EPS)
        np.testing.assert_allclose(adv, self.worst(ball, np.asarray(images)), rtol=0, atol=1e-12)

    @pytest.mark.slow
    def test_many_steps_are_not_worse_than_one(self, ball):
        steps = perturb(attacks.PGD(ball, LOSS, 20), MANY, X, LABELS, self.EPS)
        single = perturb(attacks.FGSM(ball, LOSS), MANY, X, LABELS, self.EPS)
        for many, one in zip(steps, single, strict=True):
            assert np.all(loss(MANY, many, LABELS) >= loss(MANY, one, LABELS) - 1e-12)

    def test_predicted_labels(self, ball):
        """Where the prediction is wrong, the attack runs away from the mistake, not from the truth."""
        own = np.array([int(losses.predict(MANY(x))) for x in X])
        assert 0 < np.sum(own == LABELS) < 7
        attack = attacks.PGD(ball, attacks.Objective(losses.cross_entropy, predicted=True), 3)
        true = attacks.PGD(ball, LOSS, 3)
        found = perturb(attack, MANY, X, LABELS, 0.1)
        np.testing.assert_array_equal(found, perturb(true, MANY, X, own, 0.1))
        assert np.any(found != perturb(true, MANY, X, LABELS, 0.1))

    def test_random_signs(self, ball):
        attack = attacks.RandomSigns(ball)

        def refuses(x):
            raise AssertionError("the control looks at no predictor")

        inner = 0.5 + 0.3 * (X - 0.5)
        one, other = (perturb(attack, refuses, inner, BINARY, self.EPS, key=jax.random.key(k)) for k in (0, 1))
        np.testing.assert_array_equal(one[0], inner)
        for eps, adv in zip(self.EPS, one, strict=True):
            moved = np.abs(adv - np.asarray(inner))
            np.testing.assert_allclose(moved, eps if ball == LINF else eps / math.sqrt(12), rtol=0, atol=1e-13)
        assert np.mean(np.sign(one[1] - inner) == np.sign(other[1] - inner)) == pytest.approx(0.5, abs=4 / 2 / 84**0.5)


@pytest.mark.parametrize(
    ("attack", "tolerance"),
    [
        pytest.param(attacks.RandomSigns(L2), 1e-15, marks=pytest.mark.slow),
        (attacks.PGD(LINF, LOSS, 3, 0.01, True), 0),
        pytest.param(attacks.FGSM(L2, LOSS), 1e-14, marks=pytest.mark.slow),
    ],
)
def test_batches_do_not_matter(attack, tolerance):
    """Random numbers bit for bit; where sums are fused or a matrix product shows, to round-off."""
    whole, parts = (perturb(attack, MANY, X, LABELS, 0.2, batch_size=size) for size in (7, 3))
    np.testing.assert_allclose(parts, whole, rtol=0, atol=tolerance)


def test_gradients_do_not_depend_on_batches():
    whole = attacks.gradients(LOSS, MANY, X, jnp.asarray(LABELS), batch_size=7)
    for batch_size in (1, 3):
        found = attacks.gradients(LOSS, MANY, X, jnp.asarray(LABELS), batch_size=batch_size)
        np.testing.assert_allclose(found, whole, rtol=EXACT)


def test_more_budgets_change_nothing():
    attack = attacks.PGD(LINF, LOSS, 3)
    two = perturb(attack, MANY, X, LABELS, (0.1, 0.3))
    np.testing.assert_array_equal(two[1], perturb(attack, MANY, X, LABELS, 0.3)[0])
    own = np.repeat([[0.1], [0.3]], len(X), axis=1)
    own[1, 2] = 0
    mixed = perturb(attack, MANY, X, LABELS, own)
    np.testing.assert_array_equal(mixed[:, :2], two[:, :2])
    np.testing.assert_array_equal(mixed[1, 2], X[2])


def test_equal_attacks_are_compiled_once():
    count = 0

    class Counting(eqx.Module):
        W: jax.Array

        def __call__(self, x):
            nonlocal count
            count += 1
            return self.W @ x.ravel()

    def traces(steps, eps, scale):
        before = count
        attack = attacks.PGD(balls.Linf(), attacks.Objective(losses.cross_entropy), steps, 0.01)
        perturb(attack, Counting(scale * MANY.W), X, LABELS, eps)
        return count - before

    assert traces(2, 0.1, 1.0) > 0
    assert traces(2, 0.2, 2.0) == 0, "neither budgets nor weights are part of the program"
    assert traces(3, 0.1, 1.0) > 0
