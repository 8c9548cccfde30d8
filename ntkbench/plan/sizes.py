"""Count how large a cell's network and kernels are: weights, multiply-adds, and what is kept of one example.

`cost` makes its estimates of these counts, and `together` decides which seeds share a training.
"""

from collections.abc import Sequence
from math import prod

from ntkbench.memo import by_identity
from ntkbench.plan import limits, networks, shapes, timeline
from ntkbench.plan.shapes import Step
from ntkbench.spec.architectures import Architecture, FunctionNetwork
from ntkbench.spec.cell import Cell
from ntkbench.spec.data import Data
from ntkbench.spec.kernels import InfiniteKernel
from ntkbench.spec.layers import Activation, BatchNorm, Conv, Flatten, LeakyReLU, Weighted
from ntkbench.spec.training import Adam, AdversarialPhase, Phase, Trained

_MOST_TOGETHER = 16
"""seeds that train at once, at most"""
_MOST_BYTES = 4e9
"""bytes of the states of all seeds that train at once, at most"""


@by_identity
def walk(data: Data, architecture: Architecture, width: int | None) -> tuple[Step, ...]:
    """Return the layers of an architecture with their shapes on some examples; without a width, at width 1."""
    sizes = shapes.WidthAndOutputs(width or 1, shapes.outputs(data))
    return tuple(shapes.steps(networks.layers(architecture), shapes.image(data), sizes))


def network(cell: Cell) -> tuple[Step, ...]:
    """Return the layers of the cell's finite network; none if it has none."""
    return walk(cell.data, cell.architecture, cell.width) if cell.width else ()


def weighted(steps: Sequence[Step]) -> list[Step]:
    """Return the layers that have weights."""
    return [step for step in steps if isinstance(step.layer, Weighted)]


def inputs(cell: Cell) -> int:
    """Return the number of values of an example: pixels times channels, or features."""
    return prod(shapes.image(cell.data))


def connections(step: Step) -> int:
    """Return the number of weights and biases of a layer."""
    if not isinstance(step.layer, Weighted):
        return 0
    window = prod(step.layer.window) if isinstance(step.layer, Conv) else 1
    bias = int(step.layer.b_std is not None)
    return (window * int(step.before[-1]) + bias) * int(step.after[-1])


def parameters(steps: Sequence[Step]) -> int:
    """Return the number of weights and biases of all layers."""
    return sum(connections(step) + 2 * int(step.after[-1]) * is_affine(step) for step in steps)


def is_affine(step: Step) -> bool:
    """Return whether a layer normalizes batches, and has a weight and a shift for each channel."""
    return isinstance(step.layer, BatchNorm) and step.layer.affine


def leaves(cell: Cell) -> dict[str, tuple[int, ...]]:
    """Return name and shape of each array of the cell's network, in the order in which the network holds them.

    A name is the place of the layer in the list of layers, counted from 0, and what the array is in it: `1.weight`. Of
    a network that is a function none are known.
    """
    found: dict[str, tuple[int, ...]] = {}
    for step in network(cell):
        place = ".".join(map(str, step.path))
        if isinstance(step.layer, BatchNorm):
            names = ("mean", "variance", *(("weight", "bias") if step.layer.affine else ()))
            found |= {f"{place}.{name}": (int(step.after[-1]),) for name in names}
        elif isinstance(step.layer, Weighted):
            units, below = int(step.after[-1]), int(step.before[-1])
            window = step.layer.window if isinstance(step.layer, Conv) else None
            found[f"{place}.weight"] = (units, below) if window is None else (*window, below, units)
            found |= {f"{place}.bias": (units,)} if step.layer.b_std is not None else {}
    return found


def places(step: Step) -> int:
    """Return the number of positions that a layer gives: 1 where it gives a vector."""
    return prod(map(int, step.after[:-1]))


def activations(steps: Sequence[Step]) -> int:
    """Return the number of values that a backward pass keeps of one example.

    They are the outputs of the layers but the last; flattenings and activations are not counted.
    """
    kept = [step for step in steps if not isinstance(step.layer, Flatten | Activation | LeakyReLU)]
    return sum(step.count for step in kept[:-1])


def state_bytes(cell: Cell) -> int:
    """Return the bytes that one seed takes in training.

    They are those of weights, gradient and optimizer state, of the anchor of a linearization, and of a batch on its way
    forward and back. What trains together follows from them, and so the last bits of results: they are a rule that must
    not change, not an estimate.
    """
    itemsize = 4 if cell.numerics.network == "float32" else 8
    if not isinstance(cell.training, Trained):
        return itemsize * parameters(network(cell))
    return itemsize * max(_state(cell, phase.words) for phase in timeline.phases(cell))


def _state(cell: Cell, how: Phase) -> int:
    """Return how many numbers one seed takes in a phase of its training."""
    steps, linear = network(cell), int(how.linearize is not None)
    optimizer = 2 if isinstance(how.optimizer, Adam) else int(how.optimizer.momentum > 0)
    copies = 2 + optimizer + 2 * linear
    images = 2 if isinstance(how, AdversarialPhase) else 1
    both = 2 if isinstance(how, AdversarialPhase) and how.trades else 1
    kept = 2 * (how.batch_size or cell.data.n_train) * (images * inputs(cell) + both * activations(steps))
    return copies * parameters(steps) + kept * (1 + linear)


def seeds_per_group(cell: Cell) -> int:
    """Return how many seeds of a cell train at once: of networks whose size is unknown, one."""
    if isinstance(cell.architecture, FunctionNetwork):
        return 1
    return int(max(1, min(_MOST_TOGETHER, _MOST_BYTES // state_bytes(cell))))


def limit_steps(cell: Cell, kernel: InfiniteKernel) -> tuple[tuple[Step, ...], limits.ComparedPositions]:
    """Return the layers of an infinite kernel, and which pairs of positions of two images it tells apart."""
    architecture = kernel.architecture or cell.architecture
    return walk(cell.data, architecture, None), limits.positions(networks.layers(architecture))


def has_cheap_limit(cell: Cell) -> bool:
    """Return whether the cell's network has an infinite kernel that compares matched positions alone."""
    layers = networks.layers(cell.architecture)
    if not layers:
        return False
    try:
        limits.check(layers)
    except shapes.LayerError:
        return False
    return limits.positions(layers) is not limits.ComparedPositions.ALL


def row_entries(cell: Cell, kernel: InfiniteKernel) -> int:
    """Return the number of values that a gradient through one entry of an infinite kernel keeps.

    They are the covariances after each layer with weights.
    """
    steps, needs = limit_steps(cell, kernel)
    return sum(limits.entries(step.after, needs) for step in weighted(steps))
