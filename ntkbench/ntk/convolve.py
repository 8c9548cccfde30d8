"""A convolution of stride 1, with derivatives that XLA is fast at on every backend.

Its derivative in the image is a convolution again, with the weights turned round. XLA's own has the axes of the weights
exchanged instead, and inside of a loop that takes a CPU ten times as long.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Image = Float[Array, "h w c"]
Window = Float[Array, "kh kw c k"]
Pads = tuple[tuple[int, int], tuple[int, int]]
"""zeros before and after, of rows and of columns."""


def patches(x: Image, window: tuple[int, int], stride: tuple[int, int], pads: Pads) -> Float[Array, "h2 w2 f"]:
    """Return the patch of the image that each position of the output reads, offset by offset."""
    x = jnp.pad(x, (*pads, (0, 0)))
    last = [size - length + 1 for size, length in zip(x.shape, window, strict=False)]
    seen = [
        x[i : i + last[0] : stride[0], j : j + last[1] : stride[1]] for i in range(window[0]) for j in range(window[1])
    ]
    return jnp.concatenate(seen, axis=-1)


def convolve(x: Image, weight: Window, pads: Pads) -> Float[Array, "h2 w2 k"]:
    """sum over offsets o of x[p + o] weight[o]. To be differentiated in reverse mode alone (`ntk.linearize.push`)."""
    return _reverse(pads)(x, weight)


@functools.cache
def _reverse(pads: Pads):
    """Return the convolution of one image together with its derivative."""
    several = _several(pads)

    def forward(x, weight):
        return several(x[None], weight)[0]

    def backward(kept, g):
        x, weight = kept
        turned = weight[::-1, ::-1].transpose(0, 1, 3, 2)
        kh, kw, *_ = weight.shape
        (top, bottom), (left, right) = pads
        outside = (kh - 1 - top, kh - 1 - bottom), (kw - 1 - left, kw - 1 - right)
        seen = patches(x, (kh, kw), (1, 1), pads)
        return convolve(g, turned, outside), jnp.einsum("hwf,hwk->fk", seen, g).reshape(weight.shape)

    function = jax.custom_vjp(forward)
    # `function` again, and not `forward`: so that derivatives of derivatives are made of convolutions too.
    function.defvjp(lambda x, weight: (function(x, weight), (x, weight)), backward)
    return function


@functools.cache
def _several(pads: Pads):
    """Return the convolution of several images; networks are done in turn, since CPUs are slow at them at once."""

    def convolution(X: Float[Array, "n h w c"], weight: Window) -> Float[Array, "n h2 w2 k"]:
        dimensions = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(X, weight, (1, 1), pads, dimension_numbers=dimensions)

    if jax.default_backend() != "cpu":
        return convolution
    function = jax.custom_batching.custom_vmap(convolution)

    @function.def_vmap
    def mapped(size, batched, X, weight):
        if not batched[1]:
            Y = function(X.reshape(-1, *X.shape[2:]), weight)
            return Y.reshape(X.shape[:2] + Y.shape[1:]), True
        X = X if batched[0] else jnp.broadcast_to(X, (size, *X.shape))
        return jax.lax.map(lambda pair: function(*pair), (X, weight)), True

    return function
