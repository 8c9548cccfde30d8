"""Kernel regression: one decomposition, many predictors.

With Theta = V diag(lambda) V^T, every linear way of fitting Y is a spectral filter g:

    f(x) = Theta(x, X) alpha,    alpha = V g(lambda) V^T Y.

Gradient flow to time t, a ridge, and single eigen-features differ in g alone, so that the decomposition is
made once, and sums of features are the whole predictor.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ntkbench.errors import NumericsError
from ntkbench.ntk import cholesky, gram, tiled
from ntkbench.ntk import leading as first_pairs
from ntkbench.ntk.compilation import jit
from ntkbench.ntk.gram import Example, Kernel
from ntkbench.ntk.sharded import Matrix

Filter = Callable[[Float[Array, " n"]], Float[Array, " n"]]
"""g, of the eigenvalues in descending order."""
_DOUBLE = float(np.finfo(np.float64).eps)
_ULPS = 64


class Spectrum(eqx.Module):
    """Eigenvalues in descending order: index 0 is the largest. Eigenvectors are columns.

    k is n, or less where the first eigenpairs alone are known.
    """

    eigenvalues: Float[Array, " k"]
    eigenvectors: Float[Array, "n k"]
    precision: float = eqx.field(static=True, default=_DOUBLE)
    """relative round-off of the entries of the matrix, that of the type in which it was computed"""

    @classmethod
    def of(cls, matrix: Matrix, precision: float | None = None) -> "Spectrum":
        """Decompose a symmetric matrix in float64; `precision` is that of its entries, by default that of its type."""
        values, vectors = _descending(jnp.asarray(matrix, jnp.float64))
        return cls(values, vectors, precision or round_off(matrix.dtype))

    @classmethod
    def leading(cls, matrix: Matrix, k: int, precision: float | None = None) -> "Spectrum | None":
        """Return the first k eigenpairs of a symmetric matrix, without the others; None where that is not possible.

        It is not where they fail the check of `leading.pairs`, and where an eigenvalue of the matrix may be round-off:
        all of them then have to tell. The matrix is as in `solve`, and overwritten as there.
        """
        precision, found = precision or round_off(matrix.dtype), first_pairs.pairs(matrix, k)
        if found is None or solve(matrix, np.zeros((len(matrix), 1)), precision=precision) is None:
            return None
        values, vectors = map(jnp.asarray, found)
        return cls(values, vectors, precision)

    @property
    def floor(self) -> Float[Array, ""]:
        """max(n eps_64, 64 eps) lambda_1, with the eps of the matrix: what is below is round-off.

        The first is the error of the decomposition. The second is a hundred times that of the matrix, whose norm is
        about lambda_1 eps / 2 in float32 whatever n is: an eigenvalue above the floor is known to a per cent.
        """
        return _least(len(self.eigenvectors), self.precision) * self.eigenvalues[0]

    def lost(self, g: Filter) -> Bool[Array, " k"]:
        """Return the directions whose eigenvalue is round-off, while g would amplify it to a number."""
        return self._amplified(self._bare(g), self.floor)

    def filtered(self, g: Filter) -> Float[Array, " k"]:
        """g of the eigenvalues; 0 on directions that are round-off, unless g is small enough to hide it.

        There the kernel is 0 as far as is known, and so is what it learns: the pseudo-inverse. A ridge or an early
        time above sqrt(eps_64) lambda_1 keeps these directions, with errors below sqrt(eps_64).
        """
        found = self._bare(g)
        hidden = jnp.maximum(self.floor, _DOUBLE**0.5 * self.eigenvalues[0])
        return jnp.where(self._amplified(found, hidden), 0, found)

    def coefficients(self, g: Filter, Y: Float[Array, "n m"]) -> Float[Array, "n m"]:
        """alpha = V g(lambda) V^T Y."""
        V = self.eigenvectors
        return V @ (self.filtered(g)[:, None] * (V.T @ Y))

    def _bare(self, g):
        """A kernel has no negative eigenvalues, and flow along one would never end."""
        return g(jnp.maximum(self.eigenvalues, 0))

    def _amplified(self, found, size):
        return ~(self.eigenvalues > self.floor) & ~(found * size <= 1)


@jax.jit
def _descending(matrix):
    """Eigenvalues and eigenvectors; `jnp.linalg.eigh` would average the two halves first, which are equal already."""
    vectors, values = jax.lax.linalg.eigh(matrix, lower=True, symmetrize_input=False)
    return values[::-1], vectors[:, ::-1]


def round_off(dtype: Any) -> float:
    """The relative distance of two numbers of a type."""
    return float(jnp.finfo(dtype).eps)


def _least(n: int, precision: float) -> float:
    """The share of the largest eigenvalue below which one is round-off, see `Spectrum.floor`."""
    return max(n * _DOUBLE, _ULPS * precision)


def solve(
    K: Matrix,
    Y: Float[np.ndarray, "n m"],
    ridge: float = 0.0,
    precision: float = _DOUBLE,
) -> Float[np.ndarray, "n m"] | None:
    """alpha = (K + ridge)^-1 Y without a spectrum: what `Spectrum.coefficients` gives at infinite time.

    None where an eigenvalue may be round-off: the spectrum then decides. A matrix of NumPy, or on several devices, is
    overwritten unless the answer is None, see `cholesky.solve`.
    """
    return cholesky.solve(K, Y, ridge=ridge, least=_least(len(K), precision))


def solve_in_tiles(
    K: tiled.Tiles,
    factor: Callable[[tiled.Get], tiled.Tiles],
    Y: Float[np.ndarray, "n m"],
    ridge: float = 0.0,
    precision: float = _DOUBLE,
) -> Float[np.ndarray, "n m"] | None:
    """Return what `solve` does, for a matrix in tiles; `factor`: see `tiled.solve`."""
    return tiled.solve(K, factor, Y, ridge=ridge, least=_least(K.n, precision))


def flow(time: float = float("inf"), ridge: float = 0.0) -> Filter:
    """g = (1 - exp(-(lambda + r) t)) / (lambda + r): gradient flow on (1/2) |f - Y|^2 + (r/2) |f|^2_H for time t."""

    def g(eigenvalues):
        rate = eigenvalues + ridge
        if time == float("inf"):
            return 1 / rate
        still = rate == 0
        return jnp.where(still, time, -jnp.expm1(-rate * time) / jnp.where(still, 1, rate))

    return g


def features(chosen: Bool[Array, " n"]) -> Filter:
    """g = 1/lambda on the chosen features, 0 elsewhere."""
    return lambda eigenvalues: jnp.where(chosen, 1 / jnp.where(chosen, eigenvalues, 1), 0)


def require_sound(spectrum: Spectrum, cause: str = "") -> None:
    """Refuses the spectrum of a matrix that is not finite, or has no positive eigenvalue.

    `cause`: what a reader may look at, in words.
    """
    values = np.asarray(spectrum.eigenvalues)
    if not np.all(np.isfinite(values)):
        raise NumericsError(f"the kernel is not finite: numbers overflow{cause}")
    if not values[0] > 0:
        raise NumericsError(
            f"the kernel is zero: its largest eigenvalue is {values[0]:.3g}; images without light or numbers that "
            f"underflow do that{cause}"
        )


def require_regular(spectrum: Spectrum, g: Filter | None = None) -> None:
    """Refuses to invert what round-off made up, with the filter g (default: the inverse, infinite time and no ridge).

    An eigenvalue below the floor of the spectrum is not known to any digit.
    """
    values, lost = spectrum.eigenvalues, int(jnp.sum(spectrum.lost(g or flow())))
    if lost:
        single = spectrum.precision > _DOUBLE
        raise NumericsError(
            f"the kernel is singular{' in float32' if single else ''}: {lost} of its {values.size} eigenvalues are "
            f"below round-off, {float(spectrum.floor):.3g} "
            f"(smallest {float(values[-1]):.3g}, largest {float(values[0]):.3g}). "
            + (
                "Compute it with numerics.kernel: float64, set a ridge, or stop at an early time"
                if single
                else "Duplicate examples do that: remove them, set a ridge, or stop at a finite time"
            )
        )


class KernelPredictor(eqx.Module):
    """x -> Theta(x, X) alpha."""

    kernel: Kernel
    support: Example
    alpha: Float[Array, "n o m"]
    rows: int = eqx.field(static=True)
    """of the support, that are taken at once"""

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, " c"]:
        one = jax.tree.map(lambda leaf: jnp.expand_dims(leaf, self.kernel.axis), self.kernel.example(x))
        return gram.product(self.kernel, one, self.support, self.alpha, self.rows).ravel()


@jit
def predictor(
    kernel: Kernel, X: Float[Array, "n ..."], alpha: Float[Array, "n c"], *, tile_bytes: float = 5e8
) -> KernelPredictor:
    """The predictor with coefficients `alpha`, for a kernel that is a multiple of the identity of the outputs."""
    pairs = kernel.pairs(X.shape[1:], X.dtype, tile_bytes)
    return KernelPredictor(kernel, gram.examples(kernel, X, pairs), alpha[:, None, :], pairs)
