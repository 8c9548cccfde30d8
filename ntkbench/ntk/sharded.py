"""Hold a kernel matrix in parts, by rows, on several devices: its entries and products with it.

A device holds its rows of the matrix and no copy of the others; `ntk.row_layout` says which.

    K = gram(kernel, X, tile_bytes=5e8)
    K @ V                                # on the host
    cholesky.solve(K, Y, least=1e-12)    # by `ntk.sharded_cholesky`, in the memory of K
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkbench.ntk import gram as tiles
from ntkbench.ntk.compilation import jit
from ntkbench.ntk.gram import Kernel
from ntkbench.ntk.row_layout import ROWS, WHOLE, RowLayout, device_index, mirror


@dataclass
class ShardedMatrix:
    """A symmetric n x n matrix in float64, whose rows lie on several devices; `entries` is 0 beyond n."""

    entries: Float[Array, "size size"]
    layout: RowLayout

    def __len__(self) -> int:
        return self.layout.n

    @property
    def shape(self) -> tuple[int, int]:
        """The shape without the rows and columns that were added."""
        return len(self), len(self)

    @property
    def dtype(self) -> Any:
        """The type of the entries; they may have been computed in a shorter one."""
        return self.entries.dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Gather the matrix to the host."""
        return np.array(np.asarray(self.entries)[: len(self), : len(self)], dtype)

    def __matmul__(self, V: np.ndarray | Array) -> np.ndarray:
        return product(self, np.asarray(V))

    def diagonal(self) -> np.ndarray:
        """Return the diagonal on the host."""
        return np.asarray(_diagonal(self.entries, self.layout))[: len(self)]

    def norm(self) -> float:
        """Return the largest sum of absolute values in a row; NaN or infinite where an entry is."""
        return float(_norm(self.entries))


Matrix = Float[np.ndarray, "n n"] | Float[Array, "n n"] | ShardedMatrix
"""a symmetric matrix on the host, on one device, or by rows on several"""


def gram(
    kernel: Kernel, X: Float[Array, "n ..."], *, tile_bytes: float, devices: Sequence[Any] | None = None
) -> ShardedMatrix:
    """Return Theta(X, X) by rows on `devices`, all of this process unless named.

    The kernel has to be a multiple of the identity of the outputs. Each device computes its rows from their own block
    on, in tiles that take `tile_bytes`: a share 1 / 2 + 1 / (2 L) of all pairs. The rest is mirrored, so that the
    matrix is symmetric to the last bit. Beside its rows a device holds X, the quantities of all examples, and a tile.
    """
    layout = RowLayout.of(len(X), devices or jax.local_devices())
    return ShardedMatrix(entries(kernel, X, layout, tile_bytes), layout)


@jit
def entries(
    kernel: Kernel, X: Float[Array, "n ..."], layout: RowLayout, tile_bytes: float
) -> Float[Array, "size size"]:
    """Return the entries of `gram`: what is compiled of it."""
    pairs = kernel.pairs(X.shape[1:], X.dtype, tile_bytes)

    def fill(layout: RowLayout, X: Array) -> Array:
        examples = tiles.examples(kernel, X[jnp.minimum(jnp.arange(layout.size), layout.n - 1)], pairs)
        K = _fill(layout, kernel, examples, math.isqrt(pairs))
        return mirror(layout, K, _own_diagonal(layout, kernel, examples, pairs))

    return layout.spread(fill, WHOLE, ROWS)(X)


def _fill(layout, kernel, examples, side):
    """Compute the rows of this device from their own block on, in tiles of at most `side` x `side` pairs."""
    n, b, side = layout.n, layout.block, tiles.even_rows(layout.block, side)
    first, across = device_index() * layout.rows, -(-layout.block // side)
    blocks = [
        (row * b, device * layout.rows + column * b)
        for row in range(layout.rounds)
        for device in range(layout.mesh.size)
        for column in range(row, layout.rounds)
    ]

    def of_block(K, corner):
        def of_tile(at, K):
            # The last tile of a block ends where the block does, and computes some pairs again.
            row, column = (corner[i] + jnp.minimum(part * side, b - side) for i, part in enumerate(divmod(at, across)))
            one, two = (tiles.take_rows(kernel, examples, start, side) for start in (first + row, column))
            known = (first + row + jnp.arange(side) < n)[:, None] & (column + jnp.arange(side) < n)[None, :]
            tile = jnp.where(known, kernel.tile(one, two)[:, 0, :, 0], 0).astype(K.dtype)
            return jax.lax.dynamic_update_slice(K, tile, (row, column))

        return jax.lax.fori_loop(0, across**2, of_tile, K), None

    K = jnp.zeros((layout.rows, layout.size), jnp.float64)
    return jax.lax.scan(of_block, K, jnp.array(blocks))[0]


def _own_diagonal(layout, kernel, examples, pairs):
    first, count = device_index() * layout.rows, tiles.even_rows(layout.rows, pairs)

    def fill(batch, found):
        start = jnp.minimum(batch * count, layout.rows - count)
        own = kernel.diagonal(tiles.take_rows(kernel, examples, first + start, count))[:, 0, 0]
        own = jnp.where(first + start + jnp.arange(count) < layout.n, own, 0).astype(found.dtype)
        return jax.lax.dynamic_update_slice(found, own, (start,))

    return jax.lax.fori_loop(0, -(-layout.rows // count), fill, jnp.zeros(layout.rows, jnp.float64))


def product(K: ShardedMatrix, V: Float[np.ndarray, "n *m"]) -> Float[np.ndarray, "n *m"]:
    """Return K V on the host."""
    added = np.zeros((K.layout.size - len(K), *V.shape[1:]))
    return np.asarray(_product(K.entries, jnp.asarray(np.concatenate([V, added])), K.layout))[: len(K)]


@functools.partial(jax.jit, static_argnums=2)
def _product(entries, V, layout):
    return layout.spread(lambda _, K, V: jnp.matmul(K, V, precision="highest"), (ROWS, WHOLE), ROWS)(entries, V)


@functools.partial(jax.jit, static_argnums=1)
def _diagonal(entries, layout):
    def own(layout, K):
        each = jnp.arange(layout.rows)
        return K[each, device_index() * layout.rows + each]

    return layout.spread(own, ROWS, ROWS)(entries)


@jax.jit
def _norm(entries):
    return jnp.max(jnp.sum(jnp.abs(entries), axis=1))
