"""Kernel regression: one decomposition, many predictors.

With Theta = V diag(lambda) V^T, every linear way of fitting Y is a spectral filter g:

    f(x) = Theta(x, X) alpha,    alpha = V g(lambda) V^T Y.

Gradient flow to time t, a ridge, and single eigen-features differ in g alone, so that the decomposition is
made once, and sums of features are the whole predictor.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ntkbench.errors import NumericsError
from ntkbench.ntk import gram
from ntkbench.ntk.compilation import jit
from ntkbench.ntk.gram import Example, Kernel

Filter = Callable[[Float[Array, " n"]], Float[Array, " n"]]
"""g, of the eigenvalues in descending order."""


class Spectrum(eqx.Module):
    """Eigenvalues in descending order: index 0 is the largest. Eigenvectors are columns."""

    eigenvalues: Float[Array, " n"]
    eigenvectors: Float[Array, "n n"]

    @classmethod
    def of(cls, matrix: Float[Array, "n n"] | Float[np.ndarray, "n n"]) -> "Spectrum":
        """Of a symmetric matrix, in float64 whatever its precision."""
        values, vectors = jnp.linalg.eigh(jnp.asarray(matrix, jnp.float64))
        return cls(values[::-1], vectors[:, ::-1])

    def coefficients(self, g: Filter, Y: Float[Array, "n m"]) -> Float[Array, "n m"]:
        """alpha = V g(lambda) V^T Y."""
        V = self.eigenvectors
        return V @ (g(self.eigenvalues)[:, None] * (V.T @ Y))


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


def require_regular(spectrum: Spectrum, ridge: float = 0.0) -> None:
    """Refuses to invert what round-off made up.

    An eigenvalue below n eps lambda_1 is not known to any digit.
    """
    values = spectrum.eigenvalues
    floor = values.size * jnp.finfo(values.dtype).eps * values[0]
    lost = int(jnp.sum(values + ridge < floor))
    if lost:
        raise NumericsError(
            f"the kernel is singular: {lost} of its {values.size} eigenvalues are below round-off "
            f"(smallest {float(values[-1]):.3g}, largest {float(values[0]):.3g}). Duplicate examples do that: "
            "remove them, set a ridge, or stop at a finite time"
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
