"""What a plan costs, by arithmetic alone: floating-point operations over a rate, bytes of what lives at once.

An estimate to choose a machine by, right within a factor of a few: compilation, reading data and the time between
operations are left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod

from ntkbench.bench import blueprint, choice, limit, memory, shapes
from ntkbench.bench.architecture import Architecture
from ntkbench.bench.layers import Activation, AvgPool, Conv, Dense, Flatten, LeakyReLU, Residual, Weighted
from ntkbench.bench.plan import Plan, Run
from ntkbench.bench.regimes import Adam, Adversarial, InnerPGD, Trained
from ntkbench.bench.shapes import Step
from ntkbench.bench.spec import (
    Cell,
    Consistency,
    Drift,
    Eigenspace,
    EmpiricalKernel,
    InfiniteKernel,
    Spectral,
    TimeCourse,
)
from ntkbench.bench.stages import craft_key, crafted, judged, kernel_key, training_key
from ntkbench.bench.threats import APGD, SELF, AnyAttack, GradientAttack, Iterated

SINGLE_RATE = 5e10
"""float32 operations per second of two ordinary CPU cores on matrices; an accelerator has 1e13 and more"""
DOUBLE_RATE = SINGLE_RATE / 2
"""float64 moves twice the bytes"""
EIGH = 9
"""operations of a symmetric eigendecomposition, per n^3: 4/3 to the tridiagonal form, the rest for the vectors"""
ARC_COSINE = 60
"""operations of a closed-form activation on one entry of a covariance: a root, an arccos, a sine, a few products"""
QUADRATURE = 64**2 * 30
"""of one that is known by quadrature: as many nodes, a function and its slope at each"""
LINEAR = 6
"""of a scale and a bias, for the covariances of values and of gradients"""
ALIVE = 8
"""covariances of one pair that are in memory at once"""


@dataclass(frozen=True)
class Work:
    """Operations in float32 and in float64, and the bytes needed at once."""

    single: int | float = 0
    double: int | float = 0
    bytes: int | float = 0

    @property
    def seconds(self) -> int | float:
        return self.single / SINGLE_RATE + self.double / DOUBLE_RATE

    def __add__(self, other: "Work") -> "Work":
        """One after the other: operations add up, memory is used again."""
        return Work(self.single + other.single, self.double + other.double, max(self.bytes, other.bytes))

    def together(self, copies: int) -> "Work":
        """Several at once."""
        return Work(copies * self.single, copies * self.double, copies * self.bytes)


@dataclass(frozen=True)
class Estimate:
    """`stages`: by key, each done once whatever number of runs share it; `runs`: by id, what is left to each."""

    stages: Mapping[str, Work]
    runs: Mapping[str, Work]

    @property
    def total(self) -> Work:
        return sum([*self.stages.values(), *self.runs.values()], Work())

    @property
    def seconds(self) -> int | float:
        return self.total.seconds

    @property
    def peak_bytes(self) -> int | float:
        return self.total.bytes


def estimate(plan: Plan) -> Estimate:
    """Of the whole plan: shared stages once, the seeds of a cell trained together."""
    tile = memory.tile_bytes(plan.header.run.tile_bytes)
    seeds: dict[str, set[int]] = {}
    stages: dict[str, Work] = {}
    runs: dict[str, Work] = {}
    for cell, members in groupby(plan.runs, key=lambda run: run.cell):
        same = tuple(members)
        runs |= dict.fromkeys((run.id for run in same), _own(cell, tile))
        stages |= _shared(cell, tile)
        if cell.width is not None:
            key = training_key(cell)
            seeds.setdefault(key, set()).update(run.seed for run in same)
            stages[key] = training(cell).together(len(seeds[key]))
    return Estimate(stages, runs)


def alone(run: Run, tile_bytes: int | float) -> Work:
    """Of one run, if nothing of it is there yet."""
    parts = [work for _, work in _shared(run.cell, tile_bytes)]
    return sum(parts, training(run.cell) + _own(run.cell, tile_bytes))


def _shared(cell: Cell, tile: int | float) -> Iterator[tuple[str, Work]]:
    """What all widths and seeds have in common: infinite kernels, and attacks made on them."""
    for name, kernel in cell.kernels.items():
        if isinstance(kernel, InfiniteKernel):
            yield kernel_key(cell, name), gram(cell, kernel, tile)
    for name in crafted(cell):
        yield craft_key(cell, name), crafting(cell, name, tile)


def _own(cell: Cell, tile: int | float) -> Work:
    """What each run does itself: its empirical kernels, attacks on its network, looking at the results."""
    work = Work()
    for kernel in cell.kernels.values():
        if isinstance(kernel, EmpiricalKernel):
            work += gram(cell, kernel, tile)
    needed = dict.fromkeys(name for analysis in cell.analyses.values() for name in judged(analysis))
    for name in needed.keys() - crafted(cell):
        work += crafting(cell, name, tile)
    for analysis in cell.analyses.values():
        if isinstance(analysis, Spectral):
            work += dissecting(cell, analysis, tile)
        elif isinstance(analysis, Drift):
            work += following(cell, analysis, tile)
        else:
            budgets = sum(len(cell.attacks[name].eps) for name in judged(analysis))
            work += _forward(cell, analysis.target, cell.data.n_test * (1 + budgets))
    return work


# ---- sizes ---------------------------------------------------------------------------------------


def _steps(cell: Cell, architecture: Architecture, width: int | None) -> list[Step]:
    sizes = shapes.Sizes(width or 1, shapes.outputs(cell.data))
    return list(shapes.steps(blueprint.layers(architecture), shapes.image(cell.data), sizes))


def _inputs(cell: Cell) -> int:
    return prod(shapes.image(cell.data))


def parameters(steps: Sequence[Step]) -> int:
    """Weights and biases."""
    return sum(_connections(step) for step in steps)


def products(steps: Sequence[Step]) -> int:
    """Multiply-adds of a forward pass of one example: each weight and bias once at each position."""
    return sum(_connections(step) * prod(map(int, step.after[:-1])) for step in steps)


def _connections(step: Step) -> int:
    if not isinstance(step.layer, Weighted):
        return 0
    window = prod(step.layer.window) if isinstance(step.layer, Conv) else 1
    bias = int(step.layer.b_std is not None)
    return (window * int(step.before[-1]) + bias) * int(step.after[-1])


def activations(steps: Sequence[Step]) -> int:
    """Numbers that a backward pass keeps of one example: what each layer gives that computes anything, but the last."""
    kept = [step for step in steps if not isinstance(step.layer, Flatten | Activation | LeakyReLU)]
    return sum(step.count for step in kept[:-1])


def network(cell: Cell) -> list[Step]:
    """The layers of the cell's finite network; none if it has none."""
    return _steps(cell, cell.architecture, cell.width) if cell.width else []


def _work(dtype: str, operations: int | float, count: int | float) -> Work:
    """`count` numbers of that type."""
    if dtype == "float32":
        return Work(single=operations, bytes=4 * count)
    return Work(double=operations, bytes=8 * count)


# ---- stages --------------------------------------------------------------------------------------


def training(cell: Cell) -> Work:
    """One seed: 6 products a full epoch and example (2 forward, 4 backward), and 4 for each gradient of an inner attack
    (2 forward, 2 back to the image); twice that once linearized.

    Memory: weights, gradient, optimizer state (and the anchor of a linearization), a batch's activations, both ways,
    and of an inner attack the images and their gradients.
    """
    how, n = cell.training, cell.data.n_train
    walk = network(cell)
    size = parameters(walk)
    if not isinstance(how, Trained):
        return _work(cell.numerics.network, 0, size)
    linear = 0 if how.linearize_at is None else how.epochs - how.linearize_at
    operations = products(walk) * n * (6 * (how.epochs + linear) + 4 * _inner_gradients(how))
    optimizer = 2 if isinstance(how.optimizer, Adam) else int(how.optimizer.momentum > 0)
    copies = 2 + optimizer + 2 * int(linear > 0)
    images = 2 if isinstance(how, Adversarial) else 1
    kept = 2 * (how.batch_size or n) * (images * _inputs(cell) + activations(walk))
    return _work(cell.numerics.network, operations, copies * size + kept * (1 + int(linear > 0)))


def _inner_gradients(how: Trained) -> int:
    """Of each example in a whole training, those of a linearized network twice."""
    if not isinstance(how, Adversarial):
        return 0
    begins = [how.warm_up] + ([max(how.warm_up, how.linearize_at)] if how.linearize_at is not None else [])
    steps = how.attack.steps if isinstance(how.attack, InnerPGD) else 1
    return steps * sum(max(0, how.epochs - begin) for begin in begins)


def gram(cell: Cell, kernel: InfiniteKernel | EmpiricalKernel, tile: int | float) -> Work:
    """Half a Gram matrix of the training set, and its eigendecomposition, 9 n^3 in float64. Memory: the matrix, its
    eigenvectors and a workspace in float64, and a tile. An empirical one has n c rows."""
    n, rows = cell.data.n_train, cell.data.n_train
    if isinstance(kernel, InfiniteKernel):
        entries = _pairs(cell, kernel, n * (n + 1) // 2, tile)
    else:
        rows = n * shapes.outputs(cell.data)
        entries = _empirical(cell, n, tile)
    return entries + Work(double=EIGH * rows**3) + Work(bytes=3 * 8 * rows**2 + entries.bytes)


def _empirical(cell: Cell, n: int, tile: int | float, trace: bool = False) -> Work:
    """All pairs of n examples, half of them computed: c backward passes each, then layer by layer.

    Memory: what these leave and the gradients of one layer, in up to six tiles.
    """
    walk, c = network(cell), shapes.outputs(cell.data)
    layers = [step for step in walk if isinstance(step.layer, Weighted)]
    operations = 2 * products(walk) * n * (1 + c) + sum(_term(step, n, c, trace) for step in layers)
    left = sum(step.count for step in layers) + max(map(_connections, layers))
    itemsize = 4 if cell.numerics.kernel == "float32" else 8
    return _work(cell.numerics.kernel, operations, 0) + Work(bytes=min(6 * tile, itemsize * n * c * left))


def _term(step: Step, n: int, c: int, trace: bool) -> int:
    """Of one layer: from the Gram matrices of its inputs and of the signals at all positions, or from its gradients."""
    positions, units = prod(map(int, step.after[:-1])), int(step.after[-1])
    weights, signals = _connections(step), c if trace else c**2
    grams = n**2 * positions**2 * (weights // units + signals * units)
    return min(grams, n**2 * signals * weights + 2 * n * c * positions * weights)


def _pairs(cell: Cell, kernel: InfiniteKernel, count: int | float, tile: int | float) -> Work:
    """So many entries of an infinite kernel. A tile holds one pair at least, however little memory it is given."""
    itemsize = 4 if cell.numerics.kernel == "float32" else 8
    walk, needs = _limit(cell, kernel)
    start = limit.entries(shapes.image(cell.data), needs)
    largest = max(start, *(limit.entries(step.after, needs) for step in walk))
    rows = _inputs(cell) if needs is not limit.Positions.ALL else start * shapes.image(cell.data)[-1]
    operations = 2 * rows + sum(_propagation(step, needs) for step in walk)
    work = _work(cell.numerics.kernel, operations * count, 0)
    return work + Work(bytes=max(tile, ALIVE * largest * itemsize))


def _limit(cell: Cell, kernel: InfiniteKernel) -> tuple[list[Step], limit.Positions]:
    architecture = kernel.architecture or cell.architecture
    return _steps(cell, architecture, None), limit.positions(blueprint.layers(architecture))


def _propagation(step: Step, needs: limit.Positions) -> int | float:
    """Operations of one layer on the covariance of a pair: by entries, each position or pair of positions one."""
    before, after = limit.entries(step.before, needs), limit.entries(step.after, needs)
    match step.layer:
        case Activation(op="relu" | "erf" | "gelu") | LeakyReLU():
            return ARC_COSINE * after
        case Activation():
            return QUADRATURE * after
        case Conv(window=window):
            return (2 * sum(window) + LINEAR) * after
        case AvgPool(window=window):
            return 4 * sum(window) * after
        case Residual(branches=branches):
            return 2 * len(branches) * after
        case Dense():
            return LINEAR
    return 2 * before if before > 1 else 0


def row_entries(cell: Cell, kernel: InfiniteKernel) -> int:
    """Numbers that a gradient through one entry of the kernel keeps: the covariances after each layer with weights."""
    walk, needs = _limit(cell, kernel)
    return sum(limit.entries(step.after, needs) for step in walk if isinstance(step.layer, Weighted))


def crafting(cell: Cell, attack_id: str, tile: int | float) -> Work:
    """A gradient of each test point, for each budget and step; one more for the comparison of gradients."""
    attack = cell.attacks[attack_id]
    if not isinstance(attack, GradientAttack):
        return Work()
    gradients = cell.data.n_test * (1 + _ascents(attack) * len(attack.eps))
    forward = _forward(cell, attack.source, gradients)
    backward = forward.together(2)
    images = 8 * cell.data.n_test * _inputs(cell) * (1 + len(attack.eps))
    return Work(forward.single + backward.single, forward.double + backward.double, images + max(tile, forward.bytes))


def _ascents(attack: AnyAttack) -> int:
    """Gradients of one example at one budget."""
    if not isinstance(attack, Iterated):
        return 1
    targets = attack.targeted or 1 if isinstance(attack, APGD) else 1
    return attack.steps * attack.restarts * targets


def following(cell: Cell, drift: Drift, tile: int | float) -> Work:
    """At each snapshot a kernel and its eigenvectors, and an attack on the test set; then all pairs of kernels.

    Memory: half of each kernel in float32 as long as they fit, and the eigenvectors of two.
    """
    assert isinstance(cell.training, Trained)
    count, size = len(choice.snapshots(drift.snapshots, cell.training.epochs)), choice.rows(cell, drift)
    probes = 2 if drift.adversarial_probe else 1
    kernel = _empirical(cell, drift.probe.n, tile, trace=drift.layout == "trace")
    kernel += Work(double=EIGH * size**3 + 2 * size**3 + count * size**2)
    kept = min(2 * count * size**2, memory.kernel_bytes()) + 6 * 8 * size**2
    work = kernel.together(count * probes)
    work = Work(work.single, work.double, kernel.bytes + kept)
    for split in drift.accuracy_on:
        examples = cell.data.n_test if split == "test" else cell.data.n_train
        work += _judging(cell, drift.attack, examples, tile, {"all": count, "ends": 2, "final": 1}[drift.accuracy_at])
    if drift.adversarial_probe:
        work += _judging(cell, drift.adversarial_probe, drift.probe.n, tile, count)
    return work


def _judging(cell: Cell, attack_id: str | None, n: int, tile: int | float, count: int) -> Work:
    """The network on so many examples, clean and attacked, so many times."""
    of = cell.model_copy(update={"data": cell.data.model_copy(update={"n_test": n})})
    work = _forward(cell, SELF, n)
    work += crafting(of, attack_id, tile) if attack_id else Work()
    return Work(count * work.single, count * work.double, work.bytes)


def dissecting(cell: Cell, analysis: Spectral, tile: int | float) -> Work:
    """Parts of a kernel at the test points: for each of them a product of matrices with the training set.

    All truncations are two more, with the eigenvectors.
    """
    attack, size = cell.attacks.get(analysis.attack or ""), choice.size(cell, analysis.target)
    steps = 2 * _ascents(attack) * len(attack.eps) if isinstance(attack, Iterated) else 1
    passes = 1 if attack is None else 1 + steps + len(attack.eps)
    predictors = cell.data.n_test * passes * _members(analysis, size)
    work = _forward(cell, analysis.target, predictors) + Work(bytes=tile)
    if isinstance(analysis, Eigenspace):
        work += Work(double=2 * cell.data.n_test * size**2)
    return work


def _members(analysis: Spectral, size: int) -> int:
    """Predictors that an analysis is made of."""
    match analysis:
        case Eigenspace(features=single, truncations=sums, groups=groups):
            every = choice.features(single, size), choice.truncations(sums, size), choice.groups(groups, size)
            return len(every[0]) + 2 * len(every[1]) + len(every[2])
        case TimeCourse(times=times, ridges=ridges):
            return sum(n if isinstance(n, int) else len(n) for n in (times, ridges))
        case Consistency(features=single, against=against):
            return len(choice.features(single, size)) * (1 + len(against))


def _forward(cell: Cell, who: str, examples: int) -> Work:
    """A network costs 2 operations a product and example, a kernel predictor one entry per training point."""
    kernel = cell.kernels.get(who)
    n, walk = cell.data.n_train, network(cell)
    if who == SELF or kernel is None:
        return _work(cell.numerics.network, 2 * products(walk) * examples, 0)
    if isinstance(kernel, InfiniteKernel):
        return _pairs(cell, kernel, examples * n, 0)
    entries = parameters(walk) * n * shapes.outputs(cell.data)
    return _work(cell.numerics.network, 2 * (3 * products(walk) + entries) * examples, 0)
