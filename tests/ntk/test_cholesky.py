"""One solve in place of a spectrum: the same coefficients, and no answer where only a spectrum can tell."""

import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import cholesky, regression
from tests.ntk import shards

AGREED = 1e-8
SINGLE = float(np.finfo(np.float32).eps)
RNG = np.random.default_rng(0)
Y = RNG.standard_normal((40, 2))


def matrix(smallest: float) -> np.ndarray:
    """A positive matrix whose largest eigenvalue is 5; `smallest`: the ratio of the least one to it."""
    basis, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((40, 40)))
    found = (basis * np.geomspace(5, 5 * smallest, 40)) @ basis.T
    return (found + found.T) / 2


@pytest.fixture(params=["host", "device", "shards"])
def place(request):
    return {"host": np.array, "device": jnp.asarray, "shards": shards.placed}[request.param]


def decomposed(K: np.ndarray, ridge: float, precision: float) -> np.ndarray:
    spectrum = regression.Spectrum.of(K, precision)
    regression.require_regular(spectrum, regression.flow(ridge=ridge))
    return np.asarray(spectrum.coefficients(regression.flow(ridge=ridge), jnp.asarray(Y)))


@pytest.mark.parametrize("ridge", [0.0, 1e-6, 0.1, 100.0])
def test_it_agrees_with_the_eigendecomposition(place, ridge):
    K = matrix(1e-4)
    found = regression.solve(place(K), Y, ridge)
    assert found is not None
    expected = decomposed(K, ridge, regression.round_off(K.dtype))
    np.testing.assert_allclose(found, expected, rtol=AGREED, atol=AGREED * np.abs(expected).max())


@pytest.mark.parametrize(("smallest", "ridge", "precision", "known"), [
    (1e-10, 0.0, 2.0**-52, True),
    (1e-13, 0.0, 2.0**-52, False),
    (0.0, 0.0, 2.0**-52, False),
    (0.0, 1e-9, 2.0**-52, False),  # some directions are left out
    (0.0, 1e-3, 2.0**-52, True),  # the ridge hides them
    (1e-2, 0.0, SINGLE, True),
    (1e-6, 0.0, SINGLE, False),
    (1e-6, 1e-5, SINGLE, False),
    (1e-6, 1e-2, SINGLE, True),
])  # fmt: skip
def test_it_answers_only_where_every_eigenvalue_is_known(place, smallest, ridge, precision, known):
    K = matrix(max(smallest, 1e-30))
    given = place(K)
    found = regression.solve(given, Y, ridge, precision)
    assert (found is not None) == known
    if found is None:
        np.testing.assert_array_equal(given, K, "as it was, for the spectrum")
    else:
        expected = decomposed(K, ridge, precision)
        np.testing.assert_allclose(K @ found, K @ expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("at", [(0, 0), (3, 2)])
def test_what_is_not_finite_is_left_to_the_spectrum(place, wrong, at):
    K = matrix(1e-2)
    K[at] = K[at[::-1]] = wrong
    given = place(K)
    assert regression.solve(given, Y, 1.0) is None
    np.testing.assert_array_equal(given, K)


@pytest.mark.parametrize("K", [np.zeros((40, 40)), -np.eye(40)])
def test_what_is_no_kernel_is_left_to_the_spectrum(place, K):
    assert regression.solve(place(K), Y, 2.0) is None


def test_the_factor_takes_the_place_of_the_matrix():
    K = matrix(1e-2)
    before = K.copy()
    assert cholesky.solve(K, Y, least=1e-12) is not None
    assert not np.array_equal(K, before)
