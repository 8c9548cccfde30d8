"""The kernel of an infinitely wide network: a function of two single examples."""

import math
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntkbench.ntk.entrywise import entrywise
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
    """the recipe's; without positions, the example's covariance with itself, of which that is a function"""


class InfiniteKernel(Kernel):
    """Theta(x, x') I_c of a recipe, at initialization (Jacot 2018); `nngp` is the covariance of its outputs.

    Inputs enter as K(p, p') = <x_p, x'_p'> / channels, at as many pairs of positions p, p' as the recipe tells apart.
    """

    recipe: Layer = eqx.field(static=True)
    type: Literal["ntk", "nngp"] = eqx.field(static=True, default="ntk")

    def example(self, x):
        x = x.ravel() if self.recipe.positions is Positions.NONE else x
        inputs = self._covariance(self._product(_PRODUCT, x, x, x.shape[-1]), x.shape[-1])
        itself, note = self.recipe.observe(inputs)
        return _Example(x, itself, inputs.nngp if self.recipe.positions is Positions.NONE else note)

    @property
    def axis(self):
        # Of one position: pairs last in memory, so that whatever a layer does to positions moves whole rows of pairs.
        return -1 if self.recipe.positions is Positions.MATCHED else 0

    def tile(self, one, two):
        match self.recipe.positions:
            case Positions.NONE:
                tile = self._of_vectors(one, two)
            case Positions.MATCHED:
                tile = self._of_rows(one, two)
            case Positions.ALL:
                tile = self._of_pairs(one, two)
        return tile[:, None, :, None]

    def _of_vectors(self, one, two):
        channels = one.x.shape[1]

        def theta(*moments):
            product, *norms = (self._covariance(k, channels) for k in moments)
            notes = (self.recipe.observe(norm)[1] for norm in norms)
            return self._read(self.recipe.propagate(product, *notes))

        product = self._product(_PRODUCTS, one.x, two.x, channels)
        return entrywise(theta, product, one.note[:, None], two.note[None, :])

    def _of_rows(self, one, two):
        channels = one.x.shape[-2]
        inputs = self._covariance(self._product(_PRODUCTS, one.x, two.x, channels), channels)
        first = jax.tree.map(lambda leaf: leaf[..., :, None], one.note)
        second = jax.tree.map(lambda leaf: leaf[..., None, :], two.note)
        return self._read(self.recipe.propagate(inputs, first, second))

    def _of_pairs(self, one, two):
        """Each pair has notes of its own: their gradients are summed over positions first, and then over pairs."""
        first = jax.tree.map(lambda leaf: jnp.repeat(leaf[:, None], len(two.x), 1), one.note)
        second = jax.tree.map(lambda leaf: jnp.repeat(leaf[None], len(one.x), 0), two.note)
        of_row = jax.vmap(self._of_images, (None, 0, 0, 0))
        return jax.vmap(of_row, (0, None, 0, 0))(one.x, two.x, first, second)

    def _of_images(self, x1, x2, first, second):
        channels = x1.shape[-1]
        inputs = self._covariance(self._product(_PRODUCT, x1, x2, channels), channels)
        return self._read(self.recipe.propagate(inputs, first, second))

    def diagonal(self, one):
        return self._read(one.itself)[:, None, None]

    def pairs(self, shape, dtype, tile_bytes):
        pair_bytes = math.prod(shape[:2]) ** self.recipe.positions * jnp.dtype(dtype).itemsize
        budget = min(tile_bytes / _ARRAYS, _CACHE_BYTES if jax.default_backend() == "cpu" else math.inf)
        return max(1, int(budget / pair_bytes))

    def _product(self, equations, x1, x2, channels):
        # As products of matrices: XLA on CPU gets a sum over channels wrong that is fused into window sums (float32).
        return jnp.einsum(equations[self.recipe.positions], x1, x2, precision="highest") / channels

    def _covariance(self, nngp, channels):
        return Covariance(nngp, None, channels, self.recipe.positions)

    def _read(self, cov):
        found = getattr(cov, self.type)
        return jnp.zeros_like(cov.nngp) if found is None else found  # no weights at all
