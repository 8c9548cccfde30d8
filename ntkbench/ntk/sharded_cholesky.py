"""Factor a matrix whose rows lie on several devices, in its own memory, and solve with the factor.

Block k of the order of `ntk.row_layout` is eliminated in step k: with the blocks j < k already factored,

    L_kk L_kk^T = A_kk - sum_j L_kj L_kj^T,    L_ik = (A_ik - sum_j L_ij L_kj^T) L_kk^-T    for all later i

(the left-looking form: Golub and Van Loan, Matrix Computations, 4th ed., section 4.2). The device that holds block k
sends its row L_kj to the others, and each computes L_ik for its own rows. The columns that are read and the rows that
remain are cut anew for each of the L blocks of a device. All devices together take (1 + 1/L) (1 + 2/L) n^3 / 3
operations, 1.2 times those of one device where L is 16. Only the panel of step k is written, and the memory beyond the
matrix is that of panels and of a slice of the rows of at most about 1 / (4 p), p devices.

    if factor(K, ridge):        # L is in the half that the order makes the lower one, K in the other
        X = substitute(K, Y)
    restore(K, diagonal)        # K as it was
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax.linalg import cholesky, triangular_solve
from jaxtyping import Array, Float

from ntkbench.ntk.row_layout import ROWS, WHOLE, RowLayout, device_index, mirror
from ntkbench.ntk.sharded import ShardedMatrix


def factor(K: ShardedMatrix, ridge: float) -> bool:
    """Overwrite a half of K, and its diagonal, with the Cholesky factor of K + ridge; return whether there is one."""
    K.entries, found = eliminated(K.entries, jnp.asarray(ridge, jnp.float64), K.layout)
    return bool(found)


def substitute(K: ShardedMatrix, Y: Float[np.ndarray, "n *m"]) -> Float[np.ndarray, "n *m"]:
    """Return (K + ridge)^-1 Y, once `factor` has overwritten K."""
    added = np.zeros((K.layout.size - len(K), *Y.shape[1:]))
    columns = np.concatenate([Y, added]).reshape(K.layout.size, -1)
    return np.asarray(substituted(K.entries, jnp.asarray(columns), K.layout))[: len(K)].reshape(Y.shape)


def restore(K: ShardedMatrix, diagonal: Float[np.ndarray, " n"]) -> None:
    """Overwrite the factor with the entries that K had before, to the last bit."""
    added = np.zeros(K.layout.size - len(K))
    K.entries = restored(K.entries, jnp.asarray(np.concatenate([diagonal, added])), K.layout)


@functools.partial(jax.jit, static_argnums=2, donate_argnums=0)
def eliminated(
    entries: Float[Array, "size size"], ridge: Float[Array, ""], layout: RowLayout
) -> tuple[Float[Array, "size size"], Array]:
    """Return the entries with the factor in place of a half, and whether it is finite: what is compiled of `factor`."""

    def eliminate(layout, K, ridge):
        found = jnp.array(True)
        for level in range(layout.rounds):
            step = functools.partial(_step, layout, ridge, level)
            K, found = jax.lax.fori_loop(0, layout.mesh.size, step, (K, found))
        return K, found

    return layout.spread(eliminate, (ROWS, WHOLE), (ROWS, WHOLE))(entries, ridge)


def _step(layout, ridge, level, owner, carried):
    """Eliminate block `level` of device `owner`."""
    (K, found), b = carried, layout.block
    top, first = level * b, owner * layout.rows + level * b
    before = jax.lax.dynamic_slice(K, (top, first), (layout.rows - top, b))
    left = _less_earlier(layout, K, level, owner, before)
    # Rows that were added are those of the identity, which no other row is changed by.
    added = jnp.where(first + jnp.arange(b) < layout.n, ridge, 1.0)
    corner = cholesky(_sent(left[:b], owner) + jnp.diag(added), symmetrize_input=False)
    panel = triangular_solve(corner, left, left_side=False, lower=True, transpose_a=True)
    panel = jnp.where(_is_later(layout, level, owner)[top:], panel, before)
    own = jnp.where(device_index() == owner, corner + jnp.triu(before[:b], 1), panel[:b])
    K = jax.lax.dynamic_update_slice(K, panel.at[:b].set(own), (top, first))
    return K, found & jnp.all(jnp.isfinite(corner))


def _less_earlier(layout, K, level, owner, panel):
    """Return the panel less the products of all earlier blocks, those of one device at a time."""
    b, top = layout.block, level * layout.block
    shape, each = (layout.rows - top, top + b), jnp.arange(top + b)[None, :]

    def less(device, panel):
        given = jax.lax.dynamic_slice(K, (top, device * layout.rows), shape)
        # Of this level, only the blocks of devices before the owner are factored.
        row = jnp.where((each < top) | (device < owner), _sent(given[:b], owner), 0)
        return panel - jnp.matmul(given, row.T, precision="highest")

    return jax.lax.fori_loop(0, layout.mesh.size, less, panel)


@functools.partial(jax.jit, static_argnums=2)
def substituted(
    entries: Float[Array, "size size"], Y: Float[Array, "size m"], layout: RowLayout
) -> Float[Array, "size m"]:
    """Return the solution for columns that lie on the devices as the matrix does: what is compiled of `substitute`."""
    return layout.spread(_solve, (ROWS, ROWS), ROWS)(entries, Y)


def _solve(layout, K, Y):
    # Corners are transposed because LAPACK reads columns: XLA would otherwise store a transposed copy of all rows.
    p, b = layout.mesh.size, layout.block
    blocks = p * layout.rounds

    def cut(block):
        """Return the panel of a block, its corner (that of its owner alone is used), its first row, and its owner."""
        level, owner = block // p, block % p
        panel = jax.lax.dynamic_slice_in_dim(K, owner * layout.rows + level * b, b, 1)
        later = _is_later(layout, level, owner)
        return jnp.where(later, panel, 0), jax.lax.dynamic_slice_in_dim(panel, level * b, b), level * b, owner

    def put(Y, rows, start, owner):
        before = jax.lax.dynamic_slice_in_dim(Y, start, b)
        rows = jnp.where(device_index() == owner, rows, before)
        return jax.lax.dynamic_update_slice_in_dim(Y, rows, start, 0)

    def forward(block, Y):
        panel, corner, start, owner = cut(block)
        known = jax.lax.dynamic_slice_in_dim(Y, start, b)
        known = _sent(triangular_solve(corner.T, known, left_side=True, transpose_a=True), owner)
        return put(Y - jnp.matmul(panel, known, precision="highest"), known, start, owner)

    def backward(step, Y):
        panel, corner, start, owner = cut(blocks - 1 - step)
        later = jax.lax.psum(jnp.matmul(panel.T, Y, precision="highest"), "rows")
        known = jax.lax.dynamic_slice_in_dim(Y, start, b) - later
        return put(Y, triangular_solve(corner.T, known, left_side=True), start, owner)

    return jax.lax.fori_loop(0, blocks, backward, jax.lax.fori_loop(0, blocks, forward, Y))


@functools.partial(jax.jit, static_argnums=2, donate_argnums=0)
def restored(
    entries: Float[Array, "size size"], diagonal: Float[Array, " size"], layout: RowLayout
) -> Float[Array, "size size"]:
    """Return the entries with the half of the factor mirrored again: what is compiled of `restore`."""
    return layout.spread(mirror, (ROWS, ROWS), ROWS)(entries, diagonal)


def _is_later(layout, level, owner):
    """Mark the rows of this device that belong to blocks which are eliminated after block `level` of `owner`."""
    mine = jnp.arange(layout.rows)[:, None] // layout.block
    return (mine > level) | ((mine == level) & (device_index() > owner))


def _sent(block, owner):
    """Send the block of the device `owner` to all devices."""
    return jax.lax.psum(jnp.where(device_index() == owner, block, 0), "rows")
