"""APGD against the published algorithm, written out in NumPy for one example; and what all ascents promise."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import apgd, architectures, attacks, balls, infinite, losses, regression
from tests.conftest import EXACT, ITERATIVE
from tests.ntk.predictors import uniform

LINF, L2 = balls.Linf(), balls.L2()
KEY = jax.random.key(0)
RNG = np.random.default_rng(0)


class Waves(eqx.Module):
    """V sin(U x): many local maxima."""

    U: jax.Array
    V: jax.Array

    def __call__(self, x):
        return self.V @ jnp.sin(self.U @ x.ravel())


WAVES = Waves(jnp.asarray(2 * RNG.standard_normal((20, 12))), jnp.asarray(RNG.standard_normal((5, 20))))
X, LABELS = uniform(8, 2, 3, 2, seed=3), np.arange(8) % 5
CROSS_ENTROPY = attacks.Objective(losses.cross_entropy)
DLR = attacks.Objective(losses.dlr)
EPS = (0.05, 0.3)
PLAIN = {ball: apgd.APGD(ball, CROSS_ENTROPY, 50, uniform_start=False) for ball in (LINF, L2)}


def perturb(attack, eps=EPS, predictor=WAVES, X=X, labels=LABELS, key=KEY, batch_size=100):
    eps = jnp.asarray(np.atleast_1d(eps), X.dtype)
    return np.asarray(attacks.perturb(attack, predictor, X, jnp.asarray(labels), eps, key=key, batch_size=batch_size))


@eqx.filter_jit
def scores(objective, images, labels, predictor=WAVES):
    """Of `e n ...` images, at the true label."""
    return jax.vmap(jax.vmap(lambda x, y: objective.score(predictor(x), y)), (0, None))(
        jnp.asarray(images), jnp.asarray(labels)
    )


def not_worse(found, than):
    """Whether each score is at least the other one."""
    return np.asarray(~eqx.filter_vmap(eqx.filter_vmap(lambda a, b: b.above(a)))(found, than))


# ---- the algorithm -------------------------------------------------------------------------------


def inside(adv, x, eps, ball):
    delta = adv - x
    if ball == L2:
        return np.clip(x + delta * min(1, eps / max(np.linalg.norm(delta), 1e-300)), 0, 1)
    return np.clip(x + np.clip(delta, -eps, eps), 0, 1)


def uphill(g, ball):
    return np.sign(g) if ball == LINF else g / np.linalg.norm(g)


def value(f, label):
    """Cross-entropy, its gradient in the outputs, and whether the label is lost."""
    p = np.exp(f - f.max())
    return np.log(p.sum()) - (f - f.max())[label], p / p.sum() - np.eye(len(f))[label], bool(f.argmax() != label)


def published(x, label, eps, ball, steps):
    """Croce & Hein 2020, algorithm 1, in its own words; also how often the step was halved."""
    U, V = np.asarray(WAVES.U), np.asarray(WAVES.V)
    p = [0.0, 0.22]
    while p[-1] < 1:
        p.append(p[-1] + max(p[-1] - p[-2] - 0.03, 0.06))
    W = [math.ceil(round(share * steps, 6)) for share in p]

    def look(image):
        loss, g, lost = value(V @ np.sin(U @ image), label)
        return (lost, loss), U.T @ (np.cos(U @ image) * (V.T @ g))

    eta, here, before = 2 * eps, x, x
    (score, g), halved, rises, j = look(here), [], [], 0
    best, highest = here, score
    at_checkpoint = {0: (eta, highest)}
    for k in range(steps):
        z = inside(here + eta * uphill(g, ball), x, eps, ball)
        new = z if k == 0 else inside(here + 0.75 * (z - here) + 0.25 * (here - before), x, eps, ball)
        before, (next_score, g) = here, look(new)
        rises.append(next_score[1] > score[1])
        here, score = new, next_score
        if score > highest:
            best, highest = here, score
        if k + 1 in W and k + 1 < steps:
            j += 1
            since = W[j - 1]
            few = sum(rises[since:]) < 0.75 * (W[j] - since)
            stuck = at_checkpoint[since] == (eta, highest)
            at_checkpoint[W[j]] = eta, highest
            if few or stuck:
                halved.append(k + 1)
                eta, here, (score, g) = eta / 2, best, look(best)
    return best, len(halved)


@pytest.mark.parametrize("ball", [LINF, pytest.param(L2, marks=pytest.mark.slow)])
def test_the_published_algorithm(ball):
    found = perturb(PLAIN[ball])
    for eps, images in zip(EPS, found, strict=True):
        pairs = zip(X, LABELS, strict=True)
        wanted, halvings = zip(*(published(np.asarray(x).ravel(), y, eps, ball, 50) for x, y in pairs), strict=True)
        np.testing.assert_allclose(images.reshape(8, -1), np.stack(wanted), rtol=0, atol=ITERATIVE)
        assert 0 < sum(halvings) < 64, "at some of the checkpoints, not at all"


def test_checkpoints():
    assert apgd.checkpoints(100) == [0, 22, 41, 57, 70, 80, 87, 93, 99]
    assert apgd.checkpoints(10) == [0, 3, 5, 6, 7, 8, 9]
    assert apgd.checkpoints(1) == [0]


# ---- what all ascents promise ------------------------------------------------------------------

TARGETS = apgd.Targets(3, losses.dlr_toward)
ASCENTS = {
    "fgsm": lambda ball: attacks.FGSM(ball, CROSS_ENTROPY),
    "pgd": lambda ball: attacks.PGD(ball, DLR, 4, uniform_start=True),
    "pgd_restarts": lambda ball: restarts(attacks.PGD(ball, CROSS_ENTROPY, 4, uniform_start=True), 2),
    "apgd": lambda ball: apgd.APGD(ball, CROSS_ENTROPY, 6),
    "apgd_zero": lambda ball: apgd.APGD(ball, DLR, 6, uniform_start=False),
    "apgd_targeted": lambda ball: apgd.APGD(ball, DLR, 6, targets=TARGETS),
}


def restarts(attack, count):
    return attacks.Restarts(attack.ball, attack.objective, attack, count)


@pytest.fixture(scope="module")
def kernel():
    """Regression on the very points that are attacked, some of them at the end of the box."""
    points = jnp.asarray(np.concatenate([np.asarray(X), [np.zeros(X[0].shape), np.ones(X[0].shape)]]), jnp.float32)
    targets = jnp.asarray(RNG.standard_normal((10, 5)), jnp.float32)
    limit = infinite.InfiniteKernel(architectures.fc(1, 1, depth=1, b_std=0.1))
    return regression.predictor(limit, points, targets), points


FIRST = {("fgsm", L2)}
EACH = [
    pytest.param(
        name, ball, marks=() if (name, ball) in FIRST else pytest.mark.slow, id=f"{name}-{type(ball).__name__}"
    )
    for name in ASCENTS
    for ball in (LINF, L2)
]


@pytest.mark.parametrize(("name", "ball"), EACH)
def test_contract(name, ball, kernel):
    """At training points of a kernel predictor: ball, box, no move without a budget, finite, no loss lost."""
    predictor, points = kernel
    eps, labels = np.array([0, 1e-4, 0.1, 1], np.float32), np.arange(10) % 5
    attack = ASCENTS[name](ball)
    found = perturb(attack, eps, predictor, points, labels)
    assert np.all(np.isfinite(found))
    assert found.min() >= 0
    assert found.max() <= 1
    np.testing.assert_array_equal(found[0], points)
    norms = np.asarray(jax.vmap(jax.vmap(ball.norm))(jnp.asarray(found) - points[None]))
    assert np.all(norms <= eps[:, None])
    assert np.all(norms[1:3].max(axis=1) > 0.9 * eps[1:3]), "the budget is used"
    if name in ("apgd_zero", "pgd_restarts"):
        clean = np.broadcast_to(np.asarray(points), found.shape)
        objective = attack.objective
        gain = scores(objective, found, labels, predictor).loss - scores(objective, clean, labels, predictor).loss
        assert np.min(gain[:2]) >= -1e-5


@pytest.mark.slow
def test_batches_do_not_matter():
    np.testing.assert_allclose(perturb(PLAIN[L2], batch_size=4), perturb(PLAIN[L2]), rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "ball"), EACH)
def test_batches_do_not_matter_to_any(name, ball):
    whole, parts = (perturb(ASCENTS[name](ball), batch_size=size) for size in (8, 3))
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "attack",
    [
        attacks.PGD(LINF, CROSS_ENTROPY, 3, uniform_start=True),
        pytest.param(apgd.APGD(LINF, CROSS_ENTROPY, 3), marks=pytest.mark.slow),
        pytest.param(apgd.APGD(L2, CROSS_ENTROPY, 3, targets=TARGETS), marks=pytest.mark.slow),
    ],
)
def test_more_restarts_are_never_weaker(attack):
    """The first r of r + 1 runs are those of r runs; the very first is the attack alone."""
    few, many = (scores(CROSS_ENTROPY, perturb(one), LABELS) for one in (attack, restarts(attack, 4)))
    assert np.all(not_worse(many, few))
    assert np.any(np.asarray(many.loss) > np.asarray(few.loss))


@pytest.mark.slow
def test_more_targets_are_never_weaker():
    few, many = (scores(DLR, perturb(apgd.APGD(LINF, DLR, 5, False, towards(k))), LABELS) for k in (1, 4))
    assert np.all(not_worse(many, few))
    assert np.any(np.asarray(many.loss) > np.asarray(few.loss))


def towards(k):
    return apgd.Targets(k, losses.dlr_toward)


def test_one_target_is_led_to():
    """In a wide ball the runner-up becomes the answer."""
    own = np.asarray(jax.vmap(lambda x: losses.predict(WAVES(x)))(X))
    found = perturb(apgd.APGD(LINF, CROSS_ENTROPY, 40, False, apgd.Targets(1, toward)), labels=own)[1]
    second = jax.vmap(lambda x, y: losses.others(WAVES(x), y, 1)[0])(X, jnp.asarray(own))
    np.testing.assert_array_equal(jax.vmap(lambda x: losses.predict(WAVES(x)))(jnp.asarray(found)), second)


def toward(outputs, label, target):
    return losses.toward(outputs, label, target, loss=losses.cross_entropy)


def test_a_ratio_sees_through_confidence():
    """Where a loss is saturated its gradient is zero in single precision, but not the one of the ratio."""
    sure = Waves(jnp.asarray(WAVES.U, jnp.float32), jnp.asarray(1e4 * WAVES.V, jnp.float32))
    images = uniform(8, 2, 3, 2, dtype=np.float32)
    own = jax.vmap(lambda x: losses.predict(sure(x)))(images)
    flat, seen = (attacks.gradients(one, sure, images, own, batch_size=8) for one in (CROSS_ENTROPY, DLR))
    assert not np.any(flat)
    assert np.all(np.any(seen != 0, axis=(1, 2, 3)))


def test_a_misclassified_image_beats_a_higher_loss():
    low, high = (attacks.Score(jnp.array(f), jnp.array(v)) for f, v in ((True, 0.1), (False, 5.0)))
    assert low.above(high)
    assert not high.above(low)
    assert not low.above(low)
    nan = attacks.Score.of(jnp.array([1.0, 0.0]), jnp.array(0), jnp.array(jnp.nan))
    assert nan.above(high), "not a number must not pass for a loss that is not reached"


class Cliff(Waves):
    """Not a number beyond a brightness."""

    def __call__(self, x):
        return Waves.__call__(self, x) + 0 * jnp.sum(jnp.sqrt(0.9 - x))


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(attacks.PGD(LINF, CROSS_ENTROPY, 3), marks=pytest.mark.slow),
        apgd.APGD(LINF, CROSS_ENTROPY, 3, False),
    ],
)
def test_what_is_no_number_on_the_way_shows_at_the_end(attack):
    """Neither the image nor its loss may look as if the attack had failed."""
    cliff, dark = Cliff(WAVES.U, WAVES.V), 0.8 * X
    own = np.asarray(jax.vmap(lambda x: losses.predict(cliff(x)))(dark))
    found = perturb(attack, 2 * [0.5], cliff, dark, own)
    seen = scores(CROSS_ENTROPY, found, own, cliff)
    lost = np.isnan(found).any(axis=(2, 3, 4)) | np.isinf(seen.loss)
    assert np.all(lost | np.asarray(seen.fooled))
    assert np.any(lost)


def test_gradients_are_counted_by_steps():
    """One a step and no more: the last image is looked at without one."""
    calls = []

    @jax.custom_vjp
    def counted(x):
        return x

    def backward(_, g):
        jax.debug.callback(lambda: calls.append(1))
        return (g,)

    counted.defvjp(lambda x: (x, None), backward)

    class Counting(Waves):
        def __call__(self, x):
            return Waves.__call__(self, counted(x))

    perturb(apgd.APGD(LINF, CROSS_ENTROPY, 7, False), 0.1, Counting(WAVES.U, WAVES.V), X[:1], LABELS[:1])
    jax.effects_barrier()
    assert len(calls) == 7


@pytest.mark.slow
def test_predicted_labels_are_left():
    """An attack away from a wrong answer may end at the right one."""
    own = np.asarray(jax.vmap(lambda x: losses.predict(WAVES(x)))(X))
    assert np.any(own != LABELS)
    predicted = attacks.Objective(losses.cross_entropy, predicted=True)
    own_targets = apgd.APGD(LINF, predicted, 5, False, towards(4))
    np.testing.assert_allclose(
        perturb(own_targets), perturb(apgd.APGD(LINF, CROSS_ENTROPY, 5, False, towards(4)), labels=own), rtol=EXACT
    )
