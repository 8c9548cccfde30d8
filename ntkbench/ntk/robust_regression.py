"""Kernel regression that is fitted against perturbations in the kernel's own feature space (Ribeiro et al. 2025).

A perturbation of the features of norm delta moves f(x) by at most delta |f|_H, so that training against the worst one
has a closed form, which is convex in f:

    min over f of  (1/n) sum_i (|y_i - f(x_i)| + delta |f|_H)^2.

By (|a| + |b|)^2 = min over 0 < eta < 1 of a^2 / eta + b^2 / (1 - eta), where eta = |a| / (|a| + |b|) attains it, the
minimum is found by solving weighted ridge regressions one after the other,

    (Theta + rho diag(eta)) alpha = Y,    rho = sum_i delta^2 / (1 - eta_i),

each with the weights eta of the one before. The objective falls at every step. No spectral filter does this: the
weights differ between examples, and with them the directions that are learned.

    alpha = coefficients(spectrum, Y, delta=0.1)         # f(x) = Theta(x, X) alpha

Use it where predictors are to be robust by their training; a ridge is the same for all examples alike.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntkbench.ntk.compilation import jit
from ntkbench.ntk.regression import Spectrum

_TOLERANCE = 1e-10
"""relative change of the objective at which the iteration ends: it is 1e-8 from the minimum by then"""
_STEPS = 1000


def coefficients(spectrum: Spectrum, Y: Float[Array, "n c"], delta: float) -> Float[Array, "n c"]:
    """Return alpha of f(x) = Theta(x, X) alpha, each output fitted for itself.

    Args:
        spectrum: that of Theta on the training examples, all of whose eigenvalues are above round-off.
        Y: targets.
        delta: radius of the perturbations in the feature space, in units of Theta(x, x)^(1/2); above 0.
    """
    V = spectrum.eigenvectors
    return _fitted((V * jnp.maximum(spectrum.eigenvalues, 0)[None, :]) @ V.T, Y, jnp.asarray(delta, Y.dtype))


def objective(K: Float[Array, "n n"], y: Float[Array, " n"], alpha: Float[Array, " n"], delta: Float[Array, ""]):
    """Return (1/n) sum_i (|y_i - f(x_i)| + delta |f|_H)^2 of one output."""
    residual, norm = _parts(K, y, alpha)
    return jnp.mean(jnp.square(residual + delta * norm))


@jit
def _fitted(K, Y, delta):
    """Alternate until the objective stays, for each output on its own."""

    def step(y, alpha):
        residual, norm = _parts(K, y, alpha)
        b = delta * norm
        total = residual + b
        eta = residual / jnp.where(total > 0, total, 1)
        rho = delta * jnp.sum(total) / jnp.where(norm > 0, norm, 1)  # delta^2 / (1 - eta) = delta (|a| + b) / |f|_H
        return jnp.where(norm > 0, jax.scipy.linalg.solve(K + rho * jnp.diag(eta), y, assume_a="pos"), 0)

    def output(y):
        def changes(state):
            count, _, now, before = state
            return (count < _STEPS) & (before - now > _TOLERANCE * now)

        def improve(state):
            count, alpha, now, _ = state
            found = step(y, alpha)
            after = objective(K, y, found, delta)
            better = after < now
            return count + 1, jnp.where(better, found, alpha), jnp.where(better, after, now), now

        n = len(y)
        start = jax.scipy.linalg.solve(K + jnp.trace(K) / n * jnp.eye(n, dtype=K.dtype), y, assume_a="pos")
        zero, infinite = jnp.zeros((), int), jnp.asarray(jnp.inf, y.dtype)
        return jax.lax.while_loop(changes, improve, (zero, start, objective(K, y, start, delta), infinite))[1]

    return jax.lax.map(output, Y.T).T


def _parts(K, y, alpha):
    """|y - f(X)|, and |f|_H."""
    values = K @ alpha
    return jnp.abs(y - values), jnp.sqrt(jnp.maximum(alpha @ values, 0))
