"""The kernel of an infinitely wide network: a function of two single examples."""

import math
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntkbench.ntk.gram import Kernel
from ntkbench.ntk.layers import Covariance, Layer, Note, Positions

_ARRAYS = 8
"""of a tile's shape that live at the same time"""
_CACHE_BYTES = 2**20
"""of one such array, small enough to stay in a processor's cache from one layer to the next"""


class _Example(NamedTuple):
    x: Float[Array, "..."]
    itself: Covariance
    note: Note


class InfiniteKernel(Kernel):
    """Theta(x, x') I_c of a recipe, at initialization (Jacot 2018); `nngp` is the covariance of its outputs.

    Inputs enter as K(p, p') = <x_p, x'_p'> / channels, at as many pairs of positions p, p' as the recipe tells apart.
    """

    recipe: Layer = eqx.field(static=True)
    type: Literal["ntk", "nngp"] = eqx.field(static=True, default="ntk")

    def example(self, x):
        x = x.ravel() if self.recipe.positions is Positions.NONE else x
        cov, note = self.recipe.observe(self._input(x, x))
        return _Example(x, cov, note)

    def pair(self, one: _Example, two: _Example) -> Float[Array, ""]:
        """Of two examples; `vmap` it twice for a tile."""
        return self._read(self.recipe.propagate(self._input(one.x, two.x), one.note, two.note))

    def tile(self, one, two):
        match self.recipe.positions:
            case Positions.NONE:
                return jax.vmap(jax.vmap(self.pair, (None, 0)), (0, None))(one, two)[:, None, :, None]
            case Positions.MATCHED:
                # Pairs last in memory: whatever a layer does to positions moves whole rows of pairs.
                one, two = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), (one, two))
                return jax.vmap(jax.vmap(self.pair, (-1, None), -1), (None, -1), -1)(one, two)[:, None, :, None]
        # A covariance of all pairs of positions fills the cache by itself: one at a time, and again for its gradient.
        pair = jax.checkpoint(self.pair)
        return jax.lax.map(lambda a: jax.lax.map(lambda b: pair(a, b), two), one)[:, None, :, None]

    def diagonal(self, one):
        return self._read(one.itself)[:, None, None]

    def rows(self, shape, dtype, tile_bytes):
        pair_bytes = math.prod(shape[:2]) ** self.recipe.positions * jnp.dtype(dtype).itemsize
        budget = min(tile_bytes / _ARRAYS, _CACHE_BYTES if jax.default_backend() == "cpu" else math.inf)
        return int((budget / pair_bytes) ** 0.5)

    def _input(self, x1, x2):
        # As products of matrices: XLA on CPU gets a sum over channels wrong that is fused into window sums (float32).
        equation = {Positions.NONE: "c,c->", Positions.MATCHED: "hwc,hwc->hw", Positions.ALL: "hwc,klc->hwkl"}
        product = jnp.einsum(equation[self.recipe.positions], x1, x2, precision="highest")
        channels = x1.shape[-1]
        return Covariance(product / channels, jnp.zeros_like(product), channels)

    def _read(self, cov):
        return getattr(cov, self.type)
