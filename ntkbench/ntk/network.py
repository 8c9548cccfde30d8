"""A finite network: a recipe with its weights.

Everything that classifies is a *predictor*: a callable PyTree, one example -> outputs. A predictor that can
be trained keeps what is trained, and nothing else, in its field `weights`. Training, kernels and
linearization know no more of it than that.
"""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ntkbench.ntk import batch_norm
from ntkbench.ntk.batch_norm import Statistics
from ntkbench.ntk.layers import Layer, Sequential, Weighted, Weights

Predictor = Callable[[Float[Array, "..."]], Float[Array, " c"]]


class Place(NamedTuple):
    """A layer with weights, and what goes into it and comes out of it for one example."""

    layer: Weighted
    x: jax.ShapeDtypeStruct
    y: jax.ShapeDtypeStruct


class Part(NamedTuple):
    """Hold what backpropagation gives at one layer with weights, for one example or, with an axis before, several."""

    x: Float[Array, "..."]
    """what goes into the layer"""
    signals: Float[Array, "p o k"]
    """at each position p, derivatives of o outputs, or of directions among them, by the layer's outputs k"""


class Trainable(eqx.Module):
    """A predictor with weights."""

    weights: eqx.AbstractVar[Weights]

    @property
    def position(self) -> Weights:
        """Return the network's position in its space of weights; `weights` may be relative to another point there."""
        return self.weights

    @abc.abstractmethod
    def __call__(self, x: Float[Array, "..."]) -> Float[Array, " c"]: ...

    def together(
        self, X: Float[Array, "n ..."], share: Float[Array, " n"]
    ) -> tuple[Float[Array, "n c"], list[Statistics]]:
        """The outputs for a batch in training, and the statistics among the weights that it leaves.

        `share`: of the batch's mean.
        """
        return jax.vmap(self)(X), batch_norm.statistics(self.weights)

    def after(self, first: Layer) -> "Trainable":
        """The predictor of what a layer without weights makes of an example."""
        raise NotImplementedError

    def places(self, shape: tuple[int, ...], dtype: Any) -> tuple[Place, ...] | None:
        """Return the places of all weights, each used once, for examples of that shape.

        Return None for a network with weights that are not those of a `Weighted` layer.
        """
        return None

    def parts(self, x: Float[Array, "..."], directions: Float[Array, "o c"]) -> tuple[Part, ...]:
        """At each of `places`: the gradient of the o-th direction by its weights is sum_p signals[p, o] phi_p^T."""
        return ()


T = TypeVar("T", bound=Trainable)


class Network(Trainable):
    """A recipe at finite width."""

    recipe: Layer = eqx.field(static=True)
    weights: Weights

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, " c"]:
        return self.recipe.apply(self.weights, x)

    def after(self, first):
        return Network(recipe=Sequential((first, self.recipe)), weights=((), self.weights))

    def together(self, X, share):
        if not batch_norm.statistics(self.weights):
            return jax.vmap(self)(X), []
        return batch_norm.together(self.recipe, self.weights, X, share)

    def parts(self, x, directions):
        zeros = [jnp.zeros(place.y.shape, place.y.dtype) for place in self.places(x.shape, x.dtype) or ()]

        def nudged(nudges):
            inputs, left = [], iter(nudges)

            def visit(layer, weights, x):
                if not isinstance(layer, Weighted):
                    return layer.apply(weights, x)
                inputs.append(x)
                return layer.apply(weights, x) + next(left)

            return self.recipe.walk(visit, self.weights, x), inputs

        _, pull, inputs = jax.vjp(nudged, zeros, has_aux=True)
        (signals,) = jax.vmap(pull, out_axes=-2)(directions.astype(x.dtype))
        flat = (s.reshape(-1, *s.shape[-2:]) for s in signals)
        return tuple(Part(x, s) for x, s in zip(inputs, flat, strict=True))

    def places(self, shape, dtype):
        met, others = [], []

        def visit(layer, weights, x):
            y = layer.apply(weights, x)
            if isinstance(layer, Weighted):
                met.append(Place(layer, *(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (x, y))))
            else:
                others.extend(jax.tree.leaves(batch_norm.trained(weights)))
            return y

        jax.eval_shape(lambda x: self.recipe.walk(visit, self.weights, x), jax.ShapeDtypeStruct(shape, dtype))
        return None if others else tuple(met)


def initialize(recipe: Layer, shape: tuple[int, ...], *, key: PRNGKeyArray, dtype: Any = jnp.float32) -> Network:
    """A network for inputs of `shape`, its weights drawn as the recipe says."""
    weights, _ = recipe.init(shape, key=key, dtype=dtype)
    return Network(recipe, weights)


def settled(network: Network, X: Float[Array, "n ..."]) -> Network:
    """The same network, the statistics of its batch normalization those of a first batch."""
    share = jnp.full(len(X), 1 / len(X), X.dtype)
    _, left = batch_norm.together(network.recipe, network.weights, X, share, momentum=0.0)
    return with_weights(network, batch_norm.with_statistics(network.weights, left))


def with_weights(predictor: T, weights: Weights) -> T:
    """The same predictor with other weights."""
    return eqx.tree_at(lambda p: p.weights, predictor, weights)


def cast(predictor: T, dtype: Any) -> T:
    """The same predictor in another precision."""
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if eqx.is_inexact_array(leaf) else leaf, predictor)
