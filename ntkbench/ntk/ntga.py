"""Training images that are moved so that what is fitted to them generalizes badly: NTGA (Yuan & Wu 2021).

A kernel that is fitted to images X with targets Y by gradient flow for a time t predicts, of validation images X_v,

    f = Theta(X_v, X) g(Theta) Y,    Theta = Theta(X, X),    g(lambda) = (1 - exp(-lambda t)) / lambda.

The images X climb the mean loss of f, all together, within a ball around the clean ones:

    moved, losses = climb(kernel, X, Y, Validation(X_v, labels), loss, ball, eps, time=64.0, steps=10, ...)

The loss sees X through two matrices. Its derivative in Theta(X_v, X) is that of a product. With Theta = V diag(lambda)
V^T, that in Theta has the divided differences of g in the place of derivatives of eigenvectors (Daleckii & Krein):

    <A, dg(Theta) B> = <V (D * (V^T A B^T V)) V^T, dTheta>,    D_ij = (g(l_i) - g(l_j)) / (l_i - l_j),  l = lambda.

The derivative in one image is then that of a weighted sum over its row of the kernel, which is taken a batch of images
at a time. An image's kernel with itself depends on it twice, and is differentiated apart from its row.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ntkbench.ntk import gram, regression
from ntkbench.ntk.balls import Ball
from ntkbench.ntk.compilation import jit
from ntkbench.ntk.gram import Kernel
from ntkbench.ntk.losses import Loss
from ntkbench.ntk.regression import Spectrum

_FLAT = 1e-3
"""lambda t up to which divided differences come from a series: there, the quotient would lose its digits"""


class Validation(NamedTuple):
    """Clean examples that are not in the training set, whose loss is raised."""

    X: Float[Array, "m ..."]
    labels: Int[Array, " m"]


class Slope(NamedTuple):
    """The loss on the validation examples, its gradient in the training images, and the spectrum of their kernel."""

    loss: Float[Array, ""]
    gradient: Float[Array, "n ..."]
    spectrum: Spectrum


def climb(
    kernel: Kernel,
    X: Float[Array, "n ..."],
    Y: Float[Array, "n c"],
    validation: Validation,
    loss: Loss,
    ball: Ball,
    eps: float,
    *,
    time: float,
    steps: int,
    step_size: float,
    batch_size: int,
    tile_bytes: float = 5e8,
) -> tuple[Float[Array, "n ..."], Float[np.ndarray, " s"]]:
    """Return the moved images, and the validation loss at the clean ones and after each step, 1 + `steps` numbers.

    Each step goes along the steepest direction of the gradient. A step that does not raise the loss is not taken, and
    halves those that follow. NumericsError if the kernel is zero or not finite, or, at infinite time, singular.

    Args:
        kernel: the kernel, a multiple of the identity of the outputs.
        X: clean training images.
        Y: training targets.
        validation: clean examples whose loss is raised.
        loss: the loss of one example.
        ball: the norm of the ball around each clean image.
        eps: the radius of the ball.
        time: time of the gradient flow, which may be infinite.
        steps: number of steps.
        step_size: length of the first step.
        batch_size: number of images whose gradients are computed at once.
        tile_bytes: memory for a tile of the kernel.
    """

    def slope(X: Array) -> Slope:
        return value_and_gradient(
            kernel, X, Y, validation, loss, time=time, batch_size=batch_size, tile_bytes=tile_bytes
        )

    here, moved, size = slope(X), X, step_size
    regression.require_sound(here.spectrum)
    if time == float("inf"):
        regression.require_regular(here.spectrum)
    losses = [float(here.loss)]
    for _ in range(steps):
        ahead = _stepped(ball, moved, here.gradient, X, jnp.asarray(size, X.dtype), jnp.asarray(eps, X.dtype))
        there = slope(ahead)
        if there.loss > here.loss:
            moved, here = ahead, there
        else:
            size /= 2
        losses.append(float(here.loss))
    return moved, np.array(losses)


@jit
def value_and_gradient(
    kernel: Kernel,
    X: Float[Array, "n ..."],
    Y: Float[Array, "n c"],
    validation: Validation,
    loss: Loss,
    *,
    time: float,
    batch_size: int,
    tile_bytes: float = 5e8,
) -> Slope:
    """Return the mean loss on the validation examples, and its gradient in the training images X; see `climb`."""
    K, across = (gram.gram(kernel, *pair, tile_bytes=tile_bytes)[:, 0, :, 0] for pair in ((X, None), (validation.X, X)))
    spectrum = Spectrum.of(K)
    V, g = spectrum.eigenvectors, spectrum.filtered(regression.flow(time))
    alpha = V @ (g[:, None] * (V.T @ Y))
    value, slopes = jax.value_and_grad(lambda outputs: jnp.mean(jax.vmap(loss)(outputs, validation.labels)))(
        across @ alpha
    )
    D = jnp.where((g != 0)[:, None] & (g != 0)[None, :], differences(spectrum.eigenvalues, time), 0)
    own = V @ (D * ((V.T @ (across.T @ slopes)) @ (V.T @ Y).T)) @ V.T
    return Slope(value, _gradients(kernel, X, validation.X, own, slopes @ alpha.T, batch_size, tile_bytes), spectrum)


def differences(eigenvalues: Float[Array, " n"], time: float) -> Float[Array, "n n"]:
    """Return the divided differences of g = (1 - exp(-lambda t)) / lambda, and its derivative where two are equal.

    Negative eigenvalues count as 0.
    """
    values = jnp.maximum(eigenvalues, 0)
    low, high = jnp.minimum(values[:, None], values[None, :]), jnp.maximum(values[:, None], values[None, :])
    if time == float("inf"):
        return -1 / (low * high)
    low, high = low * time, high * time
    fall = jnp.exp(-low) * _mean_decay(high - low)  # minus the divided difference of exp(-lambda t)
    steep = (fall - _mean_decay(low)) / jnp.where(high > _FLAT, high, 1)
    series = -1 / 2 + (low + high) / 6 - (low**2 + low * high + high**2) / 24
    return time**2 * jnp.where(high > _FLAT, steep, series)


def _mean_decay(z: Array) -> Array:
    """Return (1 - exp(-z)) / z, the mean of exp(-s) over s from 0 to z."""
    return jnp.where(z > 0, -jnp.expm1(-z) / jnp.where(z > 0, z, 1), 1)


def _gradients(kernel, X, others, own, across, batch_size, tile_bytes):
    """Return the gradient in X of <own, Theta(X, X)> + <across, Theta(others, X)>, the two weights being constant."""
    pairs = kernel.pairs(X.shape[1:], X.dtype, tile_bytes)
    support = gram.examples(kernel, jnp.concatenate([X, others]), pairs)
    apart = jnp.where(jnp.eye(len(X), dtype=bool), 0, own + own.T)
    weights = jnp.concatenate([apart, across.T], axis=1).astype(X.dtype)

    def of_image(image):
        x, row, alone = image

        def weighted(x):
            one = jax.tree.map(lambda leaf: jnp.expand_dims(leaf, kernel.axis), kernel.example(x))
            rest = gram.product(kernel, one, support, row[:, None, None], pairs)
            return jnp.sum(rest) + alone * jnp.sum(kernel.diagonal(one))

        return jax.grad(weighted)(x)

    return jax.lax.map(of_image, (X, weights, jnp.diagonal(own).astype(X.dtype)), batch_size=batch_size)


@jit
def _stepped(ball, X, gradient, clean, size, eps):
    """Return the images after a step along the gradient, back in the ball around the clean ones."""

    def stepped(x, slope, clean):
        return ball.project(x + size * ball.steepest(slope), clean, eps)

    return jax.vmap(stepped)(X, gradient, clean)
