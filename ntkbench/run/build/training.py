"""Turn the training section of a spec into an optimizer, its schedule, and gradient-flow time."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ntkbench.data.dataset import Split
from ntkbench.ntk import attacks, cheapest, gram, network, training
from ntkbench.ntk.empirical import TRACE
from ntkbench.ntk.network import Trainable
from ntkbench.plan import sizes, timeline
from ntkbench.run.build.attacks import BALLS, budgets, gradient_attack
from ntkbench.run.build.kernels import infinite_kernel
from ntkbench.run.build.losses import loss
from ntkbench.spec import identity
from ntkbench.spec.cell import Cell
from ntkbench.spec.kernels import InfiniteKernel
from ntkbench.spec.notation import MATCHED
from ntkbench.spec.training import (
    SGD,
    Adam,
    AdversarialPhase,
    Cosine,
    Exponential,
    Piecewise,
    Schedule,
    WarmupCosine,
)


def optimizer(cell: Cell) -> training.Optimizer:
    """Return a function from a learning rate to the optimizer of the cell's last phase of training."""
    optimizer: Any = timeline.last_phase(cell).words.optimizer
    words = optimizer.model_copy(update={"learning_rate": 1.0, "schedule": None})
    return _optimizer(words, schedule(cell))


def schedule(cell: Cell) -> optax.Schedule | None:
    """Return the factor on the learning rate by step of the cell's last phase; None: no schedule."""
    phase, steps = timeline.last_phase(cell), timeline.steps(cell)
    words: Any = phase.words.optimizer.schedule  # frozen, and so hashable
    return None if words is None else _schedule(words, steps, phase.scheduled * steps)


@functools.cache
def _optimizer(words: SGD | Adam, share: optax.Schedule | None) -> training.Optimizer:
    """Return what `optimizer` does; cached like `loss`, without the rate, so that all rates share a compilation."""

    def rates(rate):
        return rate if share is None else lambda step, share=share: rate * share(step)

    match words:
        case SGD(momentum=momentum, nesterov=nesterov):
            return lambda rate: optax.sgd(rates(rate), momentum or None, nesterov)
        case Adam(b1=b1, b2=b2, eps=eps):
            return lambda rate: optax.adam(rates(rate), b1, b2, eps)


@functools.cache
def _schedule(words: Schedule, steps: int, done: int) -> optax.Schedule:
    """Return factors by step, `steps` an epoch; `done` steps of the schedule precede the phase's first."""
    match words:
        case Cosine(epochs=epochs, end=end):
            share = optax.cosine_decay_schedule(1.0, (epochs or 0) * steps, end)
        case WarmupCosine(warm_up=up, epochs=epochs, end=end):
            share = optax.warmup_cosine_decay_schedule(0.0, 1.0, up * steps, (epochs or 0) * steps, end_value=end)
        case Exponential(factor=factor, every=every, staircase=staircase):
            share = optax.exponential_decay(1.0, every * steps, factor, staircase=staircase)
        case Piecewise(at=at, factor=factor):
            share = optax.piecewise_constant_schedule(1.0, {epoch * steps: factor for epoch in at})
    return lambda step: share(step + done)


def inner(cell: Cell, keys: jax.Array) -> training.InnerAttack | None:
    """Return the inner attack of the cell's last phase, one key a seed; None unless it is adversarial."""
    words = timeline.last_phase(identity.with_auto_losses(cell)).words
    if not isinstance(words, AdversarialPhase):
        return None
    of = attacks.Objective if words.trades is None else attacks.Divergence
    objective = of(loss(words.attack.loss, cell.data.targets == "centered"))
    (eps,) = budgets(cell, [words.attack.eps])
    return training.InnerAttack(
        gradient_attack(words.attack, BALLS[words.attack.norm], objective),
        jnp.asarray(eps.radius, cell.numerics.network),
        jnp.asarray(words.warm_up),
        keys,
        None if words.trades is None else jnp.asarray(words.trades, cell.numerics.network),
    )


Tick = Callable[[str], None]
"""is called between steps of the work with what is going on; may raise `TimeoutReached`"""


_LOOKED_AT, _LOOKED_AT_INIT = 1000, 100
"""most training examples of a kernel whose eigenvalues give the rates of learning: of an infinite kernel, and of the
network's kernel at init
"""


def rates(cell: Cell, initial: Trainable, examples: Split, outputs: int, tile_bytes: float) -> np.ndarray:
    """Return the eigenvalues (descending) of the network's kernel on the training examples: its rates of learning.

    They come from the infinite kernel, on at most `_LOOKED_AT` examples, if the network has one that compares matched
    positions alone; otherwise from the network's kernel at init, averaged over outputs, on `_LOOKED_AT_INIT`.
    Eigenvalues of m examples out of n are scaled by n / m.
    """
    if sizes.has_cheap_limit(cell):
        kernel = infinite_kernel(cell, InfiniteKernel(kind="infinite"), outputs)
        K = gram.gram(kernel, jnp.asarray(examples.unit("float64")[:_LOOKED_AT]), tile_bytes=tile_bytes)
    else:
        X = jnp.asarray(examples.unit("float64")[:_LOOKED_AT_INIT])
        K = cheapest.ntk(network.cast(initial, "float64"), X, layout=TRACE, tile_bytes=tile_bytes)
    matrix = gram.matrix(np.asarray(K))
    return np.linalg.eigvalsh(matrix)[::-1] * (len(examples) / len(matrix))


# The gradient-flow time of a training, and the kernels that are evaluated at that time.
#
# Gradient descent on the mean loss of n examples, at learning rate eta, moves the weights in one step as far as
# gradient flow on the summed loss does in a time eta / n. Heavy-ball momentum m makes each step 1 / (1 - m) times as
# long in the end.


def epochs_trained(cell: Cell, losses: np.ndarray) -> np.ndarray:
    """Return how many epochs of the cell's last phase moved the weights, for each seed.

    `losses`: (seeds, epochs), the mean training loss of each epoch of that phase.
    """
    words = timeline.last_phase(cell).words
    until = None if words.until is None else words.until.loss
    return training.epochs_trained(losses, until, words.warm_up if isinstance(words, AdversarialPhase) else 0)


def flow_time(cell: Cell, rates: Sequence[float], epochs: np.ndarray) -> np.ndarray:
    """Return the gradient-flow time of each seed's last phase, NaN if the optimizer follows no gradient flow.

    `rates`: the seeds' learning rates; `epochs`: how many epochs of the phase moved their weights.
    """
    words = timeline.last_phase(cell).words
    if not isinstance(words.optimizer, SGD):
        return np.full(len(rates), np.nan)
    steps = timeline.steps(cell)
    share = schedule(cell)
    if share is None:
        total = epochs * float(steps)
    else:
        with jax.numpy_dtype_promotion("standard"):  # optax divides its counter
            shares = np.asarray(jax.vmap(share)(jnp.arange(words.epochs * steps)), np.float64)
        total = np.append(0.0, np.cumsum(shares))[epochs * steps]
    return np.asarray(rates, np.float64) * total / (cell.data.n_train * (1 - words.optimizer.momentum))


def at_time(cell: Cell, time: float) -> Cell:
    """Return the cell with `time` in every kernel whose time is to match the network's."""
    kernels = {
        name: kernel.model_copy(update={"time": time}) if kernel.time == MATCHED else kernel
        for name, kernel in cell.kernels.items()
    }
    return cell.model_copy(update={"kernels": kernels})
