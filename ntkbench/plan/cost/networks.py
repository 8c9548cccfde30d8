"""Count the work and memory of training a network, and the passes through its layers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ntkbench.memo import by_identity
from ntkbench.plan import sizes, timeline
from ntkbench.plan.cost.work import Program, Work
from ntkbench.plan.shapes import Step
from ntkbench.spec.architectures import Architecture
from ntkbench.spec.attacks import APGD, FAB, PGD, SELF, AnyAttack, AutoAttack, GradientAttack, InnerPGD, Square
from ntkbench.spec.cell import Cell
from ntkbench.spec.kernels import EmpiricalKernel, InfiniteKernel, Kernel
from ntkbench.spec.layers import Conv, Flatten
from ntkbench.spec.training import Adam, AdversarialPhase, Phase, Trained, Training


def _images(cell: Cell, budgets: int) -> int:
    """Return the bytes of the adversarial examples of a test set: as crafted, and in the target's precision."""
    return 2 * 8 * cell.data.n_test * sizes.inputs(cell) * (1 + budgets)


# ---- networks ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Passes:
    """Count how often a computation passes the first layer with weights, and how often each later one.

    They differ, since the inputs of later layers have gradients.
    """

    first: int
    rest: int


COPIES = 5
"""least number of copies of the weights that a training holds at once: initial, current and next weights, the gradient,
and what is written to the store; wide networks were measured to hold 4.5 to 6 a seed"""
VALUE, GRADIENT, LEARNING = Passes(1, 1), Passes(2, 2), Passes(2, 3)
"""passes of a network: forward; forward and back to the image; forward and back to the weights"""
LINEAR_VALUE, LINEAR_GRADIENT, LINEAR_LEARNING = Passes(2, 3), Passes(6, 8), Passes(3, 5)
"""passes of a first-order model, which computes f and J w; each layer of J w has two products"""


def training(cell: Cell) -> Work:
    """Return the work of one seed in the last phase of a training: updates, and gradients of an inner attack.

    Without training it is that of drawing the weights.
    """
    n = cell.data.n_train
    steps, itemsize = sizes.network(cell), _itemsize(cell.numerics.network)
    size = sizes.parameters(steps)
    drawing = Work(
        bytes=sizes.state_bytes(cell),
        programs=_programs(("draw", _said(cell.architecture), cell.width), cell, DRAWN * len(sizes.weighted(steps))),
    )
    if not isinstance(cell.training, Trained):
        return drawing
    how = timeline.last_phase(cell).words
    linear, inner = how.linearize is not None, _inner_gradients(how)
    learning, ascent = (LINEAR_LEARNING, LINEAR_GRADIENT) if linear else (LEARNING, GRADIENT)
    both = 2 if isinstance(how, AdversarialPhase) and how.trades else 1
    work = _passes(cell, cell.numerics.network, learning, both * how.epochs * n)
    work += _passes(cell, cell.numerics.network, ascent, inner * n)
    optimizer = 2 if isinstance(how.optimizer, Adam) else int(how.optimizer.momentum > 0)
    updates, ascents = how.epochs * timeline.steps(cell), inner * timeline.steps(cell)
    moved = itemsize * size * (updates * (4 + 2 * optimizer) + 2 * ascents)
    work += Work(moved=moved, steps=updates + ascents, calls=1)
    passes = both * LEARNING.rest + (GRADIENT.rest if isinstance(how, AdversarialPhase) else 0)
    batch = (how.batch_size or n) * max((_patch_entries(step) for step in sizes.weighted(steps)), default=0) * itemsize
    state = max(sizes.state_bytes(cell), COPIES * itemsize * size)
    return replace(
        drawing + work,
        bytes=state + batch * (2 if linear else 1),
        programs=drawing.programs
        | _programs(("training", _said(cell.training), _form(cell, None)), cell, passes * _through(cell, SELF)),
    )


def _patch_entries(step: Step) -> int:
    """Return how many numbers the gradient of a convolution gathers of an example: a window at each position."""
    return sizes.connections(step) // int(step.after[-1]) * sizes.places(step) if isinstance(step.layer, Conv) else 0


def _inner_gradients(how: Phase) -> int:
    """Return the number of gradients of the inner attack for each example in a phase."""
    if not isinstance(how, AdversarialPhase):
        return 0
    steps = how.attack.steps if isinstance(how.attack, InnerPGD) else 1
    return steps * max(0, how.epochs - how.warm_up)


def _passes(cell: Cell, dtype: str, passes: Passes, examples: int) -> Work:
    """Return the work of so many examples through the network, as often as `passes` says."""
    steps, itemsize = sizes.network(cell), _itemsize(dtype)
    convolved, products, moved, times = 0, 0, 0, passes.first
    for step in steps:
        weights = sizes.connections(step)
        operations = 2 * times * weights * sizes.places(step) * examples
        if isinstance(step.layer, Conv):
            convolved += operations * itemsize // 4
        else:
            products += operations
        if not isinstance(step.layer, Flatten):
            moved += 2 * times * step.count * itemsize * examples
        times = passes.rest if weights else times
    return _products(dtype, products) + Work(convolved=convolved, moved=moved)


def _itemsize(dtype: str) -> int:
    """Return the bytes of one number."""
    return 4 if dtype == "float32" else 8


def _products(dtype: str, operations: int) -> Work:
    """Return operations of matrix products as work, by precision."""
    return Work(dense=operations) if dtype == "float32" else Work(double=operations)


def _is_linear(cell: Cell) -> bool:
    """Return whether the cell's network ends its training as a first-order model."""
    return isinstance(cell.training, Trained) and timeline.linear_from(cell) is not None


def ascents(attack: AnyAttack | GradientAttack, outputs: int) -> int:
    """Return the number of gradients that an attack takes of one example at one budget.

    `outputs`: the number of outputs of its source. Those of the standard set are counted as if no example was turned
    before its end; so are its queries.
    """
    match attack:
        case Square():
            return 0
        case AutoAttack():
            return attack.steps * (1 + 2 * max(1, attack.towards(outputs)))
        case FAB():
            return attack.steps * attack.restarts * (attack.targeted or max(1, outputs - 1))
        case APGD():
            return attack.steps * attack.restarts * (attack.targeted or 1)
        case PGD():
            return attack.steps * attack.restarts
    return 1


def queries(attack: AnyAttack | GradientAttack, outputs: int) -> int:
    """Return how many images an attack shows to its source without a gradient, of one example at one budget.

    FAB looks at where each step of a run has led, beside its gradients.
    """
    match attack:
        case Square():
            return attack.steps * attack.restarts
        case AutoAttack():
            return attack.queries + attack.steps * max(1, attack.towards(outputs))
        case FAB():
            return attack.steps * attack.restarts * (attack.targeted or 1)
    return 0


# ---- programs ------------------------------------------------------------------------------------

DRAWN = 15
"""passes through a layer that take as long to compile as drawing random numbers"""
OF_LIMIT, OF_CONVOLUTION = 2, 4
"""passes through a dense layer that take as long to compile as one through a layer of an infinite network, and as one
through a convolution"""


def _programs(what: object, cell: Cell, passes: int, functions: int = 1) -> frozenset[Program]:
    """Return the compiled programs of `functions` functions with `passes` through layers, for the sizes of the cell.

    Two with equal `what` and sizes are one program, compiled once.
    """
    told = repr((what, cell.data.n_train, cell.data.n_test))
    return frozenset({Program(told, functions, passes)})


def _through(cell: Cell, who: str) -> int:
    """Return what one pass through a predictor takes to compile, in passes through a dense layer."""
    kernel, cell = cell.kernels.get(who), cell.as_own(who)
    if isinstance(kernel, InfiniteKernel):
        return OF_LIMIT * _layers(sizes.limit_steps(cell, kernel)[0])
    return _layers(sizes.network(cell)) * (1 + int(kernel is not None or _is_linear(cell)))


def _layers(steps: Sequence[Step]) -> int:
    """Return the number of layers, weighted by the time that each takes to compile."""
    return sum(OF_CONVOLUTION if isinstance(step.layer, Conv) else 1 for step in steps)


def _form_of(cell: Cell, who: str) -> object:
    """Return what tells programs of the predictor `who` apart, as `_form` does."""
    return _form(cell.as_own(who), cell.kernels.get(who))


def _form(cell: Cell, kernel: Kernel | None) -> object:
    """Return what tells programs of a network or kernel apart: its structure, not its weights, time or ridge."""
    match kernel:
        case InfiniteKernel(type=of, architecture=architecture):
            return of, _said(architecture or cell.architecture)
        case EmpiricalKernel():
            return "first order", _said(cell.architecture), cell.width
    centered = isinstance(cell.training, Trained) and timeline.last_phase(cell).words.linearize == "centered"
    return _is_linear(cell), centered, _said(cell.architecture), cell.width


@by_identity
def _shape(attack: AnyAttack) -> object:
    """Return what tells programs of an attack apart: all fields but source, values of budgets, and seed."""
    return attack.model_dump(exclude={"source", "eps", "seed"}), len(attack.eps)


@by_identity
def _said(section: Architecture | Training) -> str:
    """Return a section of a spec as text, made once for all cells that share it."""
    return repr(section)
