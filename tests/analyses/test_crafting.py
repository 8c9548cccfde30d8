"""Crafting and its checks: each fails when it should."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.analyses.accuracy import accuracy
from ntkbench.analyses.crafting import brought_into, checks, craft
from ntkbench.analyses.evaluator import Evaluator
from ntkbench.ntk import attacks, balls, losses
from tests.analyses.subjects import LABELS, OBJECTIVE, STEP, attacked, source, target, threat
from tests.ntk import predictors
from tests.ntk.predictors import Linear


class Broken(attacks.Attack):
    """Adds what it is told to, and projects nothing."""

    ball: balls.Ball
    size: float
    always: float = 0.0

    def __call__(self, predictor, x, label, eps, *, key):
        return x + self.size * eps + self.always


class Flat(Linear):
    """Cuts the gradient, and nothing else."""

    def __call__(self, x):
        return Linear.__call__(self, jax.lax.stop_gradient(x))


class Nan(Linear):
    """A square root at 0 whose slope is infinite, times 0."""

    def __call__(self, x):
        return Linear.__call__(self, x) + jnp.sum(jnp.sqrt(0 * x))


def failed(evaluator, attack, eps=("0.1",)):
    """The codes of the checks that fail, with their details."""
    made = attacked("a", evaluator, attack, eps=eps)
    return {check.code: check.detail for check in accuracy(evaluator, [made]).checks if not check.ok}


def having(kind):
    linear = predictors.linear([1.0, 0.0], -0.5)
    return dataclasses.replace(source(), predictor=kind(linear.W, linear.b))


@pytest.mark.parametrize("ball", [balls.Linf(), balls.L2()])
def test_an_honest_attack_fails_nothing(ball):
    assert failed(source(), attacks.PGD(ball, OBJECTIVE, 3), eps=("0", "0.01", "1")) == {}


@pytest.mark.parametrize("ball", [balls.Linf(), balls.L2()])
def test_leaving_the_ball_is_noticed(ball):
    """Although judging brings the images back into it."""
    found = failed(source(), Broken(ball, 1.5))
    assert list(found) == ["ball_respected", "loss_increased"]
    assert found["ball_respected"]["largest"] == pytest.approx(0.15 if ball == balls.Linf() else 0.15 * 2**0.5)


def test_leaving_the_ball_by_little_is_noticed_too():
    assert "ball_respected" in failed(source(), Broken(balls.Linf(), 1 + 1e-9))


def test_leaving_the_box_is_noticed():
    assert list(failed(source(), Broken(balls.Linf(), 1.0), eps=("0.5",))) == ["box_respected", "loss_increased"]


def test_moving_without_budget_is_noticed():
    assert list(failed(source(), Broken(balls.Linf(), 0.5, always=0.01))) == ["eps0_equals_clean", "loss_increased"]


def test_zero_gradients_are_counted():
    assert failed(having(Flat), STEP) == {"gradients_not_zero": {"attack": "a", "zero": 8, "n": 8}}


def test_a_zero_gradient_where_the_source_is_wrong_fakes_nothing():
    """The ratio is constant where the label comes third."""
    X, objective = jnp.array([1, 0.75, 0.5, 0.25]).reshape(1, 1, 1, 4), attacks.Objective(losses.dlr)
    for label, zero in ((0, 0), (2, 1)):
        goal = Evaluator("s", predictors.linear(np.eye(4)), X, jnp.array([label]), 1)
        made = attacked("a", goal, attacks.FGSM(balls.Linf(), objective), objective)
        (check,) = (c for c in accuracy(goal, [made]).checks if c.code == "gradients_not_zero")
        assert check.ok
        assert check.detail["zero"] == zero


def test_nan_gradients_are_counted_and_do_not_pass_for_robustness():
    found = failed(having(Nan), STEP)
    assert set(found) == {"eps0_equals_clean", "ball_respected", "box_respected", "gradients_finite"}
    assert found["gradients_finite"] == {"attack": "a", "not_finite": 8, "n": 8}
    assert np.isfinite(found["ball_respected"]["largest"]), "a record cannot hold NaN"


class Sometimes(Linear):
    """A square root whose slope is infinite at 1, times 0."""

    def __call__(self, x):
        return Linear.__call__(self, x) + 0 * jnp.sum(jnp.sqrt(1 - x))


def test_gradients_on_the_way_are_counted_too():
    """The first step takes the two points of label 0 to the end of the box, where the next gradient is no number."""
    found = failed(having(Sometimes), attacks.PGD(balls.Linf(), OBJECTIVE, 2, 1.0), eps=("1",))
    assert found["gradients_finite"]["not_finite"] == 2
    assert "gradients_finite" not in failed(having(Sometimes), attacks.PGD(balls.Linf(), OBJECTIVE, 2), eps=("0.01",))


def fallen(evaluator, attack, eps):
    made = attacked("a", evaluator, attack, eps=eps)
    return [check for check in accuracy(evaluator, [made]).checks if check.code == "loss_increased"]


def test_a_loss_that_falls_is_counted_for_each_budget():
    """Brighter pixels raise the output: the six points of label 1 lose loss, at a budget that is one."""
    up, none = fallen(source(), Broken(balls.Linf(), 1.0), ("0", "0.1")), fallen(source(), STEP, ("0.1",))
    assert [(check.ok, check.detail) for check in up] == [(False, {"attack": "a", "eps": "1/10", "fell": 6, "n": 8})]
    assert [(check.ok, check.detail["fell"]) for check in none] == [(True, 0)]


class Valley(Linear):
    """-|w x + b|: a long step along its slope lands on the other side."""

    def __call__(self, x):
        return -jnp.abs(Linear.__call__(self, x))


def test_a_single_step_may_overshoot():
    """Of the points of label 1 those within half a step of the ridge."""
    goal = having(Valley)
    (one,), (many,) = (
        fallen(goal, attack, ("0.4",)) for attack in (STEP, attacks.PGD(balls.Linf(), OBJECTIVE, 1, 0.4))
    )
    assert one.detail["fell"] == many.detail["fell"] == 2
    assert one.ok
    assert not many.ok


def test_examples_kept_before_losses_were_are_still_good():
    words, crafted = attacked("a", source())
    old = dataclasses.replace(crafted, source_loss=None)
    found = {check.code for check in accuracy(source(), [(words, old)]).checks}
    assert found == {"eps0_equals_clean", "ball_respected", "box_respected", "gradients_not_zero", "gradients_finite"}


def test_what_is_kept_of_the_source():
    crafted = craft(threat("a", "source", eps=("0", "0.1")), source(), key=jax.random.key(0))
    assert crafted.images.shape == (2, 8, 1, 1, 2)
    right = np.array([1, 1, 1, 1, 0, 0, 1, 1], bool)
    np.testing.assert_array_equal(crafted.source_clean, right)
    np.testing.assert_array_equal(crafted.source_robust, [right, [0, 0, 1, 1, 0, 0, 0, 0]])
    np.testing.assert_array_equal(crafted.images[0], source().X)
    f = np.asarray(source().X)[:, 0, 0, 0] - 0.5
    sign = 2 * LABELS - 1
    np.testing.assert_allclose(np.asarray(crafted.gradient)[:, 0, 0, 0], -sign / (1 + np.exp(sign * f)), rtol=1e-12)
    np.testing.assert_array_equal(np.asarray(crafted.gradient)[:, 0, 0, 1], 0)
    moved = f - np.array([[0], [0], [0.1]]) * sign
    assert crafted.source_loss is not None
    np.testing.assert_allclose(crafted.source_loss, np.log1p(np.exp(-sign * moved)), rtol=1e-12)


def test_an_attack_without_source_fools_nobody():
    words = threat("a", "none", attacks.RandomSigns(balls.Linf()), None, eps=("0.1", "0.2"))
    crafted = craft(words, source(), key=jax.random.key(0))
    assert not crafted.source_clean.any()
    assert crafted.source_robust.shape == (2, 8)
    assert not np.any(crafted.gradient)
    assert crafted.unmoved.all()


def test_batches_do_not_matter():
    one, other = (
        craft(threat("a", "s"), dataclasses.replace(source(), batch_size=size), key=jax.random.key(0))
        for size in (3, 8)
    )
    assert one.unmoved.all()
    assert other.unmoved.all()
    for name in set(vars(one)) - {"unmoved"}:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=0, atol=1e-14)


@pytest.mark.parametrize("ball", [balls.Linf(), balls.L2()])
def test_received_in_single_precision(ball):
    rng = np.random.default_rng(0)
    pixels = np.round(255 * rng.random((500, 2))) / 255
    words, crafted = attacked(
        "a", source(pixels=pixels, labels=np.arange(500) % 2), dataclasses.replace(STEP, ball=ball), eps=("0.03", "0.5")
    )
    goal = target(pixels=pixels, labels=np.arange(500) % 2, dtype=np.float32)
    images = np.asarray(brought_into(words, crafted, goal))
    assert images.dtype == np.float32
    np.testing.assert_allclose(images, crafted.images, rtol=0, atol=1e-6)
    moved = (images - np.asarray(goal.X)).reshape(2, 500, -1)
    norms = np.abs(moved).max(-1) if ball == balls.Linf() else np.linalg.norm(moved.astype(np.float64), axis=-1)
    assert np.all(norms <= np.array([[0.03], [0.5]], np.float32))
    assert all(check.ok for check in checks(words, crafted, jnp.asarray(images), goal.X))
