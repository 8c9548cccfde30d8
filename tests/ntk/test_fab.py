"""FAB: the projection against a root finder, distances of linear functions in closed form, brute force in a plane."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

from ntkbench.ntk import attacks, balls, fab, losses
from ntkbench.ntk.losses import predict
from tests.ntk.predictors import linear, uniform

LINF, L2 = balls.Linf(), balls.L2()
KEY = jax.random.key(0)
MARGIN = attacks.Objective(losses.margin)
ROUNDING = 1e-10


def drawn(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


class Waves(eqx.Module):
    """V tanh(U (x - 1/2)), of which the boundary is curved."""

    U: jax.Array
    V: jax.Array

    def __call__(self, x):
        return self.V @ jnp.tanh(self.U @ (x.ravel() - 0.5))


class Disk(eqx.Module):
    """The class is 0 in a disk and 1 outside of it."""

    center: jax.Array
    radius: float

    def __call__(self, x):
        return jnp.sum(jnp.square(x.ravel() - self.center))[None] - self.radius**2


WAVES = Waves(jnp.asarray(3 * drawn(4, 20, 12)), jnp.asarray(drawn(5, 4, 20)))
X = uniform(10, 2, 3, 2, seed=3)
NEAR = 0.5 + 0.05 * (X - 0.5)
"""images so far from the ends of the box that it does not matter"""
LABELS = jax.vmap(lambda x: predict(WAVES(x)))(X)


@eqx.filter_jit
def _nearest(attack, predictor, X, labels, keys):
    return jax.vmap(lambda x, y, key: attack.nearest(predictor, x, y, key=key))(X, labels, keys)


def nearest(attack, predictor, X, labels, key=KEY):
    """Return what the attack finds of each example."""
    keys = jax.random.split(key, len(X))
    return jax.tree.map(np.asarray, _nearest(attack, predictor, jnp.asarray(X), jnp.asarray(labels), keys))


def perturb(attack, predictor, X, labels, eps, batch_size=4):
    eps = jnp.asarray(np.atleast_1d(eps), X.dtype)
    return np.asarray(attacks.perturb(attack, predictor, X, labels, eps, key=KEY, batch_size=batch_size))


def predictions(predictor, X):
    return np.asarray(jax.vmap(lambda x: predict(predictor(x)))(jnp.asarray(X)))


# ---- the projection ------------------------------------------------------------------------------


def brute(ball, x, value, normal):
    """Return the same move by bisection on its only unknown; None where no point of the box is on the plane."""
    sign = -np.sign(value) * np.sign(normal)
    speed = np.ones(len(x)) if ball == LINF else np.abs(normal)

    def move(t):
        return np.clip(x + sign * t * speed, 0, 1) - x

    if abs(normal @ move(1e9)) < abs(value):
        return None
    return move(
        brentq(lambda t: abs(normal @ move(t)) - abs(value), 0, 1e9, xtol=1e-15, rtol=np.float64(1e-14), maxiter=500)
    )


@pytest.mark.parametrize("ball", [LINF, L2])
def test_a_projection_is_on_the_plane_in_the_box_and_the_shortest(ball):
    project, found, corners = jax.jit(lambda *of: fab.onto_plane(ball, *of)), 0, 0
    for i in range(60):
        rng = np.random.default_rng(i)
        x, normal = rng.random(9), rng.standard_normal(9) * (rng.random(9) > 0.2)
        x[:2] = 0, 1
        value = rng.standard_normal() * (0.5 if i % 3 else 4)
        made = np.asarray(project(jnp.asarray(x), jnp.asarray(value), jnp.asarray(normal)))
        expected = brute(ball, x, value, normal)
        assert np.all((x + made >= 0) & (x + made <= 1))
        assert np.all(made[normal == 0] == 0)
        if expected is None:
            corners += 1
            inside = normal != 0
            np.testing.assert_allclose((x + made)[inside], (-np.sign(value) * normal > 0)[inside], atol=1e-15)
        else:
            found += 1
            np.testing.assert_allclose(value + normal @ made, 0, atol=ROUNDING)
            np.testing.assert_allclose(made, expected, atol=ROUNDING)
    assert min(found, corners) > 5


@pytest.mark.parametrize("ball", [LINF, L2])
def test_a_projection_onto_a_plane_of_tiny_gradients(ball):
    """In float32 the squares of such gradients are 0."""
    x, normal = jnp.full(4, 0.5, jnp.float32), jnp.array([3, -2, 1, 0], jnp.float32)
    made = [fab.onto_plane(ball, x, jnp.float32(scale), scale * normal) for scale in (1, 1e-30)]
    assert np.any(made[0])
    np.testing.assert_allclose(*made, rtol=1e-6)


@pytest.mark.parametrize("ball", [LINF, L2])
def test_nothing_moves_without_a_plane_or_on_it(ball):
    x, none = jnp.full(3, 0.5), jnp.zeros(3)
    for value, normal in ((0.0, none), (1.0, none), (0.0, jnp.ones(3))):
        np.testing.assert_array_equal(fab.onto_plane(ball, x, jnp.asarray(value), normal), none)


# ---- distances -----------------------------------------------------------------------------------


def overshoot(steps):
    """Return how many times the distance of a plane the nearest of so many steps is.

    A step from the share s of the way, which has the rest u = 1 - s before it, ends 5 % of u beyond the plane, its
    point seen from the example 5 % of 1, and between them, at a = u / (u + 1) but .1 at most of the way, the step ends.
    Each has another class; so the next one starts at .9 of its share.
    """
    ratios, share = [], 0.0
    for _ in range(steps):
        u = abs(1 - share)
        a = min(u / (u + 1), fab.BIAS)
        ratios.append(1 + (fab.OVERSHOOT - 1) * ((1 - a) * u + a))
        share = fab.BACKWARD * ratios[-1]
    return min(ratios)


def test_the_overshoot_of_the_published_numbers():
    assert overshoot(1) == fab.OVERSHOOT
    u = 1 - 0.9 * 1.05
    assert overshoot(2) == overshoot(100) == pytest.approx(1 + 0.1 * u / (1 + u), abs=1e-15)
    assert overshoot(2) == pytest.approx(1.0052, abs=2e-5)


def several():
    """Return linear outputs of four classes whose weights are of unlike length."""
    W = np.array([1, 3, 0.5, 2])[:, None] * drawn(1, 4, 12)
    return linear(W, -W @ np.full(12, 0.5))


def planes(predictor, X, labels, ball):
    """Return of each example the distances |f_l - f_y| / |w_l - w_y|, in the dual norm, to all classes."""
    W, outputs, order = np.asarray(predictor.W), np.asarray(jax.vmap(predictor)(X)), 1 if ball == LINF else 2
    own = np.asarray(labels)
    lead = outputs[np.arange(len(X)), own][:, None] - outputs
    lengths = np.linalg.norm(W[own][:, None] - W[None], order, axis=-1)
    return np.where(lengths > 0, lead / np.where(lengths > 0, lengths, 1), np.inf)


@pytest.mark.parametrize("ball", [LINF, L2])
@pytest.mark.parametrize("steps", [1, 2, 20])
def test_the_distance_of_a_plane_is_found_up_to_the_overshoot(ball, steps):
    """It is |f| / |w| in the dual norm; the gap of the published step is known to the last digit."""
    w = drawn(0, 12)
    predictor = linear(w, -0.5 * w.sum())
    labels = predictions(predictor, NEAR)
    assert set(labels) == {0, 1}
    expected = np.abs(jax.vmap(predictor)(NEAR))[:, 0] / np.linalg.norm(w, 1 if ball == LINF else 2)
    found = nearest(fab.FAB(ball, MARGIN, steps), predictor, NEAR, labels)
    np.testing.assert_allclose(found.distance / expected, overshoot(steps), rtol=ROUNDING)
    assert np.all(predictions(predictor, found.image) != labels)
    assert np.all(found.finite)
    np.testing.assert_allclose(jax.vmap(ball.norm)(found.image - NEAR), found.distance, rtol=ROUNDING)


@pytest.mark.parametrize("ball", [LINF, L2])
def test_runs_towards_all_classes_find_the_nearest(ball):
    """Among them is a run towards the nearest plane, which ends as if there were no other class."""
    predictor = several()
    labels = predictions(predictor, NEAR)
    distances = planes(predictor, NEAR, labels, ball)
    found = nearest(fab.FAB(ball, MARGIN, 5, targets=3), predictor, NEAR, labels)
    ratios = found.distance / distances.min(axis=1)
    assert np.all(ratios >= 1 - ROUNDING)
    assert np.all(ratios <= overshoot(5) + ROUNDING)
    apart = np.sort(distances, axis=1)[:, 1] > 1.1 * distances.min(axis=1)
    assert np.sum(apart) > 3
    np.testing.assert_array_equal(predictions(predictor, found.image)[apart], distances.argmin(axis=1)[apart])
    outputs = np.asarray(jax.vmap(predictor)(NEAR))
    runner_up = np.argsort(outputs, axis=1)[:, -2]
    one = nearest(fab.FAB(ball, MARGIN, 5, targets=1), predictor, NEAR, labels).distance
    assert np.all(one >= found.distance * (1 - ROUNDING)), "more targets never find less"
    elsewhere = runner_up != distances.argmin(axis=1)
    assert np.any(one[elsewhere] > 1.1 * found.distance[elsewhere]), "the runner-up need not be the nearest"


@pytest.mark.parametrize("ball", [LINF, L2])
def test_without_targets_the_first_step_goes_to_the_nearest_plane(ball):
    predictor = several()
    labels = predictions(predictor, NEAR)
    ratios = nearest(fab.FAB(ball, MARGIN, 5), predictor, NEAR, labels).distance
    ratios = ratios / planes(predictor, NEAR, labels, ball).min(axis=1)
    assert np.all((ratios >= 1 - ROUNDING) & (ratios <= fab.OVERSHOOT + ROUNDING))


@pytest.mark.parametrize("ball", [LINF, L2])
def test_the_box_counts(ball):
    """Where pixels end at the border, others go farther; the first step ends at most 5 % beyond the shortest move."""
    w = drawn(0, 12)
    predictor, farther = linear(w, -0.5 * w.sum()), 0
    labels = predictions(predictor, X)
    found = nearest(fab.FAB(ball, MARGIN, 10), predictor, X, labels)
    assert np.all((found.image >= 0) & (found.image <= 1))
    for x, distance in zip(np.asarray(X).reshape(10, -1), found.distance, strict=True):
        value = w @ x - 0.5 * w.sum()
        shortest = np.asarray(ball.norm(jnp.asarray(brute(ball, x, value, w))))
        assert shortest * (1 - ROUNDING) <= distance <= fab.OVERSHOOT * shortest * (1 + ROUNDING)
        farther += shortest > 1.01 * abs(value) / np.linalg.norm(w, 1 if ball == LINF else 2)
    assert farther > 0


SIDE = np.linspace(0, 1, 401)
GRID = np.stack(np.meshgrid(SIDE, SIDE, indexing="ij"), axis=-1).reshape(-1, 2)


def by_trial(predictor, X, labels, ball):
    """Return the distances of the nearest images of another class among all of a grid."""
    answers, order = predictions(predictor, GRID.reshape(-1, 2, 1, 1)), np.inf if ball == LINF else 2
    pairs = zip(np.asarray(X).reshape(-1, 2), labels, strict=True)
    return np.array([np.min(np.linalg.norm(GRID[answers != y] - x, order, axis=1)) for x, y in pairs])


@pytest.mark.parametrize("ball", [LINF, L2])
def test_two_pixels_by_trial(ball):
    """Of a disk the nearest boundary is found; on waves nothing is found that is nearer than what trial finds."""
    spacing, images = 2**0.5 * SIDE[1], uniform(6, 2, 1, 1, seed=5)
    disk, inside = Disk(jnp.array([0.5, 0.5]), 0.3), 0.5 + 0.35 * (images - 0.5)
    found = nearest(fab.FAB(ball, MARGIN, 30), disk, inside, np.zeros(6, int)).distance
    shortest = by_trial(disk, inside, np.zeros(6, int), ball)
    assert np.all(found >= shortest - spacing)
    assert np.all(found <= fab.OVERSHOOT * shortest)
    waves = Waves(jnp.asarray(4 * drawn(2, 8, 2)), jnp.asarray(drawn(3, 3, 8)))
    labels = predictions(waves, images)
    found = nearest(fab.FAB(ball, MARGIN, 30, restarts=3), waves, images, labels).distance
    shortest = by_trial(waves, images, labels, ball)
    assert np.all(found >= shortest - spacing)
    assert np.median(found / shortest) < fab.OVERSHOOT


# ---- budgets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ball", [LINF, L2])
def test_an_example_is_turned_at_budgets_from_its_distance_on(ball):
    attack = fab.FAB(ball, MARGIN, 30, restarts=2)
    wrong = LABELS.at[0].set((LABELS[0] + 1) % 4)
    distances = nearest(attack, WAVES, X, wrong).distance
    assert distances[0] == 0
    assert np.all(np.isfinite(distances))
    budgets = [0, *np.quantile(distances, [0.3, 0.5, 0.9]), 1.0]
    made = perturb(attack, WAVES, X, wrong, budgets)
    assert made.min() >= 0
    assert made.max() <= 1
    robust = np.array([predictions(WAVES, images) == np.asarray(wrong) for images in made])
    assert np.all(np.diff(robust.astype(int), axis=0) <= 0), "a larger budget turns all that a smaller one does"
    np.testing.assert_array_equal(robust, distances > np.array(budgets)[:, None] * (1 + ROUNDING))
    for eps, images, right in zip(budgets, made, robust, strict=True):
        norms = np.asarray(jax.vmap(ball.norm)(jnp.asarray(images) - X))
        assert np.all(norms <= eps)
        assert np.all(norms[right] == 0), "what is not turned stays"


def test_one_search_serves_all_budgets():
    looked = []

    class Counting(Waves):
        def __call__(self, x):
            jax.debug.callback(lambda _: looked.append(1), x[0, 0, 0])
            return Waves.__call__(self, x)

    counting, counts = Counting(WAVES.U, WAVES.V), []
    for budgets in ([0.1], [0.1, 0.2, 0.3]):
        looked.clear()
        perturb(fab.FAB(LINF, MARGIN, 7), counting, X[:1], LABELS[:1], budgets)
        jax.effects_barrier()
        counts.append(len(looked))
    assert counts[0] == counts[1] >= 14


@pytest.mark.parametrize("ball", [LINF, L2])
def test_restarts_come_nearer(ball):
    once, often = (nearest(fab.FAB(ball, MARGIN, 8, restarts), WAVES, X, LABELS).distance for restarts in (1, 6))
    assert np.all(often <= once)
    assert np.any(often < once * 0.999)


def test_an_example_does_not_depend_on_the_others():
    attack = fab.FAB(L2, MARGIN, 15, restarts=2, targets=2)
    whole = perturb(attack, WAVES, X, LABELS, 2.0, batch_size=10)[0]
    assert np.mean(np.any(whole != X, axis=(1, 2, 3))) > 0.5
    np.testing.assert_allclose(perturb(attack, WAVES, X, LABELS, 2.0, batch_size=3)[0], whole, rtol=0, atol=1e-9)
    padded = perturb(attack, WAVES, jnp.concatenate([X, X[:3]]), jnp.concatenate([LABELS, LABELS[:3]]), 2.0)[0]
    np.testing.assert_allclose(padded[:10], whole, rtol=0, atol=1e-9)


def test_without_gradients_it_finds_nothing():
    flat = linear(np.zeros((3, 12)), np.array([1.0, 0, 0]))
    attack = fab.FAB(LINF, MARGIN, 5, restarts=2)
    found = nearest(attack, flat, X, np.zeros(10, int))
    assert np.all(np.isinf(found.distance) & found.finite)
    np.testing.assert_array_equal(perturb(attack, flat, X, jnp.zeros(10, int), 0.3)[0], X)


class Cliff(eqx.Module):
    """Not a number beyond a brightness."""

    w: jax.Array

    def __call__(self, x):
        return (self.w @ (x.ravel() - 0.5) + 0 * jnp.sum(jnp.sqrt(0.9 - x)))[None]


def test_what_is_no_number_on_the_way_shows_at_the_end():
    """The way to the plane leads beyond the brightness: the image must not look as if there was nothing to find."""
    cliff, bright = Cliff(jnp.repeat(jnp.array([1.0, -2.0]), 6)), jnp.full((3, 12, 1, 1), 0.85)
    assert np.all(predictions(cliff, bright) == 0)
    made = perturb(fab.FAB(L2, MARGIN, 10), cliff, bright, jnp.zeros(3, int), 0.3)[0]
    assert np.all(np.isnan(made).any(axis=(1, 2, 3)))
