"""Kernel regression with a training time for each example, against plain flow, differentiation, and its own loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import adv_ntk, architectures, attacks, balls, gram, infinite, losses, regression

KERNEL = infinite.InfiniteKernel(architectures.fc(1, 1, depth=1, b_std=0.1))
N = 12


def clouds(seed: int, n: int) -> tuple[jax.Array, jax.Array]:
    labels = np.arange(n) % 2
    centers = np.array([[0.3, 0.5, 0.6], [0.6, 0.4, 0.5]])
    X = np.clip(centers[labels] + 0.1 * np.random.default_rng(seed).standard_normal((n, 3)), 0, 1)
    return jnp.asarray(X), jnp.asarray(labels)


@pytest.fixture(scope="module")
def fitted():
    X, labels = clouds(0, N)
    K = gram.matrix(np.asarray(gram.gram(KERNEL, X)))
    return X, K, regression.Spectrum.of(K), jnp.where(labels == 1, 1.0, -1.0)[:, None]


def test_no_time_gives_zero_and_equal_times_give_the_flow(fitted):
    _, _, spectrum, Y = fitted
    assert not np.any(adv_ntk.coefficients(spectrum, Y, jnp.zeros(N)))
    for time in (0.1, 3.0, 1e3):
        found = adv_ntk.coefficients(spectrum, Y, jnp.full(N, time))
        np.testing.assert_allclose(found, spectrum.coefficients(regression.flow(time), Y), rtol=1e-7)


def test_the_flow_and_its_gradient_are_those_of_the_matrix_exponential(fitted):
    _, K, spectrum, Y = fitted
    G = jnp.asarray(np.random.default_rng(1).standard_normal((N, 1)))

    def alpha(w):
        return jnp.linalg.solve(K, Y - jax.scipy.linalg.expm(-K * w[None, :]) @ Y)

    for w in (jnp.zeros(N), jnp.asarray(np.random.default_rng(2).uniform(0, 2, N))):
        np.testing.assert_allclose(adv_ntk.coefficients(spectrum, Y, w), alpha(w), rtol=1e-6, atol=1e-9)
        slope = jax.grad(lambda w: jnp.sum(G * alpha(w)))(w)
        np.testing.assert_allclose(adv_ntk.gradient(spectrum, Y, w, G), slope, rtol=1e-6, atol=1e-9)


def test_a_search_lowers_the_loss_under_attack(fitted):
    X, _, spectrum, Y = fitted
    tests, labels = clouds(5, 8)
    held_out = adv_ntk.HeldOut(tests, labels, jnp.where(labels == 1, 1.0, -1.0)[:, None])
    attack = attacks.FGSM(balls.Linf(), attacks.Objective(losses.cross_entropy))
    eps = jnp.asarray(0.05)

    def searched(steps: int) -> jax.Array:
        return adv_ntk.search(
            KERNEL, X, spectrum, Y, held_out, attack, eps,
            steps=steps, minibatch=8, rate=0.2, key=jax.random.key(0), batch_size=8,
        )  # fmt: skip

    def loss(w) -> float:
        predictor = regression.predictor(KERNEL, X, adv_ntk.coefficients(spectrum, Y, w))
        made = attacks.perturb(attack, predictor, tests, labels, eps[None], key=jax.random.key(1), batch_size=8)[0]
        return float(jnp.mean(jnp.square(attacks.outputs(predictor, made, batch_size=8) - held_out.Y)))

    assert not np.any(searched(0))
    one, many = searched(1), searched(12)
    assert float(jnp.linalg.norm(one)) == pytest.approx(0.2)
    assert np.all(many >= 0)
    assert loss(many) < loss(one) < loss(jnp.zeros(N))
