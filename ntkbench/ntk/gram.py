"""Gram matrices by tiles: symmetry, memory, devices and the order of the work are decided here and nowhere else.

A kernel says what it keeps of one example (`example`), what two batches of those give (`tile`), and what
one gives with itself, exactly (`diagonal`).
"""

import abc
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, PyTree

from ntkbench.ntk.compilation import jit

Example = PyTree[Array]


class Kernel(eqx.Module):
    """Theta(x, x'), an o x o matrix: o is 1 where the kernel is a multiple of the identity of the outputs."""

    @property
    def axis(self) -> Literal[0, -1]:
        """Return the axis along which the examples of a batch lie in all leaves of `example`."""
        return 0

    @abc.abstractmethod
    def example(self, x: Float[Array, "..."]) -> Example:
        """Return the quantities of one example from which tiles are computed, such as its norms in each layer."""

    @abc.abstractmethod
    def tile(self, one: Example, two: Example) -> Float[Array, "n1 o n2 o"]:
        """Theta between two batches of examples."""

    @abc.abstractmethod
    def diagonal(self, one: Example) -> Float[Array, "n o o"]:
        """Theta of each example of a batch with itself."""

    @abc.abstractmethod
    def pairs(self, shape: tuple[int, ...], dtype: Any, tile_bytes: float) -> int:
        """Return how many pairs of examples to compute at once in that memory, for inputs of `shape`; at least 1."""


@jit
def gram(
    kernel: Kernel,
    X1: Float[Array, "n1 ..."],
    X2: Float[Array, "n2 ..."] | None = None,
    *,
    tile_bytes: float = 5e8,
    devices: Sequence[Any] | None = None,
) -> Float[Array, "n1 o n2 o"]:
    """Theta(X1, X2); without X2, Theta(X1, X1), of which only half is computed.

    Tiles are spread over `devices`, all of this process unless named. Each device fills its own tiles of a matrix of
    zeros, and the matrices are added up.
    """
    devices = devices or jax.local_devices()
    pairs = kernel.pairs(X1.shape[1:], X1.dtype, tile_bytes)
    one = examples(kernel, X1, pairs)
    if X2 is None:
        n, rows = len(X1), even_rows(len(X1), math.isqrt(pairs))
        blocks = [(i, j) for i in range(-(-n // rows)) for j in range(i, -(-n // rows))]
        fill = functools.partial(_fill_both, kernel, one, rows)
        K = _zeros(kernel, one, one, n, n)
    else:
        two = examples(kernel, X2, pairs)
        n1, n2 = len(X1), len(X2)
        rows1 = even_rows(n1, max(math.isqrt(pairs), pairs // n2))
        rows2 = even_rows(n2, pairs // rows1)
        blocks = [(i, j) for i in range(-(-n1 // rows1)) for j in range(-(-n2 // rows2))]
        fill = functools.partial(_fill, kernel, one, two, rows1, rows2)
        K = _zeros(kernel, one, two, n1, n2)
    return _spread(fill, K, blocks, devices)


def on_host(
    kernel: Kernel, X: Float[Array, "n ..."], *, rows: int = 512, tile_bytes: float = 5e8
) -> Float[np.ndarray, "n n"]:
    """Theta(X, X) as a NumPy matrix in float64, for a kernel that is a multiple of the identity of the outputs.

    Blocks of `rows` x `rows` are computed one after the other and written to their place: no second matrix of this
    size is ever in memory, on the device or here, and the matrix may be overwritten.
    """
    n, rows = len(X), even_rows(len(X), rows)
    K = np.empty((n, n))
    starts = [min(start, n - rows) for start in range(0, n, rows)]
    for i, a in enumerate(starts):
        for b in starts[i:]:
            other = None if a == b else X[b : b + rows]
            block = matrix(np.asarray(gram(kernel, X[a : a + rows], other, tile_bytes=tile_bytes)))
            K[a : a + rows, b : b + rows] = block
            K[b : b + rows, a : a + rows] = block.T
    return K


def examples(kernel: Kernel, X: Float[Array, "n ..."], batch_size: int) -> Example:
    """Return the quantities of each example from which the kernel computes its tiles."""
    n, rows, axis = len(X), even_rows(len(X), batch_size), kernel.axis
    batch = jax.vmap(kernel.example, out_axes=axis)
    if rows == n:
        return batch(X)

    def fill(kept, block):
        start = _start(block, rows, n)
        new = batch(jax.lax.dynamic_slice_in_dim(X, start, rows))
        return jax.tree.map(lambda k, v: jax.lax.dynamic_update_slice_in_dim(k, v, start, axis), kept, new), None

    kept = jax.eval_shape(batch, X)
    kept = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), kept)
    return jax.lax.scan(fill, kept, jnp.arange(-(-n // rows)))[0]


def even_rows(n: int, rows: int) -> int:
    """Rows of equal blocks, as few as there can be of at most `rows`."""
    return -(-n // -(-n // min(max(rows, 1), n)))


def _start(block, rows, n):
    """The last block ends where the matrix does, and so overlaps the one before: nothing is padded."""
    return jnp.minimum(block * rows, n - rows)


def _own(block, rows, n):
    """Return the rows of a block that no other block has. A block past the end has none."""
    return _start(block, rows, n) + jnp.arange(rows) >= block * rows


def _fill(kernel, one, two, rows1, rows2, K, block):
    (i, j), n1, n2 = block, K.shape[0], K.shape[2]
    corner = _start(i, rows1, n1), _start(j, rows2, n2)
    tile = kernel.tile(take_rows(kernel, one, corner[0], rows1), take_rows(kernel, two, corner[1], rows2))
    return _write(K, tile, corner, _own(i, rows1, n1), _own(j, rows2, n2))


def _fill_both(kernel, one, rows, K, block):
    """A tile and its mirror image; symmetric to the last bit."""
    (i, j), n = block, K.shape[0]
    a, b = _start(i, rows, n), _start(j, rows, n)
    first, second = take_rows(kernel, one, a, rows), take_rows(kernel, one, b, rows)
    if rows == 1:
        tile = jax.lax.cond(i == j, lambda: kernel.diagonal(first)[:, :, None, :], lambda: kernel.tile(first, second))
    else:
        # The branch is also what keeps XLA from computing the tile twice, once as it is and once mirrored.
        tile = kernel.tile(first, second)
        tile = jax.lax.cond(i == j, lambda: _symmetric(tile, kernel.diagonal(first)), lambda: tile)
    own = _own(i, rows, n), _own(j, rows, n)
    K = _write(K, _mirrored(tile), (b, a), *reversed(own))
    return _write(K, tile, (a, b), *own)


def _mirrored(tile):
    return tile.transpose(2, 3, 0, 1)


def _symmetric(tile, diagonal):
    each = jnp.arange(tile.shape[0])
    return ((tile + _mirrored(tile)) / 2).at[each, :, each, :].set(diagonal)


def _write(K, tile, corner, own1, own2):
    start = corner[0], 0, corner[1], 0
    before = jax.lax.dynamic_slice(K, start, tile.shape)
    own = own1[:, None, None, None] & own2[None, None, :, None]
    return jax.lax.dynamic_update_slice(K, jnp.where(own, tile, before), start)


def take_rows(kernel: Kernel, examples: Example, start: Any, count: int) -> Example:
    """Return the quantities of `count` examples from `start` on."""
    return jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, count, kernel.axis), examples)


def _zeros(kernel, one, two, n1, n2):
    tile = jax.eval_shape(lambda a, b: kernel.tile(take_rows(kernel, a, 0, 1), take_rows(kernel, b, 0, 1)), one, two)
    return jnp.zeros((n1, tile.shape[1], n2, tile.shape[3]), tile.dtype)


def _spread(
    fill: Callable[[Array, Array], Array], K: Array, blocks: list[tuple[int, int]], devices: Sequence[Any]
) -> Array:
    """All blocks, in turns; several devices take as many each, the last perhaps one that is past the end."""
    if len(devices) == 1:
        return _scan(fill, K, jnp.array(blocks))
    past = max(map(max, blocks)) + 1
    blocks = blocks + [(past, past)] * (-len(blocks) % len(devices))

    def part(blocks):
        return jax.lax.psum(_scan(fill, K, blocks), "tiles")

    mesh = Mesh(np.array(devices), ("tiles",))
    spread = jax.shard_map(part, mesh=mesh, in_specs=PartitionSpec("tiles"), out_specs=PartitionSpec(), check_vma=False)
    return spread(jnp.array(blocks))


def _scan(fill, K, blocks):
    return jax.lax.scan(lambda K, block: (fill(K, block), None), K, blocks)[0]


def product(
    kernel: Kernel, one: Example, support: Example, alpha: Float[Array, "n o m"], rows: int
) -> Float[Array, "n1 o m"]:
    """Theta(x, X) alpha for few x and many X, `rows` of them at a time; its gradient computes each part anew."""
    n, rows = len(alpha), even_rows(len(alpha), rows)

    def part(support, alpha):
        return jnp.einsum("ionq,nqm->iom", kernel.tile(one, support), alpha, precision="highest")

    if rows == n:
        return part(support, alpha)

    @jax.checkpoint
    def term(block):
        start = _start(block, rows, n)
        own = jnp.where(_own(block, rows, n)[:, None, None], jax.lax.dynamic_slice_in_dim(alpha, start, rows), 0)
        return part(take_rows(kernel, support, start, rows), own)

    shape = jax.eval_shape(term, 0)
    zero = jnp.zeros(shape.shape, shape.dtype)
    return jax.lax.scan(lambda total, block: (total + term(block), None), zero, jnp.arange(-(-n // rows)))[0]


def matrix(K: Float[np.ndarray, "n1 o n2 o"]) -> Float[np.ndarray, "n1*o n2*o"]:
    """The same as a matrix: no copy, since outputs stand beside their example."""
    n1, o, n2, _ = K.shape
    return K.reshape(n1 * o, n2 * o)
