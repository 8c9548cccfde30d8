"""Square Attack: what the published schedule says, the contract of all attacks, and gradients that are masked."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import apgd, attacks, balls, losses, square
from ntkbench.ntk.losses import predict
from tests.ntk.predictors import uniform

LINF, KEY = balls.Linf(), jax.random.key(0)
MARGIN = attacks.Objective(losses.margin)
RNG = np.random.default_rng(0)
X = uniform(12, 6, 6, 2, seed=1)


class Linear(eqx.Module):
    """V x, of which the worst image in the ball is known."""

    V: jax.Array

    def __call__(self, x):
        return self.V @ x.ravel()


class Saturated(eqx.Module):
    """V sigmoid(sharpness U (x - 1/2)): its gradients are 0 to every digit, and its outputs are those of a step."""

    U: jax.Array
    V: jax.Array
    sharpness: float = 1e8

    def __call__(self, x):
        return self.V @ jax.nn.sigmoid(self.sharpness * self.U @ (x.ravel() - 0.5))


def perturb(attack, predictor, X, labels, eps, key=KEY):
    eps = jnp.asarray(np.atleast_1d(eps), X.dtype)
    return np.asarray(attacks.perturb(attack, predictor, X, labels, eps, key=key, batch_size=5))


def predictions(predictor, X):
    return np.asarray(jax.vmap(lambda x: predict(predictor(x)))(jnp.asarray(X)))


def test_squares_shrink_as_published():
    """p_selection of the authors' code, with p = 0.8 and 10000 queries: it <= 10: p; 50: p / 2; ... ; 8000: p / 256."""
    found = square.sizes(10_000, (32, 32, 3), 0.8)
    for step, share in {0: 1, 10: 1, 11: 2, 50: 2, 51: 4, 500: 8, 501: 16, 2001: 64, 6001: 256, 8001: 512}.items():
        side = max(1, round((0.8 / share * 32 * 32) ** 0.5))
        assert found[step].tolist() == [side, side], step
    assert square.sizes(100, (32, 32, 3), 0.8)[[0, 1, 99], 0].tolist() == [29, 14, 1]
    assert square.sizes(100, (20, 1, 1), 0.5)[[0, 99]].tolist() == [[10, 1], [1, 1]]
    assert square.sizes(1, (4, 9, 1), 1.0).tolist() == [[4, 6]]


def test_a_square_is_one_side_of_each_channel_anywhere():
    corners = set()
    for i in range(60):
        drawn = np.asarray(square.square((5, 4, 3), jnp.array([2, 2]), jnp.float64, key=jax.random.key(i)))
        rows, columns, _ = np.nonzero(drawn)
        assert {abs(drawn).sum(), np.ptp(rows) + 11, np.ptp(columns) + 11} == {12}
        assert all(len(np.unique(drawn[rows, columns, c])) == 1 for c in range(3))
        corners.add((rows.min(), columns.min()))
    assert corners == {(row, column) for row in range(4) for column in range(3)}


def test_it_keeps_the_threat_set_and_budget_0_changes_nothing():
    linear = Linear(jnp.asarray(RNG.standard_normal((3, 72))))
    labels = jnp.asarray(predictions(linear, X))
    made = perturb(square.Square(LINF, MARGIN, 30), linear, X, labels, [0.0, 0.05])
    np.testing.assert_array_equal(made[0], X)
    moved = np.abs(made[1] - X)
    assert moved.max() <= 0.05
    assert made.min() >= 0
    assert made.max() <= 1
    assert np.mean(np.isclose(moved, 0.05) | (made[1] == 0) | (made[1] == 1)) > 0.99, "it stays on the border"
    again = perturb(square.Square(LINF, MARGIN, 30), linear, X, labels, [0.05], key=jax.random.key(1))
    assert np.any(again[0] != made[1])


def test_more_steps_come_near_to_the_worst_image_of_a_linear_function():
    linear = Linear(jnp.asarray(RNG.standard_normal((2, 72))))
    labels = jnp.asarray(predictions(linear, X))
    best = perturb(attacks.FGSM(LINF, MARGIN), linear, X, labels, 0.1)[0]
    loss = jax.vmap(lambda x, y: losses.margin(linear(x), y))
    clean, worst = (np.asarray(loss(jnp.asarray(images), labels)) for images in (X, best))
    shares = []
    for steps in (1, 50, 1500):
        made = perturb(square.Square(LINF, MARGIN, steps), linear, X, labels, 0.1)[0]
        shares.append(np.mean((np.asarray(loss(jnp.asarray(made), labels)) - clean) / (worst - clean)))
    assert shares == sorted(shares)
    assert 0.8 < shares[-1] <= 1


def test_a_vector_is_a_column():
    vectors = X.reshape(12, 1, 1, 72)
    linear = Linear(jnp.asarray(RNG.standard_normal((2, 72))))
    labels = jnp.asarray(predictions(linear, vectors))
    made = perturb(square.Square(LINF, MARGIN, 300), linear, vectors, labels, 0.2)[0]
    assert made.shape == vectors.shape
    assert np.mean(predictions(linear, made) != labels) > 0.9


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_breaks_a_network_whose_gradients_are_masked(dtype: str):
    saturated = Saturated(
        jnp.asarray(RNG.standard_normal((200, 72)), dtype), jnp.asarray(RNG.standard_normal((3, 200)), dtype)
    )
    images = jnp.asarray(X, dtype)
    labels = jnp.asarray(predictions(saturated, images))
    objective = attacks.Objective(losses.cross_entropy)
    assert not np.any(attacks.gradients(objective, saturated, images, labels, batch_size=12))
    searching = square.Square(LINF, objective, 300)
    assert not searching.follows_gradient
    assert not attacks.Restarts(LINF, objective, searching, 2).follows_gradient
    along = [apgd.APGD(LINF, objective, 30, uniform_start=False), attacks.FGSM(LINF, objective)]
    robust = [
        np.mean(predictions(saturated, perturb(attack, saturated, images, labels, 0.15)[0]) == labels)
        for attack in (*along, searching)
    ]
    assert robust[:2] == [1, 1], "there is nothing to follow"
    assert robust[2] < 0.2
