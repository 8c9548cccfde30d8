"""Gram matrices by tiles: symmetry, memory and the order of the work are decided here and nowhere else.

A kernel says what it keeps of one example (`example`), what two batches of those give (`tile`), and what
one gives with itself, exactly (`diagonal`).
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

Example = PyTree[Array]


class Kernel(eqx.Module):
    """Theta(x, x'), an o x o matrix: o is 1 where the kernel is a multiple of the identity of the outputs."""

    @abc.abstractmethod
    def example(self, x: Float[Array, "..."]) -> Example:
        """What is kept of one example."""

    @abc.abstractmethod
    def tile(self, one: Example, two: Example) -> Float[Array, "n1 o n2 o"]:
        """Theta between two batches of examples."""

    @abc.abstractmethod
    def diagonal(self, one: Example) -> Float[Array, "n o o"]:
        """Theta of each example of a batch with itself."""

    @abc.abstractmethod
    def rows(self, shape: tuple[int, ...], dtype: Any, tile_bytes: float) -> int:
        """The side of the largest square tile that is worth having in that memory, for inputs of `shape`."""


@eqx.filter_jit
def gram(
    kernel: Kernel, X1: Float[Array, "n1 ..."], X2: Float[Array, "n2 ..."] | None = None, *, tile_bytes: float = 5e8
) -> Float[Array, "n1 o n2 o"]:
    """Theta(X1, X2); without X2, Theta(X1, X1), of which only half is computed."""
    rows = max(1, kernel.rows(X1.shape[1:], X1.dtype, tile_bytes))
    return _symmetric(kernel, X1, rows) if X2 is None else _rectangular(kernel, X1, X2, rows)


def _symmetric(kernel, X, rows):
    n = X.shape[0]
    rows = -(-n // -(-n // rows))  # equal tiles
    blocks = -(-n // rows)
    examples = jax.lax.map(kernel.example, _pad(X, blocks * rows), batch_size=rows)
    first = int(rows == 1)  # tiles of one entry: those on the diagonal are known
    upper = jnp.array([(i, j) for i in range(blocks) for j in range(i + first, blocks)]).reshape(-1, 2) * rows

    def fill(K, corner):
        i, j = corner
        tile = kernel.tile(_rows(examples, i, rows), _rows(examples, j, rows))
        mirrored = tile.transpose(2, 3, 0, 1)
        tile = jnp.where(i == j, (tile + mirrored) / 2, tile)  # symmetric to the last bit
        K = jax.lax.dynamic_update_slice(K, mirrored, (j, 0, i, 0))
        return jax.lax.dynamic_update_slice(K, tile, (i, 0, j, 0)), None

    K, _ = jax.lax.scan(fill, _zeros(kernel, examples, blocks * rows, blocks * rows), upper)
    each = jnp.arange(n)
    return K[:n, :, :n, :].at[each, :, each, :].set(kernel.diagonal(_rows(examples, 0, n)))


def _rectangular(kernel, X1, X2, rows):
    n1, n2 = X1.shape[0], X2.shape[0]
    rows1, rows2 = min(rows, n1), min(rows, n2)
    blocks1, blocks2 = -(-n1 // rows1), -(-n2 // rows2)
    one = jax.lax.map(kernel.example, _pad(X1, blocks1 * rows1), batch_size=rows1)
    two = jax.lax.map(kernel.example, _pad(X2, blocks2 * rows2), batch_size=rows2)
    corners = jnp.array([(i * rows1, j * rows2) for i in range(blocks1) for j in range(blocks2)])

    def fill(K, corner):
        i, j = corner
        tile = kernel.tile(_rows(one, i, rows1), _rows(two, j, rows2))
        return jax.lax.dynamic_update_slice(K, tile, (i, 0, j, 0)), None

    K, _ = jax.lax.scan(fill, _zeros(kernel, one, blocks1 * rows1, blocks2 * rows2), corners)
    return K[:n1, :, :n2, :]


def _pad(X, n):
    """Repeats the last example: padding must not divide by zero."""
    return jnp.concatenate([X, jnp.repeat(X[-1:], n - X.shape[0], axis=0)])


def _rows(examples, start, count):
    return jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, count), examples)


def _zeros(kernel, examples, n1, n2):
    tile = jax.eval_shape(lambda e: kernel.tile(_rows(e, 0, 1), _rows(e, 0, 1)), examples)
    return jnp.zeros((n1, tile.shape[1], n2, tile.shape[3]), tile.dtype)


def matrix(K: Float[np.ndarray, "n1 o n2 o"]) -> Float[np.ndarray, "n1*o n2*o"]:
    """The same as a matrix: no copy, since outputs stand beside their example."""
    n1, o, n2, _ = K.shape
    return K.reshape(n1 * o, n2 * o)
