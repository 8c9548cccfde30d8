"""Move the training images as the poison of a spec says."""

from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ntkbench.budgets import Budget
from ntkbench.data.dataset import Split
from ntkbench.errors import NumericsError
from ntkbench.ntk import balls, ntga
from ntkbench.plan import shapes, sizes
from ntkbench.run.build.data import held_out, targets
from ntkbench.run.build.kernels import batch_size, example_bytes, infinite_kernel, require_finite
from ntkbench.run.build.losses import loss
from ntkbench.run.build.networks import stream
from ntkbench.spec.cell import Cell
from ntkbench.spec.data import NTGA, RandomSignPoisoning
from ntkbench.spec.kernels import InfiniteKernel

Arrays = dict[str, np.ndarray]

BALL = balls.Linf()
"""the ball in which images are moved"""


def clean(cell: Cell) -> Cell:
    """Return the cell without its poison."""
    return cell.model_copy(update={"data": cell.data.model_copy(update={"poison": None})})


def budget(cell: Cell) -> Budget:
    """Return how far a cell's poison moves a pixel, as a number on its data."""
    assert cell.data.poison, "clean images are not moved"
    return cell.data.poison.eps.on(sizes.inputs(cell))


def poisoned(cell: Cell, train: Split, roots: Sequence[Path], tile_bytes: float) -> Arrays:
    """Return the moved `images` of the training examples, float64, and for NTGA the validation `loss` at each step.

    Images are moved in float64 whatever the precision of the cell, so that they depend on the data alone. The loss is
    the mean over blocks, weighted by their sizes. NumericsError if the kernel is not regular; DataError as `held_out`.
    """
    match cell.data.poison:
        case NTGA() as words:
            images, losses = _climbed(cell, words, train, held_out(cell.data, words.n_validation, roots), tile_bytes)
            require_finite(losses, "validation losses of the poison", "another W_std, b_std, depth or time may help")
            return {"images": images, "loss": losses}
        case RandomSignPoisoning(seed=seed):
            keys = jax.random.split(stream(seed, "poison"), len(train))
            return {"images": np.asarray(_signs(jnp.asarray(train.unit()), jnp.asarray(budget(cell).radius), keys))}
    raise AssertionError("a cell without poison has clean images")


@jax.jit
def _signs(X, eps, keys):
    return jax.vmap(lambda x, key: BALL.project(x + eps * BALL.signs(x, key=key), x, eps))(X, keys)


def _climbed(cell: Cell, words: NTGA, train: Split, tests: Split, tile_bytes: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the images that NTGA makes, one block after another, and the mean loss at each step."""
    kernel = cell.kernels[words.kernel]
    assert isinstance(kernel, InfiniteKernel)
    outputs, eps = shapes.outputs(cell.data), budget(cell).radius
    X, Y = jnp.asarray(train.unit()), targets(cell.data, train.labels, outputs)
    validation = ntga.Validation(jnp.asarray(tests.unit()), jnp.asarray(tests.labels))
    blocks = np.array_split(np.arange(len(X)), -(-len(X) // words.block))
    rows = len(blocks[0]) + len(tests)

    def climb(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moved, losses = ntga.climb(
            infinite_kernel(cell, kernel, outputs),
            X[block],
            Y[block],
            validation,
            loss("cross_entropy"),
            BALL,
            eps,
            time=float(words.time),
            steps=words.steps,
            step_size=2.5 * eps / words.steps if words.step_size is None else float(words.step_size),
            batch_size=batch_size(len(block), example_bytes(cell, words.kernel, rows, 0, 1), tile_bytes),
            tile_bytes=tile_bytes,
        )
        return np.asarray(moved), losses * (len(block) / len(X))

    try:
        images, losses = zip(*map(climb, blocks), strict=True)
    except NumericsError as error:
        raise NumericsError(f"data.poison, kernel {words.kernel}: {error}") from None
    return np.concatenate(images), np.sum(losses, axis=0)
