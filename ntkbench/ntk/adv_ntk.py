"""Kernel regression in which each training example has a training time of its own, chosen against attacks.

With one time w_i >= 0 for each training example, gradient flow on the squared loss gives (Fu & Wang 2024)

    f_w(x) = Theta(x, X) alpha(w),    alpha(w) = Theta^-1 (I - exp(-Theta diag(w))) Y,

which is 0 at w = 0, and plain gradient flow for time t where every w_i is t. Examples that are held out from the fit
are attacked as f_w is now, and w moves against the gradient of the squared loss on what the attack made:

    w = search(kernel, X, spectrum, Y, held_out, attack, eps, key=key)
    alpha = coefficients(spectrum, Y, w)

With Theta = A^T A, A = Lambda^(1/2) V^T, and the symmetric M = A diag(w) A^T, the exponential is A^T exp(-M) A^-T. The
residuals at s in [0, 1], r(s) = exp(-s Theta diag(w)) Y, and those of the adjoint flow, p(s) = exp(-(1 - s) Theta
diag(w)) G for G = dL / dalpha, give the gradient dL / dw_i = integral over s of <p_i(s), r_i(s)>: in the eigenbasis of
M it is a product of matrices with the divided differences of exp(-mu). Each step takes one eigendecomposition.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ntkbench.ntk import attacks, gram, regression
from ntkbench.ntk.compilation import jit
from ntkbench.ntk.gram import Kernel
from ntkbench.ntk.regression import Spectrum


class HeldOut(NamedTuple):
    """Examples on which the times are chosen; none of them is in the training set."""

    X: Float[Array, "m ..."]
    labels: Int[Array, " m"]
    Y: Float[Array, "m c"]


class Roots(NamedTuple):
    """A = Lambda^(1/2) V^T, its inverse, and A^-T Y."""

    A: Float[Array, "n n"]
    inverse: Float[Array, "n n"]
    targets: Float[Array, "n c"]

    @classmethod
    def of(cls, spectrum: Spectrum, Y: Float[Array, "n c"]) -> "Roots":
        """Return the roots of a kernel, all of whose eigenvalues are above round-off."""
        V, root = spectrum.eigenvectors, jnp.sqrt(spectrum.eigenvalues)
        return cls(root[:, None] * V.T, V / root[None, :], (V.T @ Y) / root[:, None])


def coefficients(spectrum: Spectrum, Y: Float[Array, "n c"], w: Float[Array, " n"]) -> Float[Array, "n c"]:
    """Return alpha(w) of f_w(x) = Theta(x, X) alpha(w), for times w >= 0."""
    return _flow(Roots.of(spectrum, Y), w)[0]


def gradient(
    spectrum: Spectrum, Y: Float[Array, "n c"], w: Float[Array, " n"], G: Float[Array, "n c"]
) -> Float[Array, " n"]:
    """Return dL / dw from G = dL / dalpha, at times w >= 0."""
    roots = Roots.of(spectrum, Y)
    return _gradient(roots, *_flow(roots, w)[1:], G)


def search(
    kernel: Kernel,
    X: Float[Array, "n ..."],
    spectrum: Spectrum,
    Y: Float[Array, "n c"],
    held_out: HeldOut,
    attack: attacks.Attack,
    eps: Float[Array, ""],
    *,
    steps: int,
    minibatch: int,
    rate: float,
    key: PRNGKeyArray,
    batch_size: int,
    tile_bytes: float = 5e8,
) -> Float[Array, " n"]:
    """Return times w >= 0 that lower the squared loss on attacked examples.

    Args:
        kernel: the kernel, a multiple of the identity of the outputs.
        X: training examples, in the precision in which predictors are attacked.
        spectrum: that of the kernel on X, all of whose eigenvalues are above round-off.
        Y: training targets.
        held_out: examples that are attacked.
        attack: what attacks them, anew at each step.
        eps: its budget.
        steps: number of steps, from w = 0; each moves w by `rate` along the negative gradient, normalized.
        minibatch: number of held-out examples that a step attacks, drawn without replacement.
        rate: length of a step.
        key: draws minibatches and the attack's starts.
        batch_size: number of examples that are attacked at once.
        tile_bytes: memory for a tile of the kernel.
    """
    roots, w = Roots.of(spectrum, Y), jnp.zeros(len(Y), Y.dtype)
    for step in range(steps):
        draw, start = jax.random.split(jax.random.fold_in(key, step))
        chosen = jax.random.choice(draw, len(held_out.X), (min(minibatch, len(held_out.X)),), replace=False)
        some = HeldOut(*(part[chosen] for part in held_out))
        w = _step(kernel, X, roots, w, some, attack, eps, rate, start, batch_size=batch_size, tile_bytes=tile_bytes)
    return jnp.abs(w)


@jit
def _step(kernel, X, roots, w, some, attack, eps, rate, key, *, batch_size, tile_bytes):
    """Move w, of which |w| are the times; where w is 0, towards more time is up."""
    alpha, mu, U = _flow(roots, jnp.abs(w))
    predictor = regression.predictor(kernel, X, alpha.astype(X.dtype), tile_bytes=tile_bytes)
    made = attacks.perturb(attack, predictor, some.X, some.labels, eps[None], key=key, batch_size=batch_size)[0]
    K = gram.gram(kernel, made, X, tile_bytes=tile_bytes)[:, 0, :, 0].astype(alpha.dtype)
    G = K.T @ (K @ alpha - some.Y) * (2 / len(K))
    slope = _gradient(roots, mu, U, G) * jnp.where(w < 0, -1, 1)
    size = jnp.linalg.norm(slope)
    return w - rate * slope / jnp.where(size > 0, size, 1)


@jit
def _flow(roots, w):
    """Return alpha(w), and the eigenvalues mu and eigenvectors U of M."""
    mu, U = jnp.linalg.eigh((roots.A * w[None, :]) @ roots.A.T)
    mu = jnp.maximum(mu, 0)
    alpha = roots.inverse @ (U @ (-jnp.expm1(-mu)[:, None] * (U.T @ roots.targets)))
    return alpha, mu, U


@jit
def _gradient(roots, mu, U, G):
    """Return dL / dw, see the module."""
    R = roots.A.T @ U
    moved, targets = U.T @ (roots.inverse.T @ G), U.T @ roots.targets
    apart = jnp.abs(mu[:, None] - mu[None, :])
    mean = jnp.where(apart > 0, -jnp.expm1(-apart) / jnp.where(apart > 0, apart, 1), 1)
    differences = jnp.exp(-jnp.minimum(mu[:, None], mu[None, :])) * mean
    return jnp.sum(R * (R @ (differences * (moved @ targets.T))), axis=1)
