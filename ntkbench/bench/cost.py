"""Estimate what a plan costs, by arithmetic alone: operations, bytes and compiled programs of each stage.

    found = estimate(plan)
    found.seconds, found.peak_bytes     # on two ordinary CPU cores, see `machine`

`ntkbench plan`, the time that is left of a run, and the refusal of plans far too large for a machine build on it. The
estimates are within a factor of two of what the shipped specs take (`benchmarks/estimates.py`). Stages have the names
that records give them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from types import MappingProxyType

from ntkbench.analyses.grid import grid
from ntkbench.bench import choice, limit, machine, memory, shapes, sizes, timeline
from ntkbench.bench.layers import Activation, AvgPool, Conv, Dense, Flatten, LeakyReLU, Residual
from ntkbench.bench.limit import Positions
from ntkbench.bench.machine import Program, Work
from ntkbench.bench.plan import Plan
from ntkbench.bench.regimes import Adam, Adversarial, InnerPGD, Trained
from ntkbench.bench.shapes import Step
from ntkbench.bench.spec import (
    Analysis,
    Cell,
    Consistency,
    Drift,
    Eigenspace,
    EmpiricalKernel,
    InfiniteKernel,
    Kernel,
    Spectral,
    TimeCourse,
)
from ntkbench.bench.stages import craft_key, judged, kernel_key, training_key
from ntkbench.bench.threats import APGD, SELF, AnyAttack, GradientAttack, Iterated

EIGH = 12
"""operations of a symmetric eigendecomposition per n^3: 4/3 for the tridiagonal form, at a third of the rate; 8 more"""
ARC_COSINE = 60
"""operations of a closed-form activation on one entry of a covariance: a root, an arccos, a sine, a few products"""
MIXTURE = 20**2 * 130
"""operations of an activation that is a mixture over 20 x 20 pairs of scales, on one entry; from measured seconds"""
LINEAR = 6
"""operations of a scale and a bias on one entry of the covariances of values and of gradients"""
SHIFT = 20
"""operations an entry of adding an array to itself, moved by a row or a column"""
CACHED = 2**20
"""least bytes of one array of covariances that is computed at once"""
ALIVE = 8
"""number of such arrays that are in memory at once"""
LOOKED = 8
"""calls from Python for all that is measured on one kernel of a training"""
BACKWARD = 3
"""cost of a value of an infinite kernel with its gradient, in values alone"""


_ADVICE: Mapping[str, str] = MappingProxyType(
    {"t": "a smaller width or training.batch_size", "k": "fewer training examples, numerics.kernel: float32"}
)
"""what would make a stage smaller, by the first letter of its key: t for trainings, k for kernels"""


@dataclass(frozen=True)
class Stage:
    """A part of a run by its name in the record; `key`: of its object in the store, empty if each run does it."""

    name: str
    key: str
    work: Work


@dataclass(frozen=True)
class Estimate:
    """The work of a plan.

    `stages`: work by key of the object that it makes, done once for all runs that share it; `runs`: what is left to
    each run, by its id.
    """

    stages: Mapping[str, Work]
    runs: Mapping[str, Work]

    @property
    def total(self) -> Work:
        """All work, done one after the other."""
        return sum([*self.stages.values(), *self.runs.values()], Work())

    @property
    def seconds(self) -> float:
        """Seconds that one process takes for all of it, start-up included."""
        return seconds(self.total)

    @property
    def peak_bytes(self) -> int:
        """Bytes of memory at the peak of one process that does all of it."""
        return peak_bytes(self.total)

    @property
    def advice(self) -> str:
        """What would lower the memory of the stage that takes most, as messages say it."""
        stages = {**self.stages, **self.runs}
        largest = max(stages, key=lambda key: stages[key].bytes, default="r")
        return _ADVICE.get(largest[0], "fewer test examples")


def seconds(work: Work) -> float:
    """Return the seconds that one process takes for this work, start-up included; 0 for no work."""
    return machine.START + work.seconds() if work != Work() else 0.0


def peak_bytes(work: Work) -> int:
    """Return the bytes of memory at the peak of one process that does this work, compiled programs included."""
    compiled = min(machine.COMPILED_MOST, int(machine.COMPILED_BYTES * work.compiling(cores=1)))
    return machine.BASE_BYTES + compiled + work.bytes


def estimate(plan: Plan) -> Estimate:
    """Return the work of the whole plan: shared stages count once, and the seeds of a cell train together."""
    tile = tile_bytes(plan)
    seeds: dict[str, set[int]] = {}
    shared: dict[str, Work] = {}
    runs: dict[str, Work] = {}
    for cell, members in groupby(plan.runs, key=lambda run: run.cell):
        same = tuple(members)
        parts = list(stages(cell, tile))
        own = sum((stage.work for stage in parts if not stage.key), Work())
        runs |= dict.fromkeys((run.id for run in same), own)
        shared |= {stage.key: stage.work for stage in parts if stage.key}
        for part in trainings(cell):
            key = training_key(part)
            seeds.setdefault(key, set()).update(run.seed for run in same)
            shared[key] = training(part).times(len(seeds[key]), sizes.together(part))
    return Estimate(shared, runs)


def tile_bytes(plan: Plan) -> int:
    """Return the bytes of one tile for the runs of a plan, as a whole number."""
    return int(min(memory.tile_bytes(plan.header.run.tile_bytes), 1e18))


def trainings(cell: Cell) -> Iterator[Cell]:
    """Yield the cells whose last stretches, one after the other, are the cell's training; none without a network."""
    if cell.width is not None:
        if isinstance(cell.training, Trained) and (earlier := timeline.beginning(cell)) is not None:
            yield from trainings(earlier)
        yield cell


def stages(cell: Cell, tile: int) -> Iterator[Stage]:
    """Yield the stages of a cell after its training in the order of a run, each once; `tile` in bytes."""
    done: set[str] = set()
    for name, analysis in cell.analyses.items():
        for stage in (*_before(cell, analysis, tile), Stage(f"analysis.{name}", "", _analysis(cell, analysis, tile))):
            if stage.name not in done:
                done.add(stage.name)
                yield stage


def _before(cell: Cell, analysis: Analysis, tile: int) -> Iterator[Stage]:
    """Yield the stages of the kernels and the attacks that an analysis needs."""
    if isinstance(analysis, Spectral):
        for name in (analysis.target, *getattr(analysis, "against", ())):
            yield _kernel(cell, name, "spectrum", tile)
    elif not isinstance(analysis, Drift):
        attacks = {name: cell.attacks[name] for name in judged(analysis)}
        for name in (analysis.target, *(getattr(attack, "source", SELF) for attack in attacks.values())):
            if name in cell.kernels:
                yield _kernel(cell, name, "kernel", tile)
        for name, attack in attacks.items():
            infinite = isinstance(cell.kernels.get(getattr(attack, "source", SELF)), InfiniteKernel)
            yield Stage(f"craft.{name}", craft_key(cell, name) if infinite else "", crafting(cell, name, tile))


def _kernel(cell: Cell, name: str, stage: str, tile: int) -> Stage:
    """Return the stage of a kernel and its eigendecomposition; only infinite kernels have a key."""
    kernel = cell.kernels[name]
    key = kernel_key(cell, name) if isinstance(kernel, InfiniteKernel) else ""
    return Stage(f"{stage}.{name}", key, gram(cell, kernel, tile))


def _analysis(cell: Cell, analysis: Analysis, tile: int) -> Work:
    """Return the work of an analysis once its kernels and adversarial examples are there."""
    if isinstance(analysis, Spectral):
        return dissecting(cell, analysis, tile)
    if isinstance(analysis, Drift):
        return following(cell, analysis, tile)
    budgets = [len(cell.attacks[name].eps) for name in judged(analysis)]
    gradients = cell.data.n_test if getattr(analysis, "ceiling", None) or hasattr(analysis, "floor") else 0
    work = _values(cell, analysis.target, cell.data.n_test * (1 + sum(budgets)), tile)
    work += _gradients(cell, analysis.target, gradients, tile)
    programs = _programs(
        ("judge", budgets, _form(cell, cell.kernels.get(analysis.target))), cell, _through(cell, analysis.target)
    )
    return work + Work(bytes=work.bytes + sum(_images(cell, many) for many in budgets), calls=2, programs=programs)


def _images(cell: Cell, budgets: int) -> int:
    """Return the bytes of the adversarial examples of a test set: as crafted, and in the target's precision."""
    return 2 * 8 * cell.data.n_test * sizes.inputs(cell) * (1 + budgets)


# ---- networks ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Passes:
    """How often a computation passes the first layer with weights, and how often each later one.

    They differ, since the inputs of later layers have gradients.
    """

    first: int
    rest: int


SPECTRUM = 3
"""number of arrays as large as a kernel that are held for each kernel that is compared with others"""
COPIES = 5
"""least number of copies of the weights that a training holds at once: initial, current and next weights, the gradient,
and what is written to the store; wide networks were measured to hold 4.5 to 6 a seed"""
VALUE, GRADIENT, LEARNING = Passes(1, 1), Passes(2, 2), Passes(2, 3)
"""passes of a network: forward; forward and back to the image; forward and back to the weights"""
LINEAR_VALUE, LINEAR_GRADIENT, LINEAR_LEARNING = Passes(2, 3), Passes(6, 8), Passes(3, 5)
"""passes of a first-order model, which computes f and J w; each layer of J w has two products"""


def training(cell: Cell) -> Work:
    """Return the work of one seed in the last stretch of a training: updates, and gradients of an inner attack.

    Without training it is that of drawing the weights.
    """
    how, n = cell.training, cell.data.n_train
    steps, itemsize = sizes.network(cell), _itemsize(cell.numerics.network)
    size = sizes.parameters(steps)
    drawing = Work(
        bytes=sizes.state_bytes(cell),
        programs=_programs(("draw", cell.architecture, cell.width), cell, DRAWN * len(sizes.weighted(steps))),
    )
    if not isinstance(how, Trained):
        return drawing
    linear, epochs, inner = how.linearize_at is not None, timeline.length(cell), _inner_gradients(cell)
    learning, ascent = (LINEAR_LEARNING, LINEAR_GRADIENT) if linear else (LEARNING, GRADIENT)
    work = _passes(cell, cell.numerics.network, learning, epochs * n)
    work += _passes(cell, cell.numerics.network, ascent, inner * n)
    optimizer = 2 if isinstance(how.optimizer, Adam) else int(how.optimizer.momentum > 0)
    updates, ascents = epochs * timeline.steps(cell), inner * timeline.steps(cell)
    moved = itemsize * size * (updates * (4 + 2 * optimizer) + 2 * ascents)
    work += Work(moved=moved, steps=updates + ascents, calls=1)
    passes = LEARNING.rest + (GRADIENT.rest if isinstance(how, Adversarial) else 0)
    batch = (how.batch_size or n) * max((_seen(step) for step in sizes.weighted(steps)), default=0) * itemsize
    state = max(sizes.state_bytes(cell), COPIES * itemsize * size)
    return replace(
        drawing + work,
        bytes=state + batch * (2 if linear else 1),
        programs=drawing.programs
        | _programs(("training", how, _form(cell, None)), cell, passes * _through(cell, SELF)),
    )


def _seen(step: Step) -> int:
    """Return how many numbers the gradient of a convolution gathers of an example: a window at each position."""
    return sizes.connections(step) // int(step.after[-1]) * sizes.places(step) if isinstance(step.layer, Conv) else 0


def _inner_gradients(cell: Cell) -> int:
    """Return the number of gradients of the inner attack for each example in a cell's last stretch."""
    how = cell.training
    if not isinstance(how, Adversarial):
        return 0
    steps = how.attack.steps if isinstance(how.attack, InnerPGD) else 1
    return steps * max(0, how.epochs - max(how.warm_up, timeline.first(cell)))


def _passes(cell: Cell, dtype: str, passes: Passes, examples: int) -> Work:
    """Return the work of so many examples through the network, as often as `passes` says."""
    steps, itemsize = sizes.network(cell), _itemsize(dtype)
    work, times = Work(), passes.first
    for step in steps:
        operations = 2 * times * sizes.connections(step) * sizes.places(step) * examples
        moved = 2 * times * step.count * itemsize * examples
        if isinstance(step.layer, Conv):
            work += Work(convolved=operations * itemsize // 4, moved=moved)
        elif not isinstance(step.layer, Flatten):
            work += _products(dtype, operations) + Work(moved=moved)
        times = passes.rest if sizes.connections(step) else times
    return work


def _itemsize(dtype: str) -> int:
    """Return the bytes of one number."""
    return 4 if dtype == "float32" else 8


def _products(dtype: str, operations: int) -> Work:
    """Return operations of matrix products as work, by precision."""
    return Work(dense=operations) if dtype == "float32" else Work(double=operations)


# ---- kernels -------------------------------------------------------------------------------------


def gram(cell: Cell, kernel: InfiniteKernel | EmpiricalKernel, tile: int) -> Work:
    """Return the work of half a Gram matrix of the training set, and of its eigendecomposition in float64.

    An infinite kernel has n rows, an empirical one n c. Memory: the matrix, its eigenvectors and a workspace in
    float64, and a tile.
    """
    n, rows = cell.data.n_train, cell.data.n_train
    if isinstance(kernel, InfiniteKernel):
        entries = _pairs(cell, kernel, n * (n + 1) // 2, tile)
        programs = _programs(("gram", _form(cell, kernel)), cell, OF_LIMIT * _layers(sizes.of_limit(cell, kernel)[0]))
    else:
        rows = n * shapes.outputs(cell.data)
        entries = _empirical(cell, n, tile)
        programs = _programs(("gram", _form(cell, kernel)), cell, 2 * _layers(sizes.network(cell)))
    work = entries + Work(double=EIGH * rows**3, calls=2, programs=programs)
    return replace(work, bytes=3 * 8 * rows**2 + entries.bytes)


def _empirical(cell: Cell, n: int, tile: int, trace: bool = False) -> Work:
    """Return the work of the empirical kernel of all pairs of n examples, half of which are computed.

    Each example takes c backward passes; then each layer adds its block by the cheaper of two ways. Memory: the signals
    at all layers and what one layer's products take, at most six tiles. `trace`: only the mean over the outputs.
    """
    c = shapes.outputs(cell.data)
    layers = sizes.weighted(sizes.network(cell))
    ways = [min(_grams(step, n, c, trace), _gradients_of(step, n, c, trace)) for step in layers]
    work = _passes(cell, cell.numerics.kernel, VALUE, n * (1 + c))
    work += _products(cell.numerics.kernel, sum(operations for operations, _ in ways))
    numbers = n * c * sum(step.count for step in layers) + max(numbers for _, numbers in ways)
    return work + Work(bytes=min(6 * tile, _itemsize(cell.numerics.kernel) * numbers))


def _grams(step: Step, n: int, c: int, trace: bool) -> tuple[int, int]:
    """Return operations and numbers kept of a layer's block from Gram matrices of its inputs and its signals.

    A convolution needs them at all pairs of positions.
    """
    positions, units = sizes.places(step), int(step.after[-1])
    features, signals = sizes.connections(step) // units, c if trace else c**2
    return n**2 * positions**2 * (features + signals * units), n * positions * features


def _gradients_of(step: Step, n: int, c: int, trace: bool) -> tuple[int, int]:
    """Return operations and numbers kept of a layer's block from gradients, which are formed and multiplied."""
    weights, signals = sizes.connections(step), c if trace else c**2
    return n**2 * signals * weights + 2 * n * c * sizes.places(step) * weights, n * c * weights


def _pairs(cell: Cell, kernel: InfiniteKernel, count: int, tile: int) -> Work:
    """Return the work of `count` entries of an infinite kernel; a tile holds at least one, whatever `tile` allows."""
    steps, needs = sizes.of_limit(cell, kernel)
    start = limit.entries(shapes.image(cell.data), needs)
    largest = max(start, *(limit.entries(step.after, needs) for step in steps))
    rows = sizes.inputs(cell) if needs is not Positions.ALL else start * shapes.image(cell.data)[-1]
    entrywise = sum(_propagation(step, needs) for step in steps)
    work = _products(cell.numerics.kernel, 2 * rows * count) + Work(entrywise=entrywise * count)
    return work + Work(bytes=ALIVE * max(CACHED, largest * _itemsize(cell.numerics.kernel)))


def _propagation(step: Step, needs: Positions) -> int:
    """Return the operations of one layer on the covariances of a pair of examples.

    A covariance has an entry for each position, or for each pair of positions (`needs`).
    """
    before, after = limit.entries(step.before, needs), limit.entries(step.after, needs)
    match step.layer:
        case Activation(op="relu" | "erf" | "gelu" | "sin") | LeakyReLU():
            return ARC_COSINE * after
        case Activation():
            return MIXTURE * after
        case Conv(window=window):
            return (SHIFT * sum(window) + LINEAR) * after
        case AvgPool(window=window):
            return 2 * SHIFT * sum(window) * after
        case Residual(branches=branches):
            return 2 * len(branches) * after
        case Dense():
            return LINEAR
    return 2 * before if before > 1 else 0


# ---- predictors ----------------------------------------------------------------------------------


def _values(cell: Cell, who: str, examples: int, tile: int) -> Work:
    """Return the work of a predictor's outputs on so many examples.

    `who` is the id of a kernel, or anything else for the network. An infinite kernel computes an entry for each
    training point, an empirical one is a first-order model.
    """
    kernel, value = cell.kernels.get(who), VALUE
    if isinstance(kernel, InfiniteKernel):
        return _pairs(cell, kernel, examples * cell.data.n_train, tile)
    dtype = cell.numerics.network if kernel is None else cell.numerics.kernel
    if kernel is not None or _is_linear(cell):
        value = LINEAR_VALUE
    return _passes(cell, dtype, value, examples)


def _gradients(cell: Cell, who: str, examples: int, tile: int) -> Work:
    """Return the work of the objective's input gradient at so many images."""
    kernel, gradient = cell.kernels.get(who), GRADIENT
    if isinstance(kernel, InfiniteKernel):
        work = _values(cell, who, BACKWARD * examples, tile)
        kept = sizes.row_entries(cell, kernel) * cell.data.n_train * _itemsize(cell.numerics.kernel)
        return replace(work, bytes=max(work.bytes, min(tile // 4, examples * 4 * kept)))
    dtype = cell.numerics.network if kernel is None else cell.numerics.kernel
    if kernel is not None or _is_linear(cell):
        gradient = LINEAR_GRADIENT
    return _passes(cell, dtype, gradient, examples)


def _is_linear(cell: Cell) -> bool:
    """Return whether the cell's network ends its training as a first-order model."""
    return isinstance(cell.training, Trained) and cell.training.linearize_at is not None


def crafting(cell: Cell, attack_id: str, tile: int) -> Work:
    """Return the work of crafting: gradients of every test point, then the source on clean and on attacked images.

    An iterated attack takes a gradient for each budget and step, a single step one for all budgets; one more gradient
    at the clean image is compared with those of targets.
    """
    attack, n = cell.attacks[attack_id], cell.data.n_test
    images = _images(cell, len(attack.eps))
    if not isinstance(attack, GradientAttack):
        return Work(
            entrywise=n * sizes.inputs(cell) * len(attack.eps) * DRAWN,
            bytes=images,
            programs=_programs(("signs", _shape(attack), _form(cell, None)), cell, DRAWN),
        )
    budgets = len(attack.eps) if isinstance(attack, Iterated) else 1
    work = _gradients(cell, attack.source, n * (1 + ascents(attack) * budgets), tile)
    work += _values(cell, attack.source, n * (1 + len(attack.eps)), tile)
    passes = (VALUE.rest + 2 * GRADIENT.rest) * _through(cell, attack.source)
    programs = _programs(("craft", _shape(attack), _form(cell, cell.kernels.get(attack.source))), cell, passes, 3)
    return work + Work(calls=3, bytes=images + work.bytes, programs=programs)


def ascents(attack: AnyAttack) -> int:
    """Return the number of gradients that an attack takes of one example at one budget."""
    if not isinstance(attack, Iterated):
        return 1
    targets = attack.targeted or 1 if isinstance(attack, APGD) else 1
    return attack.steps * attack.restarts * targets


# ---- analyses ------------------------------------------------------------------------------------


def following(cell: Cell, drift: Drift, tile: int) -> Work:
    """Return the work of a drift analysis: at each snapshot a kernel with its eigenvectors, and attacks.

    Inner products of all pairs of kernels follow. Memory: half of each kernel in float32 as long as they fit, and the
    eigenvectors of two.
    """
    assert isinstance(cell.training, Trained)
    count, size = len(choice.snapshots(drift.snapshots, cell.training.epochs)), choice.rows(cell, drift)
    probes = 2 if drift.adversarial_probe else 1
    kernel = _empirical(cell, drift.probe.n, tile, trace=drift.layout == "trace")
    kernel += Work(double=EIGH * size**3 + 2 * size**3 + count * size**2, calls=LOOKED)
    kept = min(2 * count * size**2, int(memory.kernel_bytes())) + 6 * 8 * size**2
    work = replace(kernel.times(count * probes), bytes=kernel.bytes + kept)
    for split in drift.accuracy_on:
        examples = cell.data.n_test if split == "test" else cell.data.n_train
        times = {"all": count, "ends": 2, "final": 1}[drift.accuracy_at]
        work += _judging(cell, drift.attack, examples, tile).times(times)
    if drift.adversarial_probe:
        work += _judging(cell, drift.adversarial_probe, drift.probe.n, tile).times(count)
    return work + Work(
        programs=_programs(("kernels", _form(cell, None)), cell, GRADIENT.rest * _through(cell, SELF), 3)
    )


def _judging(cell: Cell, attack_id: str | None, n: int, tile: int) -> Work:
    """Return the work of judging the network on n examples, clean and under an attack if one is named."""
    of = cell.model_copy(update={"data": cell.data.model_copy(update={"n_test": n})})
    budgets = len(cell.attacks[attack_id].eps) if attack_id else 0
    work = _values(of, SELF, n * (1 + budgets), tile)
    return work + crafting(of, attack_id, tile) if attack_id else work


def dissecting(cell: Cell, analysis: Spectral, tile: int) -> Work:
    """Return the work of judging many filters of a kernel at the test points.

    At a clean test point one row of the kernel serves all filters, and their gradients are one product of matrices. On
    attacked images each filter needs a row of its own. All truncations take two more products with the eigenvectors;
    comparing kernels takes the gradients of both.
    """
    attack, n, size = cell.attacks.get(analysis.attack or ""), cell.data.n_test, choice.size(cell, analysis.target)
    members = _members(analysis, size)
    work = _gradients(cell, analysis.target, n, tile)
    held, compared = 0, 0
    if isinstance(analysis, Consistency):  # each kernel with the target's, and all with the linear one
        held, compared = len(analysis.against) + 2, 2 * (2 * len(analysis.against) + 1) * _many(analysis.features, size)
    work += Work(double=2 * n * (members + compared) * size * sizes.inputs(cell))
    if attack is not None:
        work += _values(cell, analysis.target, n * members * len(attack.eps), tile)
        if isinstance(attack, Iterated):
            work += _gradients(cell, analysis.target, n * members * len(attack.eps) * ascents(attack), tile)
    if isinstance(analysis, Eigenspace):
        work += Work(double=2 * n * size**2)
    kernels = (analysis.target, *getattr(analysis, "against", ()))
    programs = frozenset[Program]().union(
        *(
            _programs(
                ("parts", _form(cell, cell.kernels.get(name)), attack and _shape(attack)),
                cell,
                9 * _through(cell, name),
                5,
            )
            for name in kernels
        )
    )
    return work + Work(bytes=SPECTRUM * 8 * size**2 * held, calls=4 * len(kernels), programs=programs)


def _members(analysis: Spectral, size: int) -> int:
    """Return the number of predictors that an analysis attacks or compares, of a kernel with `size` features."""
    match analysis:
        case Eigenspace(features=single, truncations=sums, groups=groups):
            several = {*choice.truncations(sums, size), *grid(size)}
            return _many(single, size) + 2 * (2 + len(several)) + (groups if isinstance(groups, int) else len(groups))
        case TimeCourse(times=times, ridges=ridges):
            return sum(n if isinstance(n, int) else len(n) for n in (times, ridges))
        case Consistency(features=single, against=against):
            return _many(single, size) * (2 + len(against))


def _many(words: int | str | tuple[int, ...], size: int) -> int:
    """Return how many features or truncations a spec chooses: all, a number of them, or a list."""
    if isinstance(words, tuple):
        return len(words)
    return size if isinstance(words, str) else min(words, size)


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
    kernel = cell.kernels.get(who)
    if isinstance(kernel, InfiniteKernel):
        return OF_LIMIT * _layers(sizes.of_limit(cell, kernel)[0])
    return _layers(sizes.network(cell)) * (1 + int(kernel is not None or _is_linear(cell)))


def _layers(steps: Sequence[Step]) -> int:
    """Return the number of layers, weighted by the time that each takes to compile."""
    return sum(OF_CONVOLUTION if isinstance(step.layer, Conv) else 1 for step in steps)


def _form(cell: Cell, kernel: Kernel | None) -> object:
    """Return what tells programs of a network or kernel apart: its structure, not its weights, time or ridge."""
    match kernel:
        case InfiniteKernel(type=of, architecture=architecture):
            return of, architecture or cell.architecture
        case EmpiricalKernel():
            return "first order", cell.architecture, cell.width
    centered = isinstance(cell.training, Trained) and cell.training.centered
    return _is_linear(cell), centered, cell.architecture, cell.width


def _shape(attack: AnyAttack) -> object:
    """Return what tells programs of an attack apart: all fields but source, values of budgets, and seed."""
    return attack.model_dump(exclude={"source", "eps", "seed"}), len(attack.eps)
