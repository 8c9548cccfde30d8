"""Attacks against Foolbox's (Rauber et al. 2020) through JAX: the same network, start and step give the same images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import architectures, attacks, balls, losses
from tests.ntk.predictors import drawn, uniform

foolbox = pytest.importorskip("foolbox")
eagerpy = pytest.importorskip("eagerpy")

LINF, L2 = balls.Linf(), balls.L2()
CROSS_ENTROPY = attacks.Objective(losses.cross_entropy)
EPS, STEPS, STEP = {LINF: 0.03, L2: 0.5}, 10, {LINF: 0.005, L2: 0.1}
SHAPE, CLASSES = (8, 8, 1), 10
X, LABELS = uniform(20, *SHAPE, seed=3, dtype=np.float32), jnp.arange(20) % CLASSES
NETWORK = drawn(architectures.fc(32, CLASSES, depth=2), SHAPE, dtype=np.float32)


@pytest.fixture(autouse=True)
def ordinary_arithmetic():
    """The peer mixes types and ranks."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def ours(attack, eps):
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        eps = jnp.array([eps], X.dtype)
        return np.asarray(attacks.perturb(attack, NETWORK, X, LABELS, eps, key=jax.random.key(0), batch_size=20)[0])


def theirs(attack, eps):
    model = foolbox.JAXModel(jax.jit(jax.vmap(NETWORK)), bounds=(0, 1))
    found, _, _ = attack(model, eagerpy.astensor(X), eagerpy.astensor(LABELS), epsilons=eps)
    return np.asarray(found.raw)


def loss(images):
    return np.asarray(jax.vmap(lambda x, y: losses.cross_entropy(NETWORK(x), y))(jnp.asarray(images), LABELS))


def gradient(images):
    return np.asarray(attacks.gradients(CROSS_ENTROPY, NETWORK, jnp.asarray(images), LABELS, batch_size=20))


def peer(ball, steps):
    kinds = {LINF: foolbox.attacks.LinfPGD, L2: foolbox.attacks.L2PGD}
    return kinds[ball](abs_stepsize=STEP[ball], steps=steps, random_start=False)


@pytest.mark.parametrize("ball", [LINF, L2])
def test_one_step(ball):
    kinds = {LINF: foolbox.attacks.FGSM, L2: foolbox.attacks.FGM}
    one, two = ours(attacks.FGSM(ball, CROSS_ENTROPY), EPS[ball]), theirs(kinds[ball](), EPS[ball])
    alike(ball, one, two)


@pytest.mark.parametrize("ball", [LINF, L2])
def test_many_steps(ball):
    one = ours(attacks.PGD(ball, CROSS_ENTROPY, STEPS, STEP[ball]), EPS[ball])
    alike(ball, one, theirs(peer(ball, STEPS), EPS[ball]))
    assert np.all(loss(one) > loss(X))


def alike(ball, one, two):
    """A sign may differ where a gradient is zero to round-off, and moves one pixel by steps."""
    differ = np.abs(one - two) > 1e-5
    assert np.mean(differ) <= (1e-2 if ball == LINF else 0)
    small = np.abs(gradient(one)) <= 1e-3 * np.abs(gradient(one)).max(axis=(1, 2, 3), keepdims=True)
    assert np.all(small[differ])
    np.testing.assert_allclose(loss(one), loss(two), rtol=0, atol=1e-5)
