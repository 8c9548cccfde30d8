"""How large a cell's network and kernels are: weights, products, and what is kept of one example."""

from collections.abc import Sequence
from math import prod

from ntkbench.bench import blueprint, limit, shapes
from ntkbench.bench.architecture import Architecture
from ntkbench.bench.layers import Activation, Conv, Flatten, LeakyReLU, Weighted
from ntkbench.bench.regimes import Adam, Adversarial, Trained
from ntkbench.bench.shapes import Step
from ntkbench.bench.spec import Cell, InfiniteKernel

_MOST_TOGETHER = 16
_MOST_BYTES = 4e9


def walk(cell: Cell, architecture: Architecture, width: int | None) -> list[Step]:
    """The layers of an architecture, on the cell's images."""
    sizes = shapes.Sizes(width or 1, shapes.outputs(cell.data))
    return list(shapes.steps(blueprint.layers(architecture), shapes.image(cell.data), sizes))


def network(cell: Cell) -> list[Step]:
    """The layers of the cell's finite network; none if it has none."""
    return walk(cell, cell.architecture, cell.width) if cell.width else []


def weighted(steps: Sequence[Step]) -> list[Step]:
    """Those with weights."""
    return [step for step in steps if isinstance(step.layer, Weighted)]


def inputs(cell: Cell) -> int:
    """Numbers of an example."""
    return prod(shapes.image(cell.data))


def connections(step: Step) -> int:
    """Weights and biases of a layer."""
    if not isinstance(step.layer, Weighted):
        return 0
    window = prod(step.layer.window) if isinstance(step.layer, Conv) else 1
    bias = int(step.layer.b_std is not None)
    return (window * int(step.before[-1]) + bias) * int(step.after[-1])


def parameters(steps: Sequence[Step]) -> int:
    """Weights and biases."""
    return sum(map(connections, steps))


def places(step: Step) -> int:
    """Positions that a layer gives."""
    return prod(map(int, step.after[:-1]))


def products(steps: Sequence[Step]) -> int:
    """Multiply-adds of a forward pass of one example: each weight and bias once at each position."""
    return sum(connections(step) * places(step) for step in steps)


def activations(steps: Sequence[Step]) -> int:
    """Numbers that a backward pass keeps of one example: what each layer gives that computes anything, but the last."""
    kept = [step for step in steps if not isinstance(step.layer, Flatten | Activation | LeakyReLU)]
    return sum(step.count for step in kept[:-1])


def state_bytes(cell: Cell) -> int:
    """Of one seed in training: weights, gradient, optimizer state, anchor of a linearization, a batch both ways.

    What trains together follows from it, and so the last bits of results: it is a rule, not an estimate.
    """
    how, itemsize = cell.training, 4 if cell.numerics.network == "float32" else 8
    steps = network(cell)
    size = parameters(steps)
    if not isinstance(how, Trained):
        return itemsize * size
    linear = 0 if how.linearize_at is None else how.epochs - how.linearize_at
    optimizer = 2 if isinstance(how.optimizer, Adam) else int(how.optimizer.momentum > 0)
    copies = 2 + optimizer + 2 * int(linear > 0)
    images = 2 if isinstance(how, Adversarial) else 1
    kept = 2 * (how.batch_size or cell.data.n_train) * (images * inputs(cell) + activations(steps))
    return itemsize * (copies * size + kept * (1 + int(linear > 0)))


def together(cell: Cell) -> int:
    """How many seeds train at once."""
    return int(max(1, min(_MOST_TOGETHER, _MOST_BYTES // state_bytes(cell))))


def of_limit(cell: Cell, kernel: InfiniteKernel) -> tuple[list[Step], limit.Positions]:
    """The layers of an infinite kernel, and which pairs of positions it tells apart."""
    architecture = kernel.architecture or cell.architecture
    return walk(cell, architecture, None), limit.positions(blueprint.layers(architecture))


def has_cheap_limit(cell: Cell) -> bool:
    """Say whether the cell's network has an infinite kernel, and one that compares matched positions alone."""
    layers = blueprint.layers(cell.architecture)
    try:
        limit.check(layers)
    except shapes.Misfit:
        return False
    return limit.positions(layers) is not limit.Positions.ALL


def row_entries(cell: Cell, kernel: InfiniteKernel) -> int:
    """Numbers that a gradient through one entry of the kernel keeps: the covariances after each layer with weights."""
    steps, needs = of_limit(cell, kernel)
    return sum(limit.entries(step.after, needs) for step in weighted(steps))
