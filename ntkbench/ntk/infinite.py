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

_PRODUCT = {Positions.NONE: "c,c->", Positions.MATCHED: "hwc,hwc->hw", Positions.ALL: "hwc,klc->hwkl"}
"""Of two images."""
_PRODUCTS = {Positions.NONE: "ac,bc->ab", Positions.MATCHED: "hwca,hwcb->hwab"}
"""Of two batches."""


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
        cov, note = self.recipe.observe(self._inputs(_PRODUCT, x, x, x.shape[-1]))
        return _Example(x, cov, note)

    @property
    def axis(self):
        # Of one position: pairs last in memory, so that whatever a layer does to positions moves whole rows of pairs.
        return -1 if self.recipe.positions is Positions.MATCHED else 0

    def tile(self, one, two):
        if self.recipe.positions is Positions.ALL:  # whose rows are rows of positions
            return jax.vmap(jax.vmap(self.pair, (None, 0)), (0, None))(one, two)[:, None, :, None]
        channels = one.x.shape[-1 if self.axis == 0 else -2]
        cov = self._inputs(_PRODUCTS, one.x, two.x, channels)
        first = jax.tree.map(lambda leaf: leaf[..., :, None], one.note)
        second = jax.tree.map(lambda leaf: leaf[..., None, :], two.note)
        return self._read(self.recipe.propagate(cov, first, second))[:, None, :, None]

    def pair(self, one: _Example, two: _Example) -> Float[Array, ""]:
        """Of two examples."""
        cov = self._inputs(_PRODUCT, one.x, two.x, one.x.shape[-1])
        return self._read(self.recipe.propagate(cov, one.note, two.note))

    def diagonal(self, one):
        return self._read(one.itself)[:, None, None]

    def pairs(self, shape, dtype, tile_bytes):
        pair_bytes = math.prod(shape[:2]) ** self.recipe.positions * jnp.dtype(dtype).itemsize
        budget = min(tile_bytes / _ARRAYS, _CACHE_BYTES if jax.default_backend() == "cpu" else math.inf)
        return max(1, int(budget / pair_bytes))

    def _inputs(self, equations, x1, x2, channels):
        positions = self.recipe.positions
        # As products of matrices: XLA on CPU gets a sum over channels wrong that is fused into window sums (float32).
        product = jnp.einsum(equations[positions], x1, x2, precision="highest")
        return Covariance(product / channels, jnp.zeros_like(product), channels, positions)

    def _read(self, cov):
        return getattr(cov, self.type)
