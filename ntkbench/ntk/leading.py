"""The first k eigenpairs of a large matrix, where nobody asks for the others: ARPACK, and a check of its answer.

A full decomposition takes some 12 n^3 operations and several matrices. ARPACK takes a few hundred products of the
matrix with a vector, and a basis of 2 k vectors.

    values, vectors = pairs(K, 200)      # None where they do not pass the check

The first vector is drawn from a fixed seed, so that the same machine finds the same bits again.
"""

import numpy as np
from jaxtyping import Float
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from ntkbench.ntk.sharded import Matrix

TOLERANCE = 1e-12
"""the largest residual |K v - lambda v| that passes, in units of the largest eigenvalue, and the largest |v . w|"""
_SEARCH = 1e-6
"""relative residual to which the largest eigenvalue of what is left is known"""

Pairs = tuple[Float[np.ndarray, " k"], Float[np.ndarray, "n k"]]
"""eigenvalues in descending order, and eigenvectors as columns"""


def pairs(K: Matrix, k: int) -> Pairs | None:
    """Return the first k eigenpairs of a symmetric matrix, the largest eigenvalue first; None if they fail the check.

    Residuals and orthogonality are checked (`TOLERANCE`), and that no eigenvalue of what is left, K less the part that
    was found, is larger: Lanczos finds equal eigenvalues one after another, by round-off. The matrix is float64; a JAX
    matrix stays on its device or devices. It is not changed. Memory beyond the matrix: about 3 k vectors.
    """
    n, draw = len(K), np.random.default_rng(0)
    start = draw.standard_normal(n)
    if not np.all(np.isfinite(_product(K, start))):
        return None
    try:
        values, vectors = _converged(K, k, start)
        if not is_sound(K, values, vectors):
            return None
        left = _largest_left(K, vectors, draw.standard_normal(n))
    except ArpackError:  # no convergence, or no vector to begin with
        return None
    return (values, vectors) if left <= values[-1] + TOLERANCE * values[0] else None


def is_sound(K: Matrix, values: np.ndarray, vectors: np.ndarray) -> bool:
    """Return whether these are eigenpairs of K, with orthonormal vectors, up to `TOLERANCE`."""
    residuals = np.linalg.norm(_product(K, vectors) - vectors * values, axis=0)
    crossed = np.abs(vectors.T @ vectors - np.eye(len(values)))
    return bool(residuals.max() <= TOLERANCE * values[0] and crossed.max() <= TOLERANCE)


def _converged(K, k, start) -> Pairs:
    """Return the first k Ritz pairs, to round-off; ArpackError if they take more than about n / 2 products."""
    n = len(K)
    operator = LinearOperator((n, n), matvec=lambda v: _product(K, v), dtype=np.float64)  # type: ignore[call-arg]
    values, vectors = eigsh(operator, k, which="LA", v0=start, maxiter=max(2, n // (2 * k)))
    return values[::-1].copy(), vectors[:, ::-1]


def _largest_left(K, vectors, start) -> float:
    """Return the largest eigenvalue of K on what is orthogonal to the columns of `vectors`."""

    def left(v):
        v = v - vectors @ (vectors.T @ v)
        v = _product(K, v)
        return v - vectors @ (vectors.T @ v)

    operator = LinearOperator(K.shape, matvec=left, dtype=np.float64)  # type: ignore[call-arg]
    found = eigsh(operator, 1, which="LA", v0=start, tol=_SEARCH, return_eigenvectors=False)  # type: ignore[arg-type]
    return float(found[0])


def _product(K, block) -> np.ndarray:
    return np.asarray(K @ block)
