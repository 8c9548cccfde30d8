"""The first-order model of a network in its weights."""

from typing import Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntkbench.ntk.layers import Weights
from ntkbench.ntk.network import Trainable, with_weights

T = TypeVar("T", bound=Trainable)


class Linearized(Trainable, Generic[T]):
    """f(theta_0, x) + J(theta_0, x) w; without its first term when `centered`.

    The weights w are the displacement from theta_0, kept apart from it: in a wide network they are so small
    beside theta_0 that float32 would round their sum.
    """

    anchor: T
    weights: Weights
    centered: bool = eqx.field(static=True, default=False)

    @property
    def position(self):
        return jax.tree.map(jnp.add, self.anchor.position, self.weights)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, " c"]:
        def f(weights):
            return with_weights(self.anchor, weights)(x)

        value, slope = jax.jvp(f, (self.anchor.weights,), (self.weights,))
        return slope if self.centered else value + slope


def linearize(predictor: T, *, centered: bool = False) -> Linearized[T]:
    """The first-order model at the predictor's present weights."""
    return Linearized(predictor, jax.tree.map(jnp.zeros_like, predictor.weights), centered)
