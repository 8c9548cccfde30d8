"""Limits of activations against dense quadrature, over all variances that specs allow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from ntkbench.ntk import gram, infinite
from ntkbench.ntk.activations import Deviation, logistic_scales
from ntkbench.ntk.layers import Dense, Flatten, Sequential
from ntkbench.run.build.networks import ACTIVATIONS
from tests.conftest import EXACT
from tests.ntk.predictors import uniform

QUADRATURE = 1e-9
"""relative to E[f^2], E[f'^2]: the error of the dense rule of these tests"""
SMOOTH = ["erf", "gelu", "tanh", "sigmoid", "softplus", "silu"]


def nodes(q):
    """A trapezoidal rule that sees what happens near 0 and at sqrt(q): u = sinh t, equally spaced in t."""
    t = np.linspace(-1, 1, 2001) * np.arcsinh(9 * np.sqrt(q))
    return np.sinh(t), np.cosh(t) * (t[1] - t[0])


def functions(name):
    """f and f', written down anew."""
    s, phi = special.expit, lambda x: np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    return {
        "erf": (special.erf, lambda x: 2 / np.sqrt(np.pi) * np.exp(-(x**2))),
        "gelu": (lambda x: x * special.ndtr(x), lambda x: special.ndtr(x) + x * phi(x)),
        "tanh": (np.tanh, lambda x: 4 * s(2 * x) * s(-2 * x)),
        "sigmoid": (s, lambda x: s(x) * s(-x)),
        "softplus": (lambda x: np.logaddexp(0, x), s),
        "silu": (lambda x: x * s(x), lambda x: s(x) + x * s(x) * s(-x)),
        "sin": (np.sin, np.cos),
    }[name]


def single(f, q):
    u, du = nodes(q)
    return np.sum(f(u) ** 2 * np.exp(-(u**2) / (2 * q)) * du) / np.sqrt(2 * np.pi * q)


def double(q1, q2, K):
    """(f, g) -> E[f(u) g(v)]."""
    (u, du), (v, dv) = nodes(q1), nodes(q2)
    gap = q1 * q2 - K**2
    density = np.exp(-(q2 * u[:, None] ** 2 - 2 * K * np.outer(u, v) + q1 * v**2) / (2 * gap))
    return lambda f: (f(u) * du) @ density @ (f(v) * dv) / (2 * np.pi * np.sqrt(gap))


def deviation(q):
    return Deviation.of_variance(jnp.asarray(q))


@pytest.mark.parametrize("name", SMOOTH)
def test_one_example_at_every_variance(name):
    q = [1e-6, 0.3, 25.0, 1e4, 1e10]
    found = ACTIVATIONS[name].moments(jnp.asarray(q))
    expected = [[single(f, each) for each in q] for f in functions(name)]
    np.testing.assert_allclose(found, expected, rtol=QUADRATURE)


def test_pairs_at_every_variance():
    pairs = [(1e-6, 1e-6), (0.3, 2.0), (25.0, 4.0), (1e4, 1e4), (1e10, 1e7)]
    q1, q2, c = np.array([(*pair, c) for pair in pairs for c in (-0.7, 0.0, 0.9)]).T
    K = c * np.sqrt(q1 * q2)
    dense = [double(*case) for case in zip(q1, q2, K, strict=True)]
    for name in SMOOTH:
        found = ACTIVATIONS[name].dual(jnp.asarray(K), deviation(q1), deviation(q2))
        for values, f in zip(found, functions(name), strict=True):
            size = [np.sqrt(single(f, a) * single(f, b)) for a, b in zip(q1, q2, strict=True)]
            error = (np.asarray(values) - [integral(f) for integral in dense]) / size
            np.testing.assert_allclose(error, 0, atol=QUADRATURE, err_msg=name)


@pytest.mark.parametrize("correlation", [-1.0, -0.7, 0.0, 0.9, 1.0])
def test_sine(correlation):
    q1, q2 = 2.0, 3.0
    K = correlation * np.sqrt(q1 * q2)
    z, weight = np.polynomial.hermite_e.hermegauss(80)
    u = np.sqrt(q1) * z[:, None]
    v = np.sqrt(q2) * (correlation * z[:, None] + np.sqrt(1 - correlation**2) * z[None])
    expected = [np.sum(np.outer(weight, weight) * f(u) * f(v)) / (2 * np.pi) for f in (np.sin, np.cos)]
    found = ACTIVATIONS["sin"].dual(jnp.asarray(K), deviation(q1), deviation(q2))
    np.testing.assert_allclose(found, expected, rtol=EXACT, atol=1e-15)
    np.testing.assert_allclose(ACTIVATIONS["sin"].moments(jnp.asarray(1e4)), [0.5, 0.5], rtol=EXACT)


@pytest.mark.parametrize("name", [*SMOOTH, "sin"])
def test_second_is_the_derivative_of_the_first(name):
    """Price's theorem, which is also that gradients of kernels are finite."""
    q = jnp.asarray([0.3, 1e8])[:, None]
    K = jnp.asarray([[-0.5, 0.0, 0.99]]) * q
    both = jax.jit(lambda K: ACTIVATIONS[name].dual(K, deviation(q), deviation(2 * q)))
    slope = jax.jvp(lambda K: both(K)[0], (K,), (jnp.ones_like(K),))[1]
    expected = both(K)[1]
    np.testing.assert_allclose(slope, expected, rtol=1e-7)


@pytest.mark.parametrize("name", SMOOTH)
def test_pairs_of_equal_inputs_are_the_diagonal(name):
    """Far in the chaotic regime too, where duplicates must not be made up."""
    act = ACTIVATIONS[name]
    layers = (Flatten(), Dense(1, 8.0, 0.1), act, Dense(1, 8.0, 0.1), act, Dense(1, 8.0, 0.1))
    kernel, X = infinite.InfiniteKernel(Sequential(layers)), uniform(6, 4, 4, 1)
    pairs, itself = (np.asarray(K)[:, 0, :, 0] for K in (gram.gram(kernel, X, X), gram.gram(kernel, X)))
    np.testing.assert_allclose(np.diag(pairs), np.diag(itself), rtol=EXACT)
    assert np.all(pairs < np.sqrt(np.outer(np.diag(itself), np.diag(itself))) * (1 + EXACT))


def test_scales_make_a_logistic_variable():
    """1 / (1 + exp(-x)) = E[Phi(x / s)], at all x; and its moments are those of s."""
    s, share = logistic_scales()
    x = np.linspace(-40, 40, 2001)
    np.testing.assert_allclose(share @ special.ndtr(x / s[:, None]), special.expit(x), atol=1e-12)
    np.testing.assert_allclose([share.sum(), share @ s**2, 3 * share @ s**4], [1, np.pi**2 / 3, 7 * np.pi**4 / 15])
