"""Share the rows of a symmetric matrix among devices, and set the order in which they are eliminated.

Cut into blocks of b rows, device d of p holds L blocks l = 0, ..., L - 1 that follow one another in the matrix. Block l
of device d is taken as number l p + d. This *order* is a symmetric permutation for which no entry moves, and as in the
cyclic layout of ScaLAPACK it leaves each device the same share of the rows that remain. The entries whose column is
later than their row are enough to know the matrix: `mirror` makes the others, where a Cholesky factor may have been.

Rows are added behind the last so that all blocks are equal; a matrix is 0 there.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array

_ROUNDS = 16
"""largest number of blocks L of a device: each is compiled on its own, in about half a second"""
_LEAST_ROWS = 16
"""rows of a block, if there are more than one a device"""
_PIECES = 4
"""parts of a block that are mirrored one after the other"""
ROWS, WHOLE = PartitionSpec("rows"), PartitionSpec()
"""how an array lies on the devices: a part of its rows on each, or a copy"""


@dataclass(frozen=True)
class RowLayout:
    """Share the n rows of a matrix among the devices of a mesh, each of which holds `rounds` blocks."""

    mesh: Mesh
    n: int
    rounds: int

    @classmethod
    def of(cls, n: int, devices: Sequence[Any]) -> "RowLayout":
        """Spread n rows over the devices, in as many blocks as are worth their compilation."""
        rounds = max(1, min(_ROUNDS, n // (_LEAST_ROWS * len(devices))))
        return cls(Mesh(np.array(devices), ("rows",)), n, rounds)

    @property
    def block(self) -> int:
        """Count the rows of a block."""
        return -(-self.n // (self.mesh.size * self.rounds))

    @property
    def rows(self) -> int:
        """Count the rows of a device."""
        return self.rounds * self.block

    @property
    def size(self) -> int:
        """Count the rows of all devices: n, and less than one added row for each block."""
        return self.mesh.size * self.rows

    def spread(self, function: Callable[..., Any], inputs: Any, outputs: Any) -> Callable[..., Any]:
        """Turn a function of this layout and the rows of one device into a function of the whole matrix.

        `inputs` and `outputs` say for each array whether it is shared (`ROWS`) or on every device (`WHOLE`).
        """
        return jax.shard_map(
            functools.partial(function, self), mesh=self.mesh, in_specs=inputs, out_specs=outputs, check_vma=False
        )

    def order(self, device: Any) -> Array:
        """Number the rows of a device in the order in which they are eliminated."""
        each = jnp.arange(self.rows)
        return (each // self.block * self.mesh.size + device) * self.block + each % self.block


def device_index() -> Array:
    """Return the number of this device in the mesh, inside of a function that `RowLayout.spread` was given."""
    return jax.lax.axis_index("rows").astype(int)


def mirror(layout: RowLayout, K: Array, diagonal: Array) -> Array:
    """Overwrite the entries whose column is earlier than their row with their mirror images, and set the diagonal.

    K are the rows of this device and `diagonal` is their part of it. Few rows are exchanged at a time, so that the
    memory beyond K is a small share of it.
    """
    p, width = layout.mesh.size, -(-layout.block // _PIECES)
    mine = layout.order(device_index())[:, None, None]
    every = jax.vmap(layout.order)(jnp.arange(p))

    def piece(at, K):
        start = jnp.minimum(at * width, layout.rows - width)
        given = jax.lax.dynamic_slice_in_dim(K, start, width).reshape(width, p, layout.rows)
        # Each device sends what others have as columns; what comes from device q are columns of q.
        image = jax.lax.all_to_all(given, "rows", split_axis=1, concat_axis=1, tiled=True).transpose(2, 1, 0)
        K = K.reshape(layout.rows, p, layout.rows)
        before = jax.lax.dynamic_slice_in_dim(K, start, width, 2)
        theirs = jax.lax.dynamic_slice_in_dim(every, start, width, 1)[None]
        after = jnp.where(theirs < mine, image, jnp.where(theirs == mine, diagonal[:, None, None], before))
        return jax.lax.dynamic_update_slice_in_dim(K, after, start, 2).reshape(layout.rows, layout.size)

    return jax.lax.fori_loop(0, -(-layout.rows // width), piece, K)
