"""Solve with a symmetric positive definite matrix in the memory of the matrix itself.

Kernel regression at infinite time is (K + r)^-1 Y: a factorization of n^3 / 3 operations and no second matrix, where
eigenvectors take some 12 n^3 and several matrices. It gives no eigenvalues, but an estimate of the smallest one, which
says whether they are needed after all.

    X = solve(K, Y, ridge=0.1, least=1e-12)      # None where an eigenvalue of K may be round-off
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.linalg import get_lapack_funcs
from scipy.sparse.linalg import LinearOperator, onenormest

from ntkbench.ntk import sharded_cholesky
from ntkbench.ntk.sharded import Matrix, ShardedMatrix

_CAUTION = 10
"""how far estimates of |A^-1|_1 may lie below the truth; they are almost never below a third of it (Higham 1988)"""
_HIDING = float(np.finfo(np.float64).eps) ** 0.5
"""a ridge above this share of the largest eigenvalue makes errors in directions that are round-off smaller than it"""


def solve(
    K: Matrix, Y: Float[np.ndarray, "n m"], *, ridge: float = 0.0, least: float
) -> Float[np.ndarray, "n m"] | None:
    """Return (K + ridge)^-1 Y; None if some eigenvalue of K may be below `least` times the largest one.

    A ridge that hides such eigenvalues makes up for them. None is also the answer where K is not finite or has no
    positive entry on its diagonal. A NumPy matrix, which has to be float64 and in C order, is overwritten; where the
    answer is None, its entries are restored. So is a matrix on several devices, where it lies. A JAX matrix stays as it
    is, on its device. While LAPACK factors a NumPy matrix, other threads of Python wait.
    """
    if not float(K.diagonal().max()) > 0:
        return None
    if isinstance(K, ShardedMatrix):
        return _on_devices(K, Y, ridge, least)
    return (_in_place if isinstance(K, np.ndarray) else _on_device)(K, Y, ridge, least)


def _in_place(K, Y, ridge, least):
    """The factor takes the place of the half above the diagonal, from which LAPACK reads K."""
    lange, potrf, pocon, potrs = get_lapack_funcs(("lange", "potrf", "pocon", "potrs"), (K,))
    diagonal, entries = K.diagonal().copy(), K.reshape(-1)
    entries[:: len(K) + 1] += ridge
    norm = lange("1", K.T)
    if np.isfinite(norm):
        factor, failed = potrf(K.T, lower=1, clean=0, overwrite_a=1)
        inverse = 0.0 if failed else pocon(factor, norm, uplo="L")[0]
        if not failed and is_known(float(norm), float(inverse * norm), ridge, least):
            return potrs(factor, Y, lower=1)[0]
        for i in range(len(K)):
            K[i, i + 1 :] = K[i + 1 :, i]
    entries[:: len(K) + 1] = diagonal
    return None


def _on_device(K, Y, ridge, least):
    factor, norm = _factor(K, ridge)
    if not np.all(np.isfinite([norm, factor[-1, -1]])):
        return None

    def inverse(columns):
        return np.asarray(_solved(factor, columns))

    return inverse(Y) if is_known(float(norm), lowest(len(K), inverse), ridge, least) else None


def _on_devices(K, Y, ridge, least):
    """The factor takes the place of one half, as in `_in_place`."""
    diagonal, norm = K.diagonal(), K.norm() + ridge
    if not np.isfinite(norm):
        return None
    inverse = functools.partial(sharded_cholesky.substitute, K)
    if sharded_cholesky.factor(K, ridge) and is_known(norm, lowest(len(K), inverse), ridge, least):
        return inverse(Y)
    sharded_cholesky.restore(K, diagonal)
    return None


def lowest(n: int, inverse: Callable[[np.ndarray], np.ndarray]) -> float:
    """Estimate 1 / |A^-1|_1 of a symmetric matrix from products of its inverse with columns."""
    one = LinearOperator((n, n), inverse, inverse, inverse, np.float64, inverse)  # type: ignore[call-arg]
    return float(1 / np.asarray(onenormest(one, t=1)))


@jax.jit
def _factor(K, ridge):
    A = jnp.asarray(K, jnp.float64) + ridge * jnp.eye(len(K))
    return jnp.linalg.cholesky(A), jnp.max(jnp.sum(jnp.abs(A), axis=0))


@jax.jit
def _solved(factor, columns):
    return jax.scipy.linalg.cho_solve((factor, True), columns)


def is_known(norm: float, lowest: float, ridge: float, least: float) -> bool:
    """Return whether all eigenvalues are above `least` times the largest, or hidden by the ridge.

    `norm` bounds the largest eigenvalue of K + ridge from above; `lowest` estimates 1 / |(K + ridge)^-1|_1, which
    bounds its smallest eigenvalue from below.
    """
    return ridge >= max(least, _HIDING) * norm or lowest / _CAUTION - ridge > least * norm
