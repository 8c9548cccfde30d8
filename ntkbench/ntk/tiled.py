"""Solve with a symmetric positive definite matrix that may be larger than memory, one square tile after the other.

The lower half of the matrix, and that of its Cholesky factor, lie in tiles that the caller keeps, on a disk for
example. A tile of the factor follows from those before it (Golub & Van Loan 2013, algorithm 4.2.1, by blocks):

    L[i, j] = (K[i, j] - sum_{k < j} L[i, k] L[j, k]^T) L[j, j]^-T,    L[j, j] the Cholesky factor of the same at i = j.

A caller that keeps finished tiles therefore continues where a killed process stopped. In memory are a row of the
factor and a few tiles, n * rows numbers or so; every number is float64.

    K = Tiles(n, rows, get)               # get(i, j) gives a tile of the matrix, i >= j
    alpha = solve(K, factor, Y, ridge=0.0, least=1e-12)
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Array, Float
from scipy.linalg import get_lapack_funcs, solve_triangular

from ntkbench.ntk import gram
from ntkbench.ntk.cholesky import is_known, lowest
from ntkbench.ntk.gram import Kernel

Get = Callable[[int, int], Float[np.ndarray, "r1 r2"]]
"""the tile in row i and column j of tiles, i >= j"""


class NotPositiveError(ArithmeticError):
    """A matrix has no Cholesky factor: an eigenvalue is negative, or zero to round-off."""


@dataclass(frozen=True)
class Tiles:
    """The lower half of a square matrix of `n` rows in tiles of `rows` rows and columns; the last ones may be smaller.

    `get` returns a tile, of which the caller may keep a copy; what it returns must not be changed.
    """

    n: int
    rows: int
    get: Get

    @property
    def blocks(self) -> list[slice]:
        """Return the rows of each row of tiles."""
        return [slice(start, min(start + self.rows, self.n)) for start in range(0, self.n, self.rows)]

    @property
    def places(self) -> Iterator[tuple[int, int]]:
        """Yield row and column of each tile, columns one after the other, as the factor needs them."""
        count = len(self.blocks)
        yield from ((i, j) for j in range(count) for i in range(j, count))


def tile(
    kernel: Kernel, X: Float[Array, "n ..."], rows: int, i: int, j: int, *, tile_bytes: float
) -> Float[np.ndarray, "r1 r2"]:
    """Return the tile in row i and column j of Theta(X, X), for a kernel that is a multiple of the identity.

    A last tile that is smaller is cut out of one of `rows` rows that ends where the matrix does: all have one shape,
    and one compiled program.
    """
    n, rows = len(X), min(rows, len(X))
    a, b = (min(block * rows, n - rows) for block in (i, j))
    found = gram.gram(kernel, X[a : a + rows], None if i == j else X[b : b + rows], tile_bytes=tile_bytes)
    return np.ascontiguousarray(gram.matrix(np.asarray(found))[i * rows - a :, j * rows - b :])


def whole(K: Tiles, dtype: np.dtype) -> Float[np.ndarray, "n n"]:
    """Return the symmetric matrix of these tiles in the memory of one matrix."""
    blocks, found = K.blocks, np.empty((K.n, K.n), dtype)
    for i, j in K.places:
        part = K.get(i, j)
        found[blocks[i], blocks[j]] = part
        found[blocks[j], blocks[i]] = part.T
    return found


def solve(
    K: Tiles, factor: Callable[[Get], Tiles], Y: Float[np.ndarray, "n m"], *, ridge: float = 0.0, least: float
) -> Float[np.ndarray, "n m"] | None:
    """Return (K + ridge)^-1 Y; None where some eigenvalue of K may be below `least` times the largest one.

    The contract is that of `cholesky.solve`.

    Args:
        K: the matrix.
        factor: a function that turns one which computes a tile of the factor into the tiles of the factor, and so
            decides where finished ones are kept. It is asked for tiles in the order of `Tiles.places`.
        Y: the targets.
        ridge: a number that is added to the diagonal.
        least: the share of the largest eigenvalue below which one is round-off.
    """
    largest, norm = _scale(K, ridge)
    if not (largest > 0 and np.isfinite(norm)):
        return None
    rows_of_factor = _FactorRow()
    L = factor(lambda i, j: _factored(K, L, rows_of_factor, ridge, i, j))
    try:
        for i, j in L.places:
            L.get(i, j)
    except NotPositiveError:
        return None
    rows_of_factor.clear()

    def inverse(columns):
        return _solved(L, columns)

    return inverse(Y) if is_known(norm, lowest(K.n, inverse), ridge, least) else None


def _scale(K, ridge):
    """Return the largest entry of the diagonal of K, and the 1-norm of K + ridge, for a ridge that is not negative."""
    sums, diagonal, blocks = np.zeros(K.n), np.empty(K.n), K.blocks
    for i, j in K.places:
        part = K.get(i, j)
        sizes = np.abs(part, dtype=np.float64)
        sums[blocks[j]] += sizes.sum(0)
        if i == j:
            diagonal[blocks[j]] = part.diagonal()
        else:
            sums[blocks[i]] += sizes.sum(1)
    return float(diagonal.max()), float((sums - np.abs(diagonal) + np.abs(diagonal + ridge)).max())


class _FactorRow(dict[int, list[np.ndarray]]):
    """Tiles of one row of a factor up to its diagonal, which all tiles of a column need."""

    def of(self, L: Tiles, j: int) -> list[np.ndarray]:
        """Return the tiles of row j before the diagonal; those of other rows make room."""
        if j not in self:
            self.clear()
            self[j] = [L.get(j, k) for k in range(j)]
        return self[j]


def _factored(K, L, rows, ridge, i, j):
    """Return a tile of the factor from the tile of the matrix and the tiles of the factor before it."""
    left = np.array(K.get(i, j), np.float64)
    for k, other in enumerate(rows.of(L, j)):
        left -= (other if i == j else L.get(i, k)) @ other.T
    if i > j:
        return np.ascontiguousarray(solve_triangular(L.get(j, j), left.T, lower=True, check_finite=False).T)
    left.reshape(-1)[:: len(left) + 1] += ridge
    (potrf,) = get_lapack_funcs(("potrf",), (left,))
    found, failed = potrf(left, lower=1, clean=1)
    if failed or not np.isfinite(found[-1, -1]):
        raise NotPositiveError(f"no pivot in rows {j * K.rows} to {j * K.rows + len(left) - 1}")
    return np.ascontiguousarray(found)


def _solved(L, Y):
    """Return (L L^T)^-1 Y by forward and backward substitution, with one pass over the tiles for each."""
    found, blocks = np.array(Y, np.float64), L.blocks
    for i, rows in enumerate(blocks):
        for j in range(i):
            found[rows] -= L.get(i, j) @ found[blocks[j]]
        found[rows] = solve_triangular(L.get(i, i), found[rows], lower=True, check_finite=False)
    for j in reversed(range(len(blocks))):
        for i in range(j + 1, len(blocks)):
            found[blocks[j]] -= L.get(i, j).T @ found[blocks[i]]
        found[blocks[j]] = solve_triangular(L.get(j, j), found[blocks[j]], lower=True, trans=1, check_finite=False)
    return found
