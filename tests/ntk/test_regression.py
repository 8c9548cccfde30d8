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
    regression.require_regular(spectrum, ridge=1e-3)


def test_float32_matrices_are_decomposed_in_float64():
    spectrum = regression.Spectrum.of(np.eye(3, dtype=np.float32))
    assert spectrum.eigenvalues.dtype == jnp.float64
