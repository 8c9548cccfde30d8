"""The first k eigenpairs of a large matrix, where nobody asks for the others: block Lanczos, and a check of its answer.

A full decomposition takes some 12 n^3 operations and several matrices. Here an orthonormal basis Q of the space

    span {B, K B, K^2 B, ...},    B a random block of vectors,

grows by a block at a time until the first k eigenpairs (lambda, u) of Q^T K Q give small residuals of (lambda, Q u).
Nearly all of the work is in products of matrices. ARPACK (`scipy.sparse.linalg.eigsh`) does the same with one vector in
the place of a block: it takes fewer products, but reads the whole matrix from memory for each of them; see
`benchmarks/leading.py`.

    values, vectors = pairs(K, 200)      # None where they do not pass the check

The block is drawn from a fixed seed, so that the same machine finds the same bits again.
"""

from collections.abc import Iterator
from itertools import islice

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.linalg import eigh

TOLERANCE = 1e-12
"""the largest residual |K v - lambda v| that passes, in units of the largest eigenvalue, and the largest |v . w|"""
_AIM = 1e-14
"""residual by the recurrence at which the basis is large enough, in units of the largest eigenvalue"""
_COLUMNS = 32
"""columns of a block: with fewer, products wait for memory; with more, the basis that is needed has more columns"""
_GROWTH = 1.2
"""factor by which the basis grows from one look at its eigenpairs to the next"""
_LOOK = 6
"""blocks in which the rest of the matrix is searched for a larger eigenvalue than the last that was found"""

Pairs = tuple[Float[np.ndarray, " k"], Float[np.ndarray, "n k"]]
"""eigenvalues in descending order, and eigenvectors as columns"""


def pairs(K: Float[np.ndarray, "n n"] | Float[Array, "n n"], k: int) -> Pairs | None:
    """Return the first k eigenpairs of a symmetric matrix, the largest eigenvalue first; None if they fail the check.

    Residuals and orthogonality are checked (`TOLERANCE`), and that a new random block, orthogonal to what was found,
    leads to no larger eigenvalue: one block finds an eigenvalue at most as often as it has columns. A NumPy matrix has
    to be float64; a JAX matrix stays on its device, and products are taken there in float64. Neither is changed. Memory
    beyond the matrix: the basis, of a few times k columns and at most n / 2.
    """
    n, draw = len(K), np.random.default_rng(0)
    columns = max(1, min(_COLUMNS, n // 25))
    K = K if isinstance(K, np.ndarray) else jnp.asarray(K, jnp.float64)
    with np.errstate(all="ignore"):  # a matrix that is not finite leads to None
        found = _converged(K, k, draw.standard_normal((n, columns)))
        if found is None or not is_sound(K, *found):
            return None
        values, vectors = found
        left = _largest_left(K, vectors, draw.standard_normal((n, columns)))
        return found if left <= values[-1] + TOLERANCE * values[0] else None


def is_sound(K: Float[np.ndarray, "n n"] | Float[Array, "n n"], values: np.ndarray, vectors: np.ndarray) -> bool:
    """Return whether these are eigenpairs of K, with orthonormal vectors, up to `TOLERANCE`."""
    residuals = np.linalg.norm(_product(K, vectors) - vectors * values, axis=0)
    crossed = np.abs(vectors.T @ vectors - np.eye(len(values)))
    return bool(residuals.max() <= TOLERANCE * values[0] and crossed.max() <= TOLERANCE)


def _converged(K, k, block) -> Pairs | None:
    """Return the first k Ritz pairs of the first basis in which their residuals are small; None if none is."""
    due = 2 * k
    for basis, projected, left in _growing(K, block, np.empty((len(K), 0))):
        m, b = len(projected), len(left)
        if not np.all(np.isfinite(left)):
            return None
        if m >= due:
            values, U = eigh(projected, subset_by_index=(m - k, m - 1))
            if np.linalg.norm(left @ U[-b:], axis=0).max() <= _AIM * values[-1]:
                return values[::-1].copy(), basis @ U[:, ::-1]
            due = _GROWTH * m
    return None


def _largest_left(K, vectors, block) -> float:
    """Return the largest Ritz value, a lower bound of an eigenvalue, in a few blocks orthogonal to `vectors`."""
    *_, (_, projected, _) = islice(_growing(K, block, vectors), _LOOK)
    last = len(projected) - 1
    return float(eigh(projected, eigvals_only=True, subset_by_index=(last, last))[0])


def _growing(K, block, apart) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Grow a Krylov space orthogonal to the columns of `apart`, one block at a time, up to n / 2 columns.

    Yield an orthonormal basis Q (n, m), Q^T K Q, and the factor R (b, b) of what K leads to outside of it: the norm of
    K Q u - Q (Q^T K Q) u is that of R times the last b entries of u.
    """
    n, b, a = *block.shape, apart.shape[1]
    basis, projected = np.empty((n, a + n // 2 + b), order="F"), np.zeros((n // 2 + b, n // 2 + b))
    basis[:, :a] = apart
    new, _, _ = _orthonormal(block, apart)
    for m in range(b, n // 2 + b, b):
        basis[:, a + m - b : a + m] = new
        new, inside, left = _orthonormal(_product(K, new), basis[:, : a + m])
        projected[:m, m - b : m] = inside[a:]
        projected[m - b : m, :m] = inside[a:].T
        yield basis[:, a : a + m], projected[:m, :m], left


def _orthonormal(W, basis) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Q, C and R with W = basis C + Q R, where the columns of Q are orthonormal, and orthogonal to `basis`.

    Projected out twice: the first time leaves round-off, which is large beside columns that are nearly in the basis.
    """
    first = basis.T @ W
    Q, R = np.linalg.qr(W - basis @ first)
    second = basis.T @ Q
    Q, S = np.linalg.qr(Q - basis @ second)
    return Q, first + second @ R, S @ R


def _product(K, block) -> np.ndarray:
    return np.asarray(K @ block)
