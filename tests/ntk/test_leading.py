"""The first eigenpairs alone: those of the full decomposition, or no answer."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import leading, regression

N, K = 800, 20
AGREED = 1e-8
PLACE = np.arange(1, N + 1.0)


def matrix(values: np.ndarray) -> np.ndarray:
    """A symmetric matrix with these eigenvalues."""
    basis, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((len(values), len(values))))
    found = (basis * values) @ basis.T
    return (found + found.T) / 2


def clustered() -> np.ndarray:
    """Six equal eigenvalues, three that differ in round-off, and two that are the last asked for and the next."""
    values = PLACE**-2
    values[3:9], values[9:12], values[19:21] = values[3], values[9] * (1 - 1e-14 * np.arange(3)), values[19]
    return values


def spaces(values: np.ndarray) -> list[slice]:
    """The eigenspaces of the first eigenvalues that stand apart from what follows: equal ones are taken together."""
    ends = [0, *(i + 1 for i in range(K) if values[i] - values[i + 1] > 1e-6 * values[i])]
    return [slice(*pair) for pair in itertools.pairwise(ends)]


@pytest.mark.parametrize("values", [PLACE**-2, 0.9**PLACE, clustered()], ids=["power", "geometric", "clusters"])
@pytest.mark.parametrize("place", [np.asarray, jnp.asarray], ids=["host", "device"])
def test_they_are_those_of_the_full_decomposition(values: np.ndarray, place):
    of = matrix(values)
    full, found = regression.Spectrum.of(of), leading.pairs(place(of), K)
    assert found is not None
    np.testing.assert_allclose(found[0], full.eigenvalues[:K], rtol=AGREED)
    for space in spaces(values):
        mine, theirs = found[1][:, space], np.asarray(full.eigenvectors[:, space])
        np.testing.assert_allclose(mine @ mine.T, theirs @ theirs.T, atol=AGREED)
    assert leading.is_sound(of, *found)


def test_they_are_the_same_bits_again():
    of = matrix(PLACE**-2)
    one, two = leading.pairs(of, K), leading.pairs(of.copy(), K)
    assert one is not None
    assert two is not None
    for mine, theirs in zip(one, two, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_an_eigenvalue_that_comes_sixty_times_is_not_missed():
    """One vector finds one of sixty equal ones, and round-off the others; else there is no answer."""
    of = matrix(np.where(PLACE <= 60, 1, PLACE**-2.0))
    found = leading.pairs(of, 40)
    if found is not None:
        np.testing.assert_allclose(found[0], 1, rtol=AGREED)
        assert leading.is_sound(of, *found)


@pytest.mark.parametrize("worst", ["a vector", "a value", "a length", "one is left out"])
def test_what_fails_the_check_is_no_answer(worst: str, monkeypatch: pytest.MonkeyPatch):
    of, right = matrix(PLACE**-2), leading._converged

    def wrong(matrix, k, start):
        values, vectors = right(matrix, k + 1, start)
        if worst == "one is left out":
            return np.delete(values, 3), np.delete(vectors, 3, axis=1)
        values, vectors = values[:k], vectors[:, :k]
        if worst == "a vector":
            vectors[:, K - 1] += 1e-9 * vectors[:, 0]
        elif worst == "a value":
            values[K - 1] += 1e-11
        else:
            vectors[:, 0] *= 1 + 1e-11
        return values, vectors

    assert leading.pairs(of, K) is not None
    monkeypatch.setattr(leading, "_converged", wrong)
    assert leading.pairs(of, K) is None
    assert regression.Spectrum.leading(of, K) is None
    np.testing.assert_array_equal(of, matrix(PLACE**-2), "as it was, for the full decomposition")


@pytest.mark.parametrize("entry", [np.nan, np.inf])
def test_a_matrix_that_is_not_finite_has_no_answer(entry: float):
    of = matrix(PLACE**-2)
    of[3, 3] = entry
    assert leading.pairs(of, K) is None


def test_too_many_products_are_no_answer():
    """Eigenvalues that hardly fall: n / 2 products are not enough."""
    assert leading.pairs(matrix(2 - 1e-3 * PLACE / N), K) is None


@pytest.mark.parametrize("smallest", [1e-8, 1e-14, 0.0])
def test_a_kernel_that_may_be_singular_is_left_to_all_of_its_eigenvalues(smallest: float):
    values = np.maximum(0.9**PLACE, smallest)
    values[-1] = smallest
    found = regression.Spectrum.leading(matrix(values), K)
    assert (found is not None) == (smallest > 1e-12)


def test_a_float32_kernel_is_judged_by_its_own_round_off():
    single = regression.round_off(np.float32)
    of = matrix(np.maximum(0.8**PLACE, 1e-2)).astype(np.float32)
    full = regression.Spectrum.of(of)
    found = regression.Spectrum.leading(of.astype(float), K, single)
    assert found is not None
    assert (found.precision, found.eigenvectors.shape) == (full.precision, (N, K))
    np.testing.assert_allclose(found.eigenvalues, full.eigenvalues[:K], rtol=AGREED)
    np.testing.assert_allclose(found.floor, full.floor, rtol=AGREED)
    assert regression.Spectrum.leading(matrix(np.maximum(0.8**PLACE, 1e-7)), K, single) is None
