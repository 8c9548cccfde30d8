"""The kernel of an infinitely wide network: a function of two single examples."""

from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntkbench.ntk.gram import Kernel
from ntkbench.ntk.layers import Covariance, Layer, Note


class _Example(NamedTuple):
    x: Float[Array, "*b d"]
    itself: Covariance
    note: Note


class InfiniteKernel(Kernel):
    """Theta(x, x') I_c of a recipe, at initialization (Jacot 2018); `nngp` is the covariance of its outputs.

    Inputs enter as K = x.x'/d.
    """

    recipe: Layer = eqx.field(static=True)
    type: Literal["ntk", "nngp"] = eqx.field(static=True, default="ntk")

    def example(self, x):
        x = x.ravel()
        cov, note = self.recipe.observe(_input(jnp.dot(x, x, precision="highest"), x.size))
        return _Example(x, cov, note)

    def pair(self, one: _Example, two: _Example) -> Float[Array, ""]:
        """Of two examples; `vmap` it twice for a tile."""
        product = jnp.dot(one.x, two.x, precision="highest")
        return self._read(self.recipe.propagate(_input(product, one.x.size), one.note, two.note))

    def tile(self, one, two):
        return jax.vmap(jax.vmap(self.pair, (None, 0)), (0, None))(one, two)[:, None, :, None]

    def diagonal(self, one):
        return self._read(one.itself)[:, None, None]

    def pair_bytes(self, shape, dtype):
        return 8 * jnp.dtype(dtype).itemsize

    def _read(self, cov):
        return getattr(cov, self.type)


def _input(product, d):
    return Covariance(product / d, jnp.zeros_like(product), d)
