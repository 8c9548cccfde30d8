"""Kernels against closed forms and finite networks; `test_oracles` compares them with reference arrays."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import architectures, gram, infinite, jacobian, network
from ntkbench.ntk.activations import ReLU, arc_cosine
from ntkbench.ntk.convolution import Conv, GlobalAvgPool
from ntkbench.ntk.layers import Dense, Flatten, Parameterization, Sequential
from tests.conftest import EXACT, STATISTICAL
from tests.ntk.predictors import drawn, uniform


def kernel(depth, width=512, parameterization: Parameterization = "ntk", b_std: float | None = 0.1):
    recipe = architectures.fc(width, 10, depth=depth, b_std=b_std, parameterization=parameterization)
    return infinite.InfiniteKernel(recipe)


def scalar(K):
    return np.asarray(K)[:, 0, :, 0]


@pytest.mark.parametrize("depth", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_diagonal_is_the_closed_form_of_one_example(depth):
    """With W_std^2 = 2 a ReLU layer keeps the variance q, so K = q + depth b^2, and T grows by K and halves no more."""
    X = uniform(4, 3, 3, 2)
    b2 = 0.01
    q = 2 * np.mean(np.square(np.asarray(X).reshape(4, -1)), axis=1) + b2
    ntk = q.copy()
    for _ in range(depth):
        q = q + b2
        ntk = q + ntk
    np.testing.assert_allclose(np.diag(scalar(gram.gram(kernel(depth), X))), ntk, rtol=1e-14)


def test_standard_parameterization_without_bias_has_no_bias_term():
    X = uniform(3, 4, 1, 1)
    K = scalar(gram.gram(kernel(1, parameterization="standard", b_std=None, width=8), X))
    x = np.asarray(X).reshape(3, -1)
    q = np.sum(x**2, axis=1)
    # d/dW2: width * E[relu relu]; d/dW1: W_std^2 / width * width * |x|^2 E[relu' relu']
    np.testing.assert_allclose(np.diag(K), 8 * (2 * q / 4) / 2 + 2 * q / 2, rtol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "parameterization"), [(1, "standard"), (2, "ntk")])
def test_is_the_mean_of_finite_networks(depth, parameterization):
    """One hidden layer: exactly, at any width. More: to order 1/width, below the errors of 64 draws."""
    width, draws = (32, 256) if depth == 1 else (256, 64)
    X = uniform(3, 5, 1, 1)
    recipe = architectures.fc(width, 1, depth=depth, b_std=0.3, parameterization=parameterization)

    initial = jax.jit(lambda key: network.initialize(recipe, X.shape[1:], key=key))
    nets = (network.cast(initial(key), jnp.float64) for key in jax.random.split(jax.random.key(2), draws))
    kernels = np.stack([scalar(gram.gram(jacobian.JacobianKernel(net), X)) for net in nets])
    error = (kernels.mean(0) - scalar(gram.gram(infinite.InfiniteKernel(recipe), X))) / (kernels.std(0) / draws**0.5)
    assert np.max(np.abs(error)) < STATISTICAL


@pytest.mark.slow
def test_nngp_is_the_covariance_of_outputs():
    X = uniform(3, 5, 1, 1)
    recipe = architectures.fc(128, 1, depth=2, b_std=0.3)
    outputs = eqx.filter_jit(lambda net: jax.vmap(net)(X)[:, 0])
    f = np.stack([outputs(drawn(recipe, X.shape[1:], seed)) for seed in range(512)])
    products = f[:, :, None] * f[:, None, :]
    expected = scalar(gram.gram(infinite.InfiniteKernel(recipe, "nngp"), X))
    error = (products.mean(0) - expected) / (products.std(0) / len(f) ** 0.5)
    assert np.max(np.abs(error)) < STATISTICAL


def test_width_does_not_matter_in_the_ntk_parameterization():
    X = uniform(3, 4, 1, 1)
    np.testing.assert_array_equal(gram.gram(kernel(2, width=1), X), gram.gram(kernel(2, width=4096), X))


def test_zero_image_gives_finite_kernels_and_gradients():
    k = kernel(2, b_std=0.0)
    zero, x = jnp.zeros((2, 2, 1)), jnp.ones((2, 2, 1))

    def value(a, b):
        return k.tile(*(gram.examples(k, v[None], 1) for v in (a, b)))[0, 0, 0, 0]

    slope = jax.jit(jax.value_and_grad(value))
    assert slope(zero, x)[0] == 0
    assert np.all(np.isfinite(slope(zero, x)[1]))
    assert np.all(np.isfinite(slope(x, zero)[1]))


@pytest.mark.parametrize("dtype", [pytest.param(jnp.float32, marks=pytest.mark.slow), jnp.float64])
def test_gradient_at_equal_inputs_is_the_mean_of_the_two_slopes(dtype):
    k = kernel(2)
    x = uniform(3, 3, 1, dtype=dtype)
    direction = jnp.asarray(np.random.default_rng(1).standard_normal(x.shape), dtype)

    @jax.jit
    def along(t, x=x, direction=direction):
        return k.tile(*(gram.examples(k, v[None], 1) for v in (x + t * direction, x)))[0, 0, 0, 0]

    slope = jax.jit(jax.grad(along))(jnp.zeros((), dtype))
    assert jnp.isfinite(slope)
    x, direction = x.astype(jnp.float64), direction.astype(jnp.float64)
    h = 1e-4
    one_sided = [(along(s * h, x, direction) - along(0.0, x, direction)) / (s * h) for s in (1, -1)]
    assert abs(one_sided[0] - one_sided[1]) > 0.1, "there is no kink to speak of"
    np.testing.assert_allclose(slope, np.mean(one_sided), rtol=2e-3)


@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float64, marks=pytest.mark.slow)])
def test_pairs_of_equal_inputs_are_the_diagonal(dtype):
    """An angle of round-off, sqrt(2 ulp), would show in the eighth digit, and hide duplicates from whoever inverts."""
    k, X = kernel(4), uniform(50, 4, 4, 1, dtype=dtype)
    pairs = np.diag(scalar(gram.gram(k, X, X)))
    np.testing.assert_allclose(pairs, np.diag(scalar(gram.gram(k, X))), rtol=20 * np.finfo(dtype).eps)


def test_arc_cosine_derivatives_are_finite_on_all_of_the_interval():
    c = jnp.array([-1.0, -1 + 1e-12, -0.3, 0.0, 0.9, 1 - 1e-12, 1 - 1e-16, 1.0])
    first, zeroth = jax.jit(jax.vmap(jax.jacfwd(arc_cosine)))(c)
    assert np.all(np.isfinite(first))
    assert np.all(np.isfinite(zeroth))
    np.testing.assert_allclose(first, arc_cosine(c)[1], rtol=EXACT)
    np.testing.assert_allclose(zeroth[2:5], 1 / (2 * np.pi * np.sqrt(1 - np.asarray(c[2:5]) ** 2)), rtol=EXACT)


def test_float32_is_near_float64():
    X = uniform(6, 8, 8, 3)
    double, single = (scalar(gram.gram(kernel(3), X.astype(dtype))) for dtype in (jnp.float64, jnp.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, rtol=3e-6)


@pytest.mark.parametrize("head", [Flatten(), pytest.param(GlobalAvgPool(), marks=pytest.mark.slow)])
def test_float32_is_near_float64_on_images_of_usual_size(head):
    """Compilers err by shape: a fused sum over channels was off by 20 % at 32 x 32 alone."""
    conv = Conv(1, W_std=2**0.5, b_std=0.1)
    k = infinite.InfiniteKernel(Sequential((conv, ReLU(), conv, ReLU(), head, Dense(1))))
    X = uniform(6 if isinstance(head, Flatten) else 2, 32, 32, 3)
    double, single = (scalar(gram.gram(k, X.astype(dtype))) for dtype in (jnp.float64, jnp.float32))
    np.testing.assert_allclose(single, double, rtol=3e-6)


def test_kernel_is_compiled_once_for_equal_recipes():
    count = 0

    @eqx.filter_jit
    def traced(k, x):
        nonlocal count
        count += 1
        return k.diagonal(jax.vmap(k.example)(x))

    X = jnp.ones((2, 2, 1, 1))
    traced(kernel(2), X)
    traced(kernel(2), X)
    assert count == 1
