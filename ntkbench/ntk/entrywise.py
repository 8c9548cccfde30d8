"""Reverse mode for functions that act entry by entry.

Its partial derivatives come forward, in the pass that computes the value. Reverse mode would write each intermediate to
memory and read it back, which costs more than the arithmetic.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntkbench.ntk.materialize import materialize


def entrywise(function: Callable[..., Float[Array, "*p"]], *arguments: Float[Array, "*#p"]) -> Float[Array, "*p"]:
    """function(*arguments), where each entry depends on the entries of the same place, up to broadcasting."""

    @jax.custom_vjp
    def value(*arguments):
        return function(*arguments)

    def forward(*arguments):
        derivatives = [_derivative(function, arguments, i) for i in range(len(arguments))]
        return derivatives[0][0], [(slope, a.shape) for a, (_, slope) in zip(arguments, derivatives, strict=True)]

    def backward(slopes, gradient):
        return tuple(_folded(gradient * slope, shape) for slope, shape in slopes)

    value.defvjp(forward, backward)
    return value(*arguments)


def _derivative(function, arguments, i):
    def of_one(argument):
        return function(*arguments[:i], argument, *arguments[i + 1 :])

    return jax.jvp(of_one, (arguments[i],), (jnp.ones_like(arguments[i]),))


def _folded(x: Float[Array, "*p"], shape: tuple[int, ...]) -> Float[Array, "..."]:
    """The sum over the axes along which an array of that shape is repeated."""
    axes = tuple(axis for axis, (many, few) in enumerate(zip(x.shape, shape, strict=True)) if few < many)
    return jnp.sum(materialize(x), axes, keepdims=True) if axes else x
