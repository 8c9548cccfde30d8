"""The gradient-flow time of a training, and the kernels that are evaluated at that time.

Gradient descent on the mean loss of n examples, at learning rate eta, moves the weights in one step as far as gradient
flow on the summed loss does in a time eta / n. Heavy-ball momentum m makes each step 1 / (1 - m) times as long in the
end.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ntkbench.bench import build, timeline
from ntkbench.bench.notation import MATCHED
from ntkbench.bench.regimes import SGD, Adversarial, Trained
from ntkbench.bench.spec import Cell
from ntkbench.ntk import training


def epochs_trained(cell: Cell, losses: np.ndarray) -> np.ndarray:
    """Return how many epochs of the cell's last stretch moved the weights, for each seed.

    `losses`: (seeds, epochs), the mean training loss of each epoch of that stretch.
    """
    words = cell.training
    assert isinstance(words, Trained)
    until = None if words.until is None else words.until.loss
    warm_up = words.warm_up - timeline.first(cell) if isinstance(words, Adversarial) else 0
    return training.epochs_trained(losses, until, max(0, warm_up))


def flow_time(cell: Cell, rates: Sequence[float], epochs: np.ndarray) -> np.ndarray:
    """Return the gradient-flow time of each seed's last stretch, NaN if the optimizer follows no gradient flow.

    `rates`: the seeds' learning rates; `epochs`: how many epochs of the stretch moved their weights.
    """
    words = cell.training
    assert isinstance(words, Trained)
    if not isinstance(words.optimizer, SGD):
        return np.full(len(rates), np.nan)
    steps = timeline.steps(cell)
    share = build.schedule(cell)
    if share is None:
        total = epochs * float(steps)
    else:
        with jax.numpy_dtype_promotion("standard"):  # optax divides its counter
            shares = np.asarray(jax.vmap(share)(jnp.arange(timeline.length(cell) * steps)), np.float64)
        total = np.append(0.0, np.cumsum(shares))[epochs * steps]
    return np.asarray(rates, np.float64) * total / (cell.data.n_train * (1 - words.optimizer.momentum))


def at_time(cell: Cell, time: float) -> Cell:
    """Return the cell with `time` in every kernel whose time is to match the network's."""
    kernels = {
        name: kernel.model_copy(update={"time": time}) if kernel.time == MATCHED else kernel
        for name, kernel in cell.kernels.items()
    }
    return cell.model_copy(update={"kernels": kernels})
