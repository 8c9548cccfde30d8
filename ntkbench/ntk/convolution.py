"""Layers that know positions: convolutions and pooling.

An image is `h w channels`. A covariance begins with axes `h w` (the same position in both images) or `h w h w` (all
pairs). A convolution moves both positions together, so its sum over k x k offsets is one sum along the two vertical
axes and one along the two horizontal ones. Pooling averages each position on its own, so it needs all pairs.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Literal, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkbench.errors import UsageError
from ntkbench.ntk.convolve import convolve, patches
from ntkbench.ntk.layers import Layer, LinearLayer, Parameterization, Positions, Weighted

Padding = Literal["SAME", "VALID", "CIRCULAR", "CENTERED"]
Pair = tuple[int, int]


def pads(size: int, window: int, stride: int, padding: Padding) -> Pair:
    """Rows before and after, the odd one after; VALID none.

    They are as many as it takes for ceil(size / stride) outputs. CENTERED has window - 1 for any stride, which gives as
    many outputs, and where the window is odd has the middle of the first window in the first row.
    """
    if padding == "VALID":
        return 0, 0
    total = window - 1 if padding == "CENTERED" else max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def padded(x: Array, axes: tuple[int, ...], amount: Pair, padding: Padding) -> Array:
    """Zeros, or the other side for CIRCULAR, at both ends of the axes."""
    widths = [amount if axis in axes else (0, 0) for axis in range(x.ndim)]
    return jnp.pad(x, widths, mode="wrap" if padding == "CIRCULAR" else "constant")


def window_sum(x: Array, axes: tuple[int, ...], window: int, stride: int, padding: Padding) -> Array:
    """The sum over offsets 0 ... window - 1, by which all the axes are shifted together."""
    amount = pads(x.shape[axes[0]], window, stride, padding)
    if stride == 1:
        return _moving_sum(x, axes, window, amount, padding)
    return _shifted_sum(x, axes, window, stride, amount, padding)


def _shifted_sum(x, axes, window, stride, amount, padding):
    x = padded(x, axes, amount, padding)
    last = x.shape[axes[0]] - window

    def shifted(offset):
        cut = slice(offset, offset + last + 1, stride)
        return x[tuple(cut if axis in axes else slice(None) for axis in range(x.ndim))]

    return sum(map(shifted, range(1, window)), shifted(0))


def _moving_sum(x, axes, window, amount, padding):
    """Its derivative is one too, turned round. JAX's own would pad each of the shifted terms, and add them up."""
    before, after = amount
    turned = window - 1 - before, window - 1 - after

    def execution(g):
        return _moving_sum(g, axes, window, turned, padding)

    moving: Callable[[Array], Array] = jax.custom_gradient(
        lambda x: (_shifted_sum(x, axes, window, 1, amount, padding), execution)
    )
    return moving(x)


@dataclasses.dataclass(frozen=True)
class Conv(Weighted):
    """`W_std w * x / sqrt(fan_in) + b_std b` with fan_in = kh kw channels; standard parameterization as in `Dense`.

    Limit: K' = W_std^2 mean over offsets of K + b_std^2, where K is 0 outside (not renormalized), and
    T' = K' + W_std^2 mean over offsets of T.
    """

    channels: int
    window: Pair = (3, 3)
    stride: Pair = (1, 1)
    padding: Padding = "SAME"
    W_std: float = math.sqrt(2)
    b_std: float | None = 0.0
    parameterization: Parameterization = "ntk"

    def init(self, shape, *, key, dtype):
        h, w, channels = shape
        w_key, b_key = jax.random.split(key)
        weight = jax.random.normal(w_key, (*self.window, channels, self.channels), dtype)
        b = None if self.b_std is None else jax.random.normal(b_key, (self.channels,), dtype)
        if self.parameterization == "standard":
            weight = weight * (self.W_std / math.sqrt(math.prod(self.window) * channels))
            b = None if b is None else b * (self.b_std or 0.0)
        return (weight, b), (*map(self._outputs, (h, w), (0, 1)), self.channels)

    def _outputs(self, size, axis):
        before, after = pads(size, self.window[axis], self.stride[axis], self.padding)
        return (size + before + after - self.window[axis]) // self.stride[axis] + 1

    def apply(self, weights, x):
        weight, b = weights
        x, pads = self._wrapped(x), self._pads(x)
        if self.stride == (1, 1):
            y = convolve(x, weight, pads)
        else:
            y = self._patches(x, pads) @ weight.reshape(-1, self.channels)
        scale = 1.0
        if self.parameterization == "ntk":
            y = y * (self.W_std / math.sqrt(math.prod(weight.shape[:3])))
            scale = self.b_std
        return y if b is None else y + scale * b[None, None]

    def features(self, x):
        patches = self._patches(self._wrapped(x), self._pads(x))
        return self.scaled(patches.reshape(-1, patches.shape[-1]))

    def windows(self, X):
        rows, columns = (pads(X.shape[1 + axis], self.window[axis], self.stride[axis], self.padding) for axis in (0, 1))
        X = np.pad(X, ((0, 0), rows, columns, (0, 0)), "wrap" if self.padding == "CIRCULAR" else "constant")
        seen = np.lib.stride_tricks.sliding_window_view(X, self.window, (1, 2))
        return seen[:, :: self.stride[0], :: self.stride[1]].transpose(0, 1, 2, 4, 5, 3)

    def _pads(self, x):
        """Zeros before and after, of rows and of columns."""
        if self.padding == "CIRCULAR":
            return (0, 0), (0, 0)
        rows, columns = (pads(x.shape[axis], self.window[axis], self.stride[axis], self.padding) for axis in (0, 1))
        return rows, columns

    def _wrapped(self, x):
        if self.padding != "CIRCULAR":
            return x
        for axis in (0, 1):
            x = padded(x, (axis,), pads(x.shape[axis], self.window[axis], self.stride[axis], "CIRCULAR"), "CIRCULAR")
        return x

    def _patches(self, x, pads):
        return patches(x, self.window, self.stride, pads)

    def covariance(self, cov):
        mean = cov.map(lambda k: self._mean(k, cov.positions))
        return self.weighted(mean, math.prod(self.window) * cov.channels, self.channels)

    def _mean(self, k: Float[Array, "*positions_pairs"], positions: Positions) -> Float[Array, "*moved_pairs"]:
        for axis in (0, 1):
            together = (axis,) if positions is Positions.MATCHED else (axis, axis + 2)
            k = window_sum(k, together, self.window[axis], self.stride[axis], self.padding)
        return k / math.prod(self.window)


def side_by_side(x: Float[Array, "h w c"], window: Pair, stride: Pair) -> Float[Array, "h2 kh w2 kw c"] | None:
    """The windows of an image, where they cover it without overlap: for them derivatives are quick on a CPU."""
    (h, w, channels), (rows, columns) = x.shape, window
    if window != stride or h % rows or w % columns:
        return None
    return x.reshape(h // rows, rows, w // columns, columns, channels)


@dataclasses.dataclass(frozen=True)
class AvgPool(LinearLayer):
    """The mean over each window. Limit: the mean over pairs of positions of both windows."""

    window: Pair = (2, 2)
    stride: Pair = (2, 2)
    padding: Padding = "VALID"

    @property
    def positions(self):
        return Positions.ALL

    def init(self, shape, *, key, dtype):
        y = jax.eval_shape(lambda x: self.apply((), x), jax.ShapeDtypeStruct(shape, dtype))
        return (), y.shape

    def apply(self, weights, x):
        if self.padding == "VALID" and (split := side_by_side(x, self.window, self.stride)) is not None:
            return jnp.mean(split, axis=(1, 3))
        return self._mean(x, 2)

    def covariance(self, cov):
        return cov.map(lambda k: self._mean(k, 4))

    def _mean(self, x, axes):
        for axis in range(axes):
            x = window_sum(x, (axis,), self.window[axis % 2], self.stride[axis % 2], self.padding)
        return x / math.prod(self.window) ** (axes // 2)


@dataclasses.dataclass(frozen=True)
class GlobalAvgPool(LinearLayer):
    """The mean over all positions: a vector. Limit: the mean over all pairs of positions."""

    @property
    def positions(self):
        return Positions.ALL

    @property
    def flattens(self):
        return True

    def init(self, shape, *, key, dtype):
        return (), shape[-1:]

    def apply(self, weights, x):
        return jnp.mean(x, axis=(0, 1))

    def covariance(self, cov):
        return cov.map(functools.partial(jnp.mean, axis=(0, 1, 2, 3)), positions=Positions.NONE)


def _larger(a: Array, b: Array) -> Array:
    """Return the maximum, with a derivative that always goes to exactly one of the two.

    That of `jnp.maximum` asks which of them equals the result, and a compiler that computes them anew, rounded
    otherwise, may find that neither does.
    """
    return jnp.where(a >= b, a, b)


@dataclasses.dataclass(frozen=True)
class MaxPool(Layer):
    """The largest value in each window. It has no limit that is a kernel of covariances."""

    window: Pair = (2, 2)
    stride: Pair = (2, 2)

    def init(self, shape, *, key, dtype):
        y = jax.eval_shape(lambda x: self.apply((), x), jax.ShapeDtypeStruct(shape, dtype))
        return (), y.shape

    def apply(self, weights, x):
        rows, columns = self.window
        if (split := side_by_side(x, self.window, self.stride)) is not None:
            return functools.reduce(_larger, (split[:, i, :, j] for i in range(rows) for j in range(columns)))
        least = np.array(-np.inf, x.dtype)  # a traced one would hide that this is a maximum, which has a derivative
        return jax.lax.reduce_window(x, least, jax.lax.max, (*self.window, 1), (*self.stride, 1), "VALID")

    def observe(self, cov) -> NoReturn:
        raise UsageError("max pooling has no infinite-width limit; use average pooling, or a finite network")

    def propagate(self, cov, note1, note2) -> NoReturn:
        self.observe(cov)
