"""The first-order model of a network in its weights."""

from collections.abc import Callable
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
        value, slope = push(lambda weights: with_weights(self.anchor, weights)(x), self.anchor.weights, self.weights)
        return slope if self.centered else value + slope

    def places(self, shape, dtype):
        return self.anchor.places(shape, dtype)

    def parts(self, x, directions):
        """The anchor's: a first-order model has the same derivatives everywhere."""
        return self.anchor.parts(x, directions)


def push(
    f: Callable[[Weights], Float[Array, "*out"]], weights: Weights, direction: Weights
) -> tuple[Float[Array, "*out"], Float[Array, "*out"]]:
    """f, and its derivative J w along a direction: the transpose of the transpose, at the cost of neither.

    Forward mode in the end, but made of derivatives in reverse mode, which are all that fast convolutions have.
    """
    value, pull = jax.vjp(f, weights)
    _, twice = jax.vjp(lambda u: pull(u)[0], jnp.zeros_like(value))
    return value, twice(direction)[0]


def linearize(predictor: T, *, centered: bool = False) -> Linearized[T]:
    """The first-order model at the predictor's present weights."""
    return Linearized(predictor, jax.tree.map(jnp.zeros_like, predictor.weights), centered)
