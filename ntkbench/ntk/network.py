"""A finite network: a recipe with its weights.

Everything that classifies is a *predictor*: a callable PyTree, one example -> outputs. A predictor that can
be trained keeps what is trained, and nothing else, in its field `weights`. Training, kernels and
linearization know no more of it than that.
"""

import abc
from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ntkbench.ntk.layers import Layer, Weights

Predictor = Callable[[Float[Array, "..."]], Float[Array, " c"]]


class Trainable(eqx.Module):
    """A predictor with weights."""

    weights: eqx.AbstractVar[Weights]

    @property
    @abc.abstractmethod
    def position(self) -> Weights:
        """Where it stands in the space of the network's weights, which `weights` may be relative to."""

    @abc.abstractmethod
    def __call__(self, x: Float[Array, "..."]) -> Float[Array, " c"]: ...


T = TypeVar("T", bound=Trainable)


class Network(Trainable):
    """A recipe at finite width."""

    recipe: Layer = eqx.field(static=True)
    weights: Weights

    @property
    def position(self):
        return self.weights

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, " c"]:
        return self.recipe.apply(self.weights, x)


def initialize(recipe: Layer, shape: tuple[int, ...], *, key: PRNGKeyArray, dtype: Any = jnp.float32) -> Network:
    """A network for inputs of `shape`, its weights drawn as the recipe says."""
    weights, _ = recipe.init(shape, key=key, dtype=dtype)
    return Network(recipe, weights)


def with_weights(predictor: T, weights: Weights) -> T:
    """The same predictor with other weights."""
    return eqx.tree_at(lambda p: p.weights, predictor, weights)


def cast(predictor: T, dtype: Any) -> T:
    """The same predictor in another precision."""
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if eqx.is_inexact_array(leaf) else leaf, predictor)
