"""Attacks in turn: the worst of their parts, each on what is left, whatever the batch."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import apgd, attacks, balls, fab, in_turn, losses, square
from ntkbench.ntk.losses import predict
from tests.ntk.predictors import uniform

LINF, L2, KEY = balls.Linf(), balls.L2(), jax.random.key(0)
MARGIN, CROSS_ENTROPY = attacks.Objective(losses.margin), attacks.Objective(losses.cross_entropy)


class Waves(eqx.Module):
    """V sin(U x): many local maxima."""

    U: jax.Array
    V: jax.Array

    def __call__(self, x):
        return self.V @ jnp.sin(self.U @ x.ravel())


def drawn(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


WAVES = Waves(jnp.asarray(2 * drawn(0, 20, 12)), jnp.asarray(drawn(1, 5, 20)))
X = uniform(10, 2, 3, 2, seed=3)
LABELS = jax.vmap(lambda x: predict(WAVES(x)))(X).at[0].add(1) % 5
EPS = np.array([0, 0.005, 0.02, 0.06])


def perturb(attack, X=X, labels=LABELS, eps=EPS, batch_size=4, predictor: Callable[[jax.Array], jax.Array] = WAVES):
    made = attacks.perturb(attack, predictor, X, labels, jnp.asarray(eps), key=KEY, batch_size=batch_size)
    return np.asarray(made)


def right(images, labels=LABELS):
    return np.asarray(jax.vmap(jax.vmap(lambda x: predict(WAVES(x))))(jnp.asarray(images))) == np.asarray(labels)


def parts(ball):
    """Return attacks that draw nothing, so that each makes the same images alone as in turn."""
    towards = apgd.Targets(2, losses.dlr_toward)
    return (
        attacks.PGD(ball, MARGIN, 1, step_size=0.005),
        apgd.APGD(ball, MARGIN, 4, uniform_start=False, targets=towards),
        fab.FAB(ball, MARGIN, 6, targets=2),
    )


def standard(queries=8):
    """Return a set that draws, as the published one does."""
    return in_turn.InTurn(
        LINF,
        MARGIN,
        (apgd.APGD(LINF, CROSS_ENTROPY, 3), fab.FAB(LINF, MARGIN, 4), square.Square(LINF, MARGIN, queries)),
    )


@pytest.mark.parametrize("ball", [LINF, L2])
def test_an_example_stays_right_if_it_does_under_every_part(ball):
    eps = EPS * (1 if ball == LINF else 12**0.5)
    attack = in_turn.InTurn(ball, MARGIN, parts(ball))
    found, alone = right(perturb(attack, eps=eps)), [right(perturb(part, eps=eps)) for part in parts(ball)]
    np.testing.assert_array_equal(found, np.all(alone, axis=0))
    assert 0.1 < np.mean(found) < 0.9
    assert np.any(found != alone[0]), "later parts add to the first"
    assert not np.any(found[:, 0]), "what is wrong when clean stays wrong"


@pytest.mark.parametrize("ball", [LINF, L2])
def test_the_threat_set_holds(ball):
    made = perturb(in_turn.InTurn(ball, MARGIN, parts(ball)))
    np.testing.assert_array_equal(made[0], X)
    np.testing.assert_array_equal(made[:, 0], np.broadcast_to(X[0], made[:, 0].shape))
    assert made.min() >= 0
    assert made.max() <= 1
    norms = np.asarray(jax.vmap(jax.vmap(ball.norm))(jnp.asarray(made) - X[None]))
    assert np.all(norms <= EPS[:, None])


def test_the_worst_image_is_kept_where_none_is_wrong():
    made = perturb(in_turn.InTurn(LINF, MARGIN, parts(LINF)))
    loss = jax.vmap(jax.vmap(lambda x, y: losses.margin(WAVES(x), y)), (0, None))
    robust, kept = right(made), np.asarray(loss(made, LABELS))
    for part in parts(LINF):
        assert np.all((kept >= np.asarray(loss(perturb(part), LABELS)) - 1e-9)[robust])


def test_an_example_does_not_depend_on_the_others():
    whole = perturb(standard(), batch_size=10)
    np.testing.assert_allclose(perturb(standard(), batch_size=3), whole, rtol=0, atol=1e-9)
    np.testing.assert_allclose(perturb(standard(), X[:6], LABELS[:6]), whole[:, :6], rtol=0, atol=1e-9)
    np.testing.assert_allclose(perturb(standard(), eps=EPS[2:]), whole[2:], rtol=0, atol=1e-9)


def test_one_example_alone_is_attacked_in_the_same_way():
    keys = jax.random.split(KEY, len(X))
    alone = eqx.filter_jit(jax.vmap(lambda x, y, key: standard()(WAVES, x, y, jnp.asarray(0.02), key=key)))
    np.testing.assert_allclose(alone(X, LABELS, keys), perturb(standard())[2], rtol=0, atol=1e-9)


class Counted(attacks.Attack):
    """It turns nothing, and counts how often it is asked."""

    ball: balls.Ball = eqx.field(static=True)
    count: Callable[[int], None] = eqx.field(static=True)

    def __call__(self, predictor, x, label, eps, *, key):
        jax.debug.callback(lambda _: self.count(1), eps)
        return x


class Dark(attacks.Attack):
    """It turns off all pixels of some examples."""

    ball: balls.Ball = eqx.field(static=True)

    def __call__(self, predictor, x, label, eps, *, key):
        return jnp.where(x[0, 0, 0] > 0.5, jnp.zeros_like(x), x)


def bright(x):
    """The class is 1 where any pixel is bright."""
    return jnp.stack([jnp.asarray(0.5, x.dtype), jnp.max(x)])


def test_what_is_wrong_already_is_not_attacked_again():
    before, after = [], []
    attack = in_turn.InTurn(LINF, MARGIN, (Counted(LINF, before.append), Dark(LINF), Counted(LINF, after.append)))
    images = jnp.where(jnp.arange(10)[:, None, None, None] < 7, 0.9, 0.4) * jnp.ones((10, 1, 1, 1))
    images = jnp.concatenate([images, jnp.ones_like(images)], axis=1)
    perturb(attack, images, jnp.ones(10, int), np.array([0.1]), batch_size=2, predictor=bright)
    jax.effects_barrier()
    assert len(before) == 10
    assert len(after) == 4, "three are left, in two batches"


def test_only_a_set_of_attacks_along_gradients_follows_them():
    assert in_turn.InTurn(LINF, MARGIN, parts(LINF)).follows_gradient
    assert not standard().follows_gradient
