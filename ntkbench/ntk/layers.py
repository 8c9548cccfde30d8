"""Layers, each at two widths: the finite network, and the limit of infinite width.

A layer is a recipe: hashable, without weights. It is read in three ways, side by side:

- `init` and `apply` are the finite network, for one example;
- `observe` and `propagate` are the limit. There the network is a Gaussian process, and all that a layer
  does is to map one covariance to the next. What it needs to know of each example alone (the standard
  deviations before an activation) is `observe`d once per example, and handed as two notes to the pair.

A covariance has the shape of the positions that the network still tells apart: none (`()`), the same
position in both images (`h w`), or all pairs of them (`h w h w`). A pair of equal examples has its own
closed form, which is exact: `observe` uses it, so the diagonal of a Gram matrix comes from there.
"""

import abc
import dataclasses
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

Parameterization = Literal["ntk", "standard"]
Weights = PyTree[Array]
Note = PyTree[Array]
"""What a layer has to know of one example to propagate a pair; empty for linear layers."""


class Covariance(eqx.Module):
    """Of the same units on two examples: of their values (`nngp`), and of their gradients (`ntk`)."""

    nngp: Float[Array, "*positions"]
    ntk: Float[Array, "*positions"]
    channels: int = eqx.field(static=True)

    def map(self, function: Callable[[Array], Array], channels: int) -> "Covariance":
        """The same linear map of both."""
        return Covariance(function(self.nngp), function(self.ntk), channels)


class Layer(abc.ABC):
    """One layer, or several put together."""

    @abc.abstractmethod
    def init(self, shape: tuple[int, ...], *, key: PRNGKeyArray, dtype: Any) -> tuple[Weights, tuple[int, ...]]:
        """Weights for inputs of `shape`, and the shape of the outputs."""

    @abc.abstractmethod
    def apply(self, weights: Weights, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The finite layer on one example."""

    @abc.abstractmethod
    def observe(self, cov: Covariance) -> tuple[Covariance, Note]:
        """The limit for one example with itself, and what pairs need to know of it."""

    @abc.abstractmethod
    def propagate(self, cov: Covariance, note1: Note, note2: Note) -> Covariance:
        """The limit for a pair of examples."""


class LinearLayer(Layer):
    """A layer whose limit maps covariances linearly, and so needs to know nothing else."""

    @abc.abstractmethod
    def covariance(self, cov: Covariance) -> Covariance: ...

    def observe(self, cov: Covariance) -> tuple[Covariance, Note]:
        return self.covariance(cov), ()

    def propagate(self, cov: Covariance, note1: Note, note2: Note) -> Covariance:
        return self.covariance(cov)


@dataclasses.dataclass(frozen=True)
class Dense(LinearLayer):
    """`W_std w x / sqrt(fan_in) + b_std b` with w, b ~ N(0, 1).

    In the standard parameterization the scales are in the initial weights, `w x + b`: the same function at
    init, another gradient. `b_std` None has no bias.
    Limit: K' = W_std^2 K + b_std^2; T' = K' + W_std^2 T (standard: T' = fan_in K + 1 + W_std^2 T).
    """

    width: int
    W_std: float = math.sqrt(2)
    b_std: float | None = 0.0
    parameterization: Parameterization = "ntk"

    def init(self, shape, *, key, dtype):
        (fan_in,) = shape
        w_key, b_key = jax.random.split(key)
        w = jax.random.normal(w_key, (self.width, fan_in), dtype)
        b = None if self.b_std is None else jax.random.normal(b_key, (self.width,), dtype)
        if self.parameterization == "standard":
            w = w * (self.W_std / math.sqrt(fan_in))
            b = None if b is None else b * self.b_std
        return (w, b), (self.width,)

    def apply(self, weights, x):
        w, b = weights
        if self.parameterization == "standard":
            return w @ x if b is None else w @ x + b
        y = (w @ x) * (self.W_std / math.sqrt(x.size))
        return y if b is None else y + b * self.b_std

    def covariance(self, cov):
        nngp = self.W_std**2 * cov.nngp + (self.b_std or 0.0) ** 2
        if self.parameterization == "standard":
            own = cov.channels * cov.nngp + (0.0 if self.b_std is None else 1.0)
        else:
            own = nngp
        return Covariance(nngp, own + self.W_std**2 * cov.ntk, self.width)


@dataclasses.dataclass(frozen=True)
class Flatten(LinearLayer):
    """All positions and channels in one vector. Limit: the mean over equal positions."""

    def init(self, shape, *, key, dtype):
        return (), (math.prod(shape),)

    def apply(self, weights, x):
        return x.ravel()

    def covariance(self, cov):
        return cov.map(jnp.mean, cov.channels * cov.nngp.size)


class _Deviation(NamedTuple):
    """Of the units before an activation, on one example."""

    sd: Float[Array, "*positions"]
    inverse: Float[Array, "*positions"]


class Activation(Layer):
    """A function applied to each unit.

    Limit: for (u, v) ~ N(0, [[q, K], [K, q']]): K' = E[f(u) f(v)], T' = T E[f'(u) f'(v)].
    """

    @abc.abstractmethod
    def function(self, x: Float[Array, "..."]) -> Float[Array, "..."]: ...

    @abc.abstractmethod
    def dual(self, nngp: Float[Array, "*p"], one: _Deviation, two: _Deviation) -> tuple[Float[Array, "*p"], Float[Array, "*p"]]:
        """E[f(u) f(v)] and E[f'(u) f'(v)]."""

    @abc.abstractmethod
    def moments(self, variance: Float[Array, "*p"]) -> tuple[Float[Array, "*p"], Float[Array, "*p"]]:
        """E[f(u)^2] and E[f'(u)^2]: `dual` at u = v, exactly."""

    def init(self, shape, *, key, dtype):
        return (), shape

    def apply(self, weights, x):
        return self.function(x)

    def observe(self, cov):
        nngp, slope = self.moments(cov.nngp)
        positive = cov.nngp > 0
        sd = jnp.sqrt(jnp.where(positive, cov.nngp, 1))  # the derivative of sqrt at 0 must not spread NaN
        note = _Deviation(jnp.where(positive, sd, 0), jnp.where(positive, 1 / sd, 0))
        return Covariance(nngp, cov.ntk * slope, cov.channels), note

    def propagate(self, cov, note1, note2):
        nngp, slope = self.dual(cov.nngp, note1, note2)
        return Covariance(nngp, cov.ntk * slope, cov.channels)


@dataclasses.dataclass(frozen=True)
class ReLU(Activation):
    """max(x, 0). Its limit is the arc-cosine kernel (Cho & Saul 2009, eqs. 5 and 6)."""

    def function(self, x):
        return jax.nn.relu(x)

    def dual(self, nngp, one, two):
        first, zeroth = arc_cosine(nngp * one.inverse * two.inverse)
        return one.sd * two.sd * first, zeroth

    def moments(self, variance):
        return variance / 2, jnp.full_like(variance, 0.5)


@jax.custom_jvp
def arc_cosine(c: Float[Array, "*p"]) -> tuple[Float[Array, "*p"], Float[Array, "*p"]]:
    """(sin t + (pi - t) cos t) / 2 pi and (pi - t) / 2 pi, at the angle t of cosine c.

    The first is the integral of the second. The second has a vertical tangent at c = 1, where its two
    sides' slopes along any path through equal inputs are opposite: their mean, 0, is its derivative.
    """
    c = jnp.clip(c, -1, 1)
    sine = jnp.sqrt((1 - c) * (1 + c))
    rest = math.pi - jnp.arctan2(sine, c)
    return (sine + rest * c) / (2 * math.pi), rest / (2 * math.pi)


@arc_cosine.defjvp
def _(primals, tangents):
    (c,), (dc,) = primals, tangents
    first, zeroth = arc_cosine(c)
    gap = (1 - c) * (1 + c)
    regular = gap > 8 * jnp.finfo(c.dtype).eps  # nearer to 1 than this, c is 1 to round-off
    slope = jnp.where(regular, 1 / (2 * math.pi * jnp.sqrt(jnp.where(regular, gap, 1))), 0)
    return (first, zeroth), (zeroth * dc, slope * dc)


@dataclasses.dataclass(frozen=True)
class Sequential(Layer):
    """One layer after the other."""

    layers: tuple[Layer, ...]

    def init(self, shape, *, key, dtype):
        weights = []
        for layer, layer_key in zip(self.layers, jax.random.split(key, len(self.layers)), strict=True):
            layer_weights, shape = layer.init(shape, key=layer_key, dtype=dtype)
            weights.append(layer_weights)
        return tuple(weights), shape

    def apply(self, weights, x):
        for layer, layer_weights in zip(self.layers, weights, strict=True):
            x = layer.apply(layer_weights, x)
        return x

    def observe(self, cov):
        notes = []
        for layer in self.layers:
            cov, note = layer.observe(cov)
            notes.append(note)
        return cov, tuple(notes)

    def propagate(self, cov, note1, note2):
        for layer, one, two in zip(self.layers, note1, note2, strict=True):
            cov = layer.propagate(cov, one, two)
        return cov
