"""A matrix in tiles is solved as it is in one piece, and each tile of its factor is computed once."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import architectures, cholesky, gram, infinite, regression, tiled
from tests.ntk.test_cholesky import SINGLE, Y, matrix

N = 40
DOUBLE = 2.0**-52


class Kept:
    """Tiles in memory, which notes those that were computed, in order."""

    def __init__(self, rows: int):
        self.rows, self.made, self._there = rows, list[tuple[int, int]](), dict[tuple[int, int], np.ndarray]()

    def tiles(self, make: tiled.Get) -> tiled.Tiles:
        """Return tiles that are computed by `make` when they are asked for the first time."""

        def get(i: int, j: int) -> np.ndarray:
            if (i, j) not in self._there:
                found = make(i, j)
                self.made.append((i, j))
                found.setflags(write=False)
                self._there[i, j] = found
            return self._there[i, j]

        return tiled.Tiles(N, self.rows, get)


def cut(K: np.ndarray, rows: int) -> tiled.Tiles:
    """Return a matrix in tiles."""

    def get(i: int, j: int) -> np.ndarray:
        return np.array(K[i * rows : (i + 1) * rows, j * rows : (j + 1) * rows])

    return Kept(rows).tiles(get)


@pytest.fixture(params=[1, 7, 16, 39, 40, 41])
def rows(request) -> int:
    return request.param


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_it_agrees_with_a_solve_in_memory(rows: int, ridge: float):
    K, factor = matrix(1e-6), Kept(rows)
    found = tiled.solve(cut(K, rows), factor.tiles, Y, ridge=ridge, least=1e-13)
    expected = cholesky.solve(K.copy(), Y, ridge=ridge, least=1e-13)
    assert found is not None
    assert expected is not None
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
    assert factor.made == list(cut(K, rows).places), "each once, columns one after the other"


def test_a_factor_that_is_there_is_not_computed_again():
    K, factor = cut(matrix(1e-4), 9), Kept(9)
    first = tiled.solve(K, factor.tiles, Y, least=1e-13)
    factor.made.clear()
    again = tiled.solve(K, factor.tiles, Y, least=1e-13)
    assert factor.made == []
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(("smallest", "ridge", "precision"), [
    (1e-10, 0.0, DOUBLE),
    (1e-13, 0.0, DOUBLE),
    (1e-30, 0.0, DOUBLE),
    (1e-30, 1e-9, DOUBLE),
    (1e-30, 1e-3, DOUBLE),
    (1e-2, 0.0, SINGLE),
    (1e-6, 0.0, SINGLE),
    (1e-6, 1e-5, SINGLE),
    (1e-6, 1e-2, SINGLE),
])  # fmt: skip
def test_it_refuses_what_a_solve_in_memory_refuses(smallest: float, ridge: float, precision: float):
    K = matrix(smallest)
    found = regression.solve_in_tiles(cut(K, 11), Kept(11).tiles, Y, ridge, precision)
    assert (found is None) == (regression.solve(K.copy(), Y, ridge, precision) is None)


@pytest.mark.parametrize("entry", [np.nan, np.inf, 0.0])
def test_a_matrix_that_is_not_finite_or_zero_has_no_answer(entry: float):
    K = matrix(0.1) if entry else np.zeros((N, N))
    K[30, 3] = K[3, 30] = entry
    assert tiled.solve(cut(K, 9), Kept(9).tiles, Y, least=1e-12) is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tiles_of_a_kernel_are_those_of_its_matrix(rows: int, dtype: str):
    kernel = infinite.InfiniteKernel(architectures.fc(1, 1, depth=1, b_std=0.1))
    X = jnp.asarray(np.random.default_rng(0).random((N, 5, 5, 1)), dtype)

    def get(i: int, j: int) -> np.ndarray:
        return tiled.tile(kernel, X, rows, i, j, tile_bytes=1e6)

    K = tiled.Tiles(N, rows, get)
    found = tiled.whole(K, np.dtype(dtype))
    np.testing.assert_allclose(
        found, gram.matrix(np.asarray(gram.gram(kernel, X))), rtol=4 * float(jnp.finfo(dtype).eps)
    )
    np.testing.assert_array_equal(found, found.T)
    blocks = K.blocks
    for i, j in K.places:
        assert K.get(i, j).shape == (blocks[i].stop - blocks[i].start, blocks[j].stop - blocks[j].start)
        assert K.get(i, j).dtype == dtype


def test_places_cover_the_lower_half_once(rows: int):
    K: Callable[..., tiled.Tiles] = Kept(rows).tiles
    seen = np.zeros((N, N))
    tiles = K(lambda i, j: np.zeros(0))
    for i, j in tiles.places:
        seen[tiles.blocks[i], tiles.blocks[j]] += 1
    assert (seen[np.tril_indices(N)] == 1).all()
