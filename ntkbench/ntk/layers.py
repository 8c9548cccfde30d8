"""Layers, each at two widths: the finite network, and the limit of infinite width.

A layer is a recipe: hashable, without weights. It is read in three ways, side by side:

- `init` and `apply` are the finite network, for one example;
- `observe` and `propagate` are the limit. There the network is a Gaussian process, and all that a layer
  does is to map one covariance to the next. What it needs to know of each example alone (the standard
  deviations before an activation) is `observe`d once per example, and handed as two notes to the pair.

A covariance begins with the axes of the positions that the network still tells apart: none, the same position in
both images (`h w`), or all pairs of them (`h w h w`). Axes behind those are of pairs of examples, and
no layer looks at them. A pair of equal examples has its own closed form, which is exact: `observe` uses it, so
the diagonal of a Gram matrix comes from there.
"""

import abc
import dataclasses
import enum
import functools
import math
import operator
from collections.abc import Callable, Iterable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ntkbench.ntk.materialize import materialize

Parameterization = Literal["ntk", "standard"]
Weights = PyTree[Array]
Visit = Callable[["Layer", Weights, Array], Array]
"""(layer, weights, x) -> what is handed on in its place."""
Note = PyTree[Array]
"""What a layer has to know of one example to propagate a pair; empty for linear layers."""


class Positions(enum.IntEnum):
    """Name the pairs of positions of two images whose covariances a limit needs."""

    NONE = 0
    MATCHED = 1
    ALL = 2


class Covariance(eqx.Module):
    """Hold the covariances of the same units on two examples: of their values (`nngp`) and gradients (`ntk`)."""

    nngp: Float[Array, "*positions_pairs"]
    ntk: Float[Array, "*positions_pairs"] | None
    """None before the first weights: 0"""
    channels: int = eqx.field(static=True)
    positions: Positions = eqx.field(static=True)

    def map(self, function: Callable[[Array], Array], **fields: Any) -> "Covariance":
        """The same linear map of both."""
        ntk = None if self.ntk is None else function(self.ntk)
        return dataclasses.replace(self, nngp=function(self.nngp), ntk=ntk, **fields)

    def at_equal_positions(self, k: Float[Array, "*positions_pairs"]) -> Float[Array, "..."]:
        """Return the entries at equal positions of both images."""
        if self.positions is not Positions.ALL:
            return k
        h, w, _, _, *pairs = k.shape
        return materialize(k.reshape(h * w * h * w, *pairs)[:: h * w + 1].reshape(h, w, *pairs))


class Layer(abc.ABC):
    """One layer, or several put together."""

    @property
    def positions(self) -> Positions:
        """Return the pairs of positions whose covariances the limit needs."""
        return Positions.MATCHED

    @property
    def flattens(self) -> bool:
        """Return whether the layer turns an image into a vector, which has no positions."""
        return False

    @abc.abstractmethod
    def init(self, shape: tuple[int, ...], *, key: PRNGKeyArray, dtype: Any) -> tuple[Weights, tuple[int, ...]]:
        """Weights for inputs of `shape`, and the shape of the outputs."""

    @abc.abstractmethod
    def apply(self, weights: Weights, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The finite layer on one example."""

    def walk(self, visit: Visit, weights: Weights, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The finite layer with `visit` in the place of `apply` at each of its innermost layers, in turn."""
        return visit(self, weights, x)

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


class Weighted(LinearLayer):
    """A layer with weights and, unless `b_std` is None, biases: the same linear map of phi at each position."""

    W_std: float
    b_std: float | None
    parameterization: Parameterization

    @abc.abstractmethod
    def features(self, x: Float[Array, "..."]) -> Float[Array, "p f"]:
        """phi, with y_p = W phi_p at each position p of the output, for weights and biases in one matrix W."""

    @abc.abstractmethod
    def windows(self, X: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, "n ..."]:
        """Return a view of the examples that has the features: axes of positions, then of the inputs read there.

        Without scales, and without the 1 that stands for the bias.
        """

    def scales(self, fan_in: int) -> tuple[float, float | None]:
        """Return the factors of the parameterization before inputs, and before biases where there are any."""
        scale, bias = 1.0, 1.0
        if self.parameterization == "ntk":
            scale, bias = self.W_std / math.sqrt(fan_in), self.b_std or 0.0
        return scale, None if self.b_std is None else bias

    def weighted(self, cov: Covariance, fan_in: int, channels: int) -> Covariance:
        """K' = W_std^2 K + b_std^2 and T' = K' + W_std^2 T (standard: T' = fan_in K + 1 + W_std^2 T)."""
        weight, bias = _square(self.W_std), _square(self.b_std or 0.0)
        nngp = weight * cov.nngp + bias
        own = nngp
        if self.parameterization == "standard":
            own = fan_in * cov.nngp + (0.0 if self.b_std is None else 1.0)
        ntk = own if cov.ntk is None else own + weight * cov.ntk
        return dataclasses.replace(cov, nngp=nngp, ntk=ntk, channels=channels)

    def scaled(self, x: Float[Array, "p f"]) -> Float[Array, "p g"]:
        """Inputs, and the 1 that stands for the bias, with their scales."""
        scale, bias = self.scales(x.shape[1])
        if bias is None:
            return x * scale
        return jnp.concatenate([x * scale, jnp.full((len(x), 1), bias, x.dtype)], axis=1)


@dataclasses.dataclass(frozen=True)
class Dense(Weighted):
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
            b = None if b is None else b * (self.b_std or 0.0)
        return (w, b), (self.width,)

    def apply(self, weights, x):
        w, b = weights
        if self.parameterization == "standard":
            return w @ x if b is None else w @ x + b
        y = (w @ x) * (self.W_std / math.sqrt(x.size))
        return y if b is None else y + b * self.b_std

    def features(self, x):
        return self.scaled(x[None])

    def windows(self, X):
        return X[:, None]

    def covariance(self, cov):
        return self.weighted(cov, cov.channels, self.width)


@dataclasses.dataclass(frozen=True)
class Flatten(LinearLayer):
    """All positions and channels in one vector. Limit: the mean over equal positions."""

    @property
    def positions(self):
        return Positions.NONE

    @property
    def flattens(self):
        return True

    def init(self, shape, *, key, dtype):
        return (), (math.prod(shape),)

    def apply(self, weights, x):
        return x.ravel()

    def covariance(self, cov):
        if cov.positions is Positions.NONE:
            return cov
        channels = cov.channels * math.prod(cov.nngp.shape[:2])
        mean = functools.partial(jnp.mean, axis=(0, 1))
        return cov.map(lambda k: mean(cov.at_equal_positions(k)), channels=channels, positions=Positions.NONE)


class Composite(Layer):
    """Layers put together."""

    def apply(self, weights, x):
        return self.walk(lambda layer, layer_weights, y: layer.apply(layer_weights, y), weights, x)

    @abc.abstractmethod
    def walk(self, visit: Visit, weights: Weights, x: Float[Array, "..."]) -> Float[Array, "..."]: ...


@dataclasses.dataclass(frozen=True)
class Sequential(Composite):
    """One layer after the other."""

    layers: tuple[Layer, ...]

    @property
    def positions(self):
        """The most that a layer needs, up to the one after which there are no positions."""
        needs = Positions.NONE
        for layer in self.layers:
            needs = max(needs, layer.positions)
            if layer.flattens:
                break
        return needs

    @property
    def flattens(self):
        return any(layer.flattens for layer in self.layers)

    def init(self, shape, *, key, dtype):
        weights = []
        for layer, layer_key in zip(self.layers, jax.random.split(key, len(self.layers)), strict=True):
            layer_weights, shape = layer.init(shape, key=layer_key, dtype=dtype)
            weights.append(layer_weights)
        return tuple(weights), shape

    def walk(self, visit, weights, x):
        for layer, layer_weights in zip(self.layers, weights, strict=True):
            x = layer.walk(visit, layer_weights, x)
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


@dataclasses.dataclass(frozen=True)
class Sum(Composite):
    """Branches side by side, added up: a residual block is the sum of the identity, `Sequential(())`, and the rest.

    Limit: the branches' weights are independent, so covariances add.
    """

    branches: tuple[Layer, ...]

    @property
    def positions(self):
        return max(branch.positions for branch in self.branches)

    def init(self, shape, *, key, dtype):
        keys = jax.random.split(key, len(self.branches))
        parts = [b.init(shape, key=k, dtype=dtype) for b, k in zip(self.branches, keys, strict=True)]
        shapes = {out for _, out in parts}
        if len(shapes) > 1:
            raise ValueError(f"branches of different shapes cannot be added: {sorted(shapes)}")
        return tuple(weights for weights, _ in parts), shapes.pop()

    def walk(self, visit, weights, x):
        return _total(b.walk(visit, w, x) for b, w in zip(self.branches, weights, strict=True))

    def observe(self, cov):
        parts = [branch.observe(cov) for branch in self.branches]
        return self._add([part for part, _ in parts]), tuple(note for _, note in parts)

    def propagate(self, cov, note1, note2):
        return self._add([b.propagate(cov, *notes) for b, *notes in zip(self.branches, note1, note2, strict=True)])

    def _add(self, parts):
        slopes = [p.ntk for p in parts if p.ntk is not None]
        return dataclasses.replace(parts[0], nngp=_total(p.nngp for p in parts), ntk=_total(slopes) if slopes else None)


def _square(x: float) -> float:
    """Infinite where a power would be an error: what overflows is told by whoever looks at the kernel."""
    return x * x


def _total(terms: Iterable[Array]) -> Array:
    return functools.reduce(operator.add, terms)
