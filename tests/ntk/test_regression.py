"""Filters of one spectrum: against reference predictions, and against each other."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.errors import NumericsError
from ntkbench.ntk import architectures, gram, infinite, regression
from tests.conftest import EXACT, ITERATIVE
from tests.ntk.predictors import uniform

COINCIDENT = 1e-7
"""relative; the error of the reference where two inputs are the same"""
KERNEL = infinite.InfiniteKernel(architectures.fc(1, 3, depth=2, b_std=0.1))


@eqx.filter_jit
def outputs(predictor, x):
    return jax.vmap(predictor)(x)


@pytest.fixture
def fitted(oracle):
    o = oracle("predict_mse_fc2")
    X, Y = jnp.asarray(o["x_train"]), jnp.asarray(o["y_train"])
    spectrum = regression.Spectrum.of(gram.matrix(np.asarray(gram.gram(KERNEL, X))))

    def predict(g, x=o["x_test"]):
        return outputs(regression.predictor(KERNEL, X, spectrum.coefficients(g, Y)), jnp.asarray(x))

    return o, spectrum, predict


def test_eigenvalues_descend(fitted):
    o, spectrum, _ = fitted
    assert np.all(np.diff(spectrum.eigenvalues) <= 0)
    V, values = spectrum.eigenvectors, spectrum.eigenvalues
    np.testing.assert_allclose(V @ np.diag(values) @ V.T, o["k_train_train"], rtol=COINCIDENT)


def test_infinite_time(fitted):
    o, _, predict = fitted
    np.testing.assert_allclose(predict(regression.flow()), o["reg0_zero_test_inf"], atol=ITERATIVE)


def test_finite_times(fitted):
    """The reference's loss is a mean over all n c entries: its time is n c times ours."""
    o, _, predict = fitted
    for i, t in enumerate(o["t"]):
        found = predict(regression.flow(float(t) / o["y_train"].size))
        np.testing.assert_allclose(found, o["reg0_zero_test"][i], atol=ITERATIVE, err_msg=f"t = {t}")


def test_ridge(fitted):
    """The reference's ridge is relative to the mean eigenvalue."""
    o, _, predict = fitted
    ridge = 1e-3 * np.trace(o["k_train_train"]) / len(o["k_train_train"])
    np.testing.assert_allclose(predict(regression.flow(ridge=ridge)), o["reg0.001_zero_test_inf"], atol=ITERATIVE)
    for i, t in enumerate(o["t"]):
        found = predict(regression.flow(float(t) / o["y_train"].size, ridge))
        np.testing.assert_allclose(found, o["reg0.001_zero_test"][i], atol=ITERATIVE, err_msg=f"t = {t}")


def test_infinite_time_interpolates(fitted):
    o, _, predict = fitted
    np.testing.assert_allclose(predict(regression.flow(), o["x_train"]), o["y_train"], atol=ITERATIVE)


def test_features_sum_to_the_predictor(fitted):
    _, spectrum, predict = fitted
    n = spectrum.eigenvalues.size
    single = sum(predict(regression.features(jnp.arange(n) == i)) for i in range(n))
    np.testing.assert_allclose(single, predict(regression.flow()), rtol=EXACT, atol=EXACT)


def test_flow_is_a_weighted_sum_of_features(fitted):
    """f_t = sum_i (1 - exp(-lambda_i t)) f^(i)."""
    _, spectrum, predict = fitted
    t = 0.3
    values = spectrum.eigenvalues
    parts = [
        (1 - np.exp(-v * t)) * predict(regression.features(jnp.arange(values.size) == i)) for i, v in enumerate(values)
    ]
    np.testing.assert_allclose(sum(parts), predict(regression.flow(t)), rtol=EXACT, atol=EXACT)


def test_zero_eigenvalue_at_finite_time_is_its_limit():
    g = regression.flow(2.0)(jnp.array([1.0, 1e-14, 0.0]))
    np.testing.assert_allclose(g, [1 - np.exp(-2.0), 2.0, 2.0], rtol=1e-12)


def test_duplicates_are_refused_with_what_to_do():
    X = uniform(5, 3, 1, 1)
    K = gram.matrix(np.asarray(gram.gram(KERNEL, jnp.concatenate([X, X[:2]]))))
    spectrum = regression.Spectrum.of(K)
    with pytest.raises(NumericsError, match=r"2 of its 7 eigenvalues .* Duplicate examples"):
        regression.require_regular(spectrum)
    regression.require_regular(spectrum, regression.flow(ridge=1e-3))


def singular(rank=3, n=20, dtype=np.float64):
    """A kernel of fewer directions than examples, <x, x'>, and what the pseudo-inverse of its factor makes of it."""
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((n, rank)), rng.standard_normal((n, 1))
    x = rng.standard_normal((5, rank))
    spectrum = regression.Spectrum.of((X @ X.T).astype(dtype))

    def exact(time, ridge=0.0):
        U, s, Vt = np.linalg.svd(X, full_matrices=False)
        rate = s**2 + ridge
        return (x @ Vt.T) @ (s * (-np.expm1(-rate * time)) / rate * (U.T @ Y)[:, 0])

    return spectrum, lambda g: (x @ X.T @ np.asarray(spectrum.coefficients(g, jnp.asarray(Y))))[:, 0], exact


@pytest.mark.parametrize("time", [1e-3, 1.0, 1e3, 1e6, 1e10, 1e12, 1e13, 1e14, 1e15, 1e20, 1e30, np.inf])
@pytest.mark.parametrize("ridge", [0.0, 1e-30, 1e-14, 1e-9, 1e-3])
def test_flow_on_a_singular_kernel_is_that_of_the_pseudo_inverse(time, ridge):
    """Nothing grows along what round-off made up, and negative eigenvalues are no exception."""
    spectrum, predict, exact = singular()
    assert spectrum.eigenvalues[-1] < 0, "round-off of both signs"
    np.testing.assert_allclose(predict(regression.flow(time, ridge)), exact(time, ridge), rtol=1e-7)


def test_float32_is_judged_by_its_own_round_off():
    """An eigenvalue of 1e-6 of the largest is none in float32, but one in float64."""
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    matrix = (basis * np.array([1, 0.5, 0.1, 1e-2, 1e-3, 1e-6])) @ basis.T
    double, single = (regression.Spectrum.of(matrix.astype(dtype)) for dtype in (np.float64, np.float32))
    regression.require_regular(double)
    with pytest.raises(NumericsError, match=r"singular in float32: 1 of its 6 .* numerics.kernel: float64"):
        regression.require_regular(single)
    regression.require_regular(single, regression.flow(time=1e4))
    with pytest.raises(NumericsError, match="singular in float32"):
        regression.require_regular(single, regression.flow(time=1e6))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_floor_is_above_the_round_off_of_the_matrix(dtype):
    X = uniform(30, 3, 1, 1)
    linear = infinite.InfiniteKernel(architectures.fc(1, 1, depth=3, b_std=0.1))
    exact, found = (gram.matrix(np.asarray(gram.gram(linear, X.astype(d)))) for d in (np.float64, dtype))
    spectrum = regression.Spectrum.of(found)
    assert np.linalg.norm(found - exact, 2) < 0.1 * spectrum.floor


@pytest.mark.parametrize(("matrix", "message"), [
    (np.full((3, 3), np.nan), "not finite"),
    (np.diag([1.0, np.inf, 1.0]), "not finite"),
    (np.zeros((3, 3)), "the kernel is zero"),
    (-np.eye(3), "largest eigenvalue is -1"),
])  # fmt: skip
def test_what_is_no_kernel_is_refused(matrix, message):
    spectrum = regression.Spectrum.of(matrix)
    with pytest.raises(NumericsError, match=message):
        regression.require_sound(spectrum)


def test_comparisons_with_nan_refuse():
    with pytest.raises(NumericsError, match="3 of its 3"):
        regression.require_regular(regression.Spectrum(jnp.full(3, jnp.nan), jnp.eye(3)))


def test_float32_matrices_are_decomposed_in_float64():
    spectrum = regression.Spectrum.of(np.eye(3, dtype=np.float32))
    assert spectrum.eigenvalues.dtype == jnp.float64
