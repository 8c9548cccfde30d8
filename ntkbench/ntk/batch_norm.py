"""Batch normalization: the one layer that sees examples together, and only while it is trained.

A network is a function of one example. To it the statistics of batch normalization are constants, which move along
while the network is trained. A step of training alone sees a batch `together`, and normalizes by the batch's own.
The moving ones stand among the weights, so that whoever keeps weights keeps them too; no gradient ever reaches them.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntkbench.errors import UsageError
from ntkbench.ntk.layers import Layer, Weights

_EPS = 1e-5
"""added to a variance"""


class Statistics(NamedTuple):
    """Hold the mean and variance of each channel over a batch and its positions."""

    mean: Float[Array, " c"]
    variance: Float[Array, " c"]

    @classmethod
    def of(cls, X: Float[Array, "n *h_w c"], share: Float[Array, " n"]) -> "Statistics":
        """Over the examples of a batch, each with its share, and the positions in them."""

        def mean(values):
            values = values.reshape(len(values), -1, values.shape[-1])
            return jnp.average(jnp.mean(values, axis=1), axis=0, weights=share)

        center = mean(X)
        return cls(center, mean(jnp.square(X - _along(X, center))))

    def normalize(self, x: Float[Array, "*n_h_w c"]) -> Float[Array, "*n_h_w c"]:
        """(x - mean) / sqrt(variance + 1e-5)."""
        return (x - _along(x, self.mean)) / jnp.sqrt(_along(x, self.variance) + _EPS)


class Affine(NamedTuple):
    """Hold a weight and a shift for each channel, both of which are trained."""

    scale: Float[Array, " c"]
    shift: Float[Array, " c"]

    def of(self, x: Float[Array, "*n_h_w c"]) -> Float[Array, "*n_h_w c"]:
        """Return scale x + shift."""
        return x * _along(x, self.scale) + _along(x, self.shift)


def _along(x: Array, channels: Float[Array, " c"]) -> Array:
    """Shaped to broadcast against x."""
    return channels.reshape((1,) * (x.ndim - 1) + (-1,))


@dataclasses.dataclass(frozen=True)
class BatchNorm(Layer):
    """(x - mean) / sqrt(variance + 1e-5) in each channel (Ioffe & Szegedy 2015, algorithm 1).

    Of the moving statistics, the share `momentum` stays at each step. It has no limit that is a kernel of two examples.
    With `affine` the weights are the statistics and an `Affine`, else the statistics alone.
    """

    momentum: float = 0.9
    affine: bool = False

    def init(self, shape, *, key, dtype):
        zeros, ones = jnp.zeros(shape[-1:], dtype), jnp.ones(shape[-1:], dtype)
        return ((Statistics(zeros, ones), Affine(ones, zeros)) if self.affine else Statistics(zeros, ones)), shape

    def apply(self, weights, x):
        moving, after = self.parts(weights)
        return after(jax.lax.stop_gradient(moving).normalize(x))

    def parts(self, weights: Weights) -> tuple[Statistics, Callable[[Array], Array]]:
        """Return the moving statistics among the weights, and what is done to normalized values."""
        return (weights[0], weights[1].of) if self.affine else (weights, lambda x: x)

    def observe(self, cov) -> NoReturn:
        raise UsageError(
            "batch normalization has no infinite-width limit; use layer normalization, or a finite network"
        )

    def propagate(self, cov, note1, note2) -> NoReturn:
        self.observe(cov)


def together(
    recipe: Layer, weights: Weights, X: Float[Array, "n ..."], share: Float[Array, " n"], momentum: float | None = None
) -> tuple[Float[Array, "n c"], list[Statistics]]:
    """The outputs for a batch that is normalized by its own statistics, and the moving statistics that it leaves.

    `share`: of the batch's mean; 0 for examples that are not of the batch. `momentum` None: that of each layer.
    """
    left = []

    def visit(layer, own, X):
        if not isinstance(layer, BatchNorm):
            return jax.vmap(functools.partial(layer.apply, own))(X)
        moving, after = layer.parts(own)
        kept, seen = layer.momentum if momentum is None else momentum, Statistics.of(X, share)
        left.append(jax.tree.map(lambda old, new: kept * old + (1 - kept) * new, moving, seen))
        return after(seen.normalize(X))

    return recipe.walk(visit, weights, X), left


def statistics(weights: Weights) -> list[Statistics]:
    """Return the statistics among the weights, in the order in which `together` leaves them."""
    return [node for node in jax.tree.leaves(weights, is_leaf=_is_statistics) if _is_statistics(node)]


def with_statistics(weights: Weights, statistics: Iterable[Statistics | None]) -> Weights:
    """The weights with others in their place."""
    new = iter(statistics)
    return jax.tree.map(lambda node: next(new) if _is_statistics(node) else node, weights, is_leaf=_is_statistics)


def trained(weights: Weights) -> Weights:
    """The weights without them."""
    return with_statistics(weights, [None] * len(statistics(weights)))


def _is_statistics(node: Any) -> bool:
    return isinstance(node, Statistics)
