"""What a plan costs, by arithmetic alone: floating-point operations over a rate, bytes of what lives at once.

An estimate to choose a machine by, right within a factor of a few: compilation, reading data and the time between
operations are left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from math import prod

from ntkbench.bench.plan import Plan, Run
from ntkbench.bench.spec import (
    FC,
    PGD,
    SELF,
    Accuracy,
    Adam,
    Architecture,
    Cell,
    EmpiricalKernel,
    GradientAttack,
    InfiniteKernel,
    NamedDataset,
    Trained,
)
from ntkbench.bench.stages import craft_key, kernel_key, training_key
from ntkbench.data.catalog import entry

SINGLE_RATE = 5e10
"""float32 operations per second of two ordinary CPU cores on matrices; an accelerator has 1e13 and more"""
DOUBLE_RATE = SINGLE_RATE / 2
"""float64 moves twice the bytes"""
EIGH = 9
"""operations of a symmetric eigendecomposition, per n^3: 4/3 to the tridiagonal form, the rest for the vectors"""
ARC_COSINE = 60
"""operations of one ReLU layer of an infinite kernel on one pair: a root, an arccos, a sine, a few products"""


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
    tile = plan.header.run.tile_bytes
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
    for name, attack in cell.attacks.items():
        if isinstance(attack, GradientAttack) and isinstance(cell.kernels.get(attack.source), InfiniteKernel):
            yield craft_key(cell, name), crafting(cell, name, tile)


def _own(cell: Cell, tile: int | float) -> Work:
    """What each run does itself: its empirical kernels, attacks on its network, looking at the results."""
    work = Work()
    for kernel in cell.kernels.values():
        if isinstance(kernel, EmpiricalKernel):
            work += gram(cell, kernel, tile)
    for name, attack in cell.attacks.items():
        if isinstance(attack, GradientAttack) and not isinstance(cell.kernels.get(attack.source), InfiniteKernel):
            work += crafting(cell, name, tile)
    for analysis in cell.analyses.values():
        attacks = (
            analysis.attacks if isinstance(analysis, Accuracy) else (analysis.attack, analysis.ceiling, analysis.floor)
        )
        budgets = sum(len(cell.attacks[attack].eps) for attack in attacks if attack is not None)
        work += _forward(cell, analysis.target, cell.data.n_test * (1 + budgets))
    return work


# ---- sizes ---------------------------------------------------------------------------------------


def inputs(cell: Cell) -> int:
    """Numbers in one example."""
    dataset = cell.data.dataset
    return prod(entry(dataset.name).shape) if isinstance(dataset, NamedDataset) else dataset.dim


def outputs(cell: Cell) -> int:
    """One for two classes."""
    dataset = cell.data.dataset
    every = len(entry(dataset.name).classes) if isinstance(dataset, NamedDataset) else 2
    classes = every if cell.data.classes is None else len(cell.data.classes)
    return 1 if classes == 2 else classes


def parameters(architecture: FC, width: int, inputs: int, outputs: int) -> int:
    """P = (d + b) w + (depth - 1) (w + b) w + (w + b) c, with b = 1 if there are biases."""
    bias = int(architecture.b_std is not None)
    hidden = (architecture.depth - 1) * (width + bias) * width
    return (inputs + bias) * width + hidden + (width + bias) * outputs


def _network(cell: Cell) -> int:
    return parameters(cell.architecture, cell.width or 0, inputs(cell), outputs(cell)) if cell.width else 0


def _work(dtype: str, operations: int | float, count: int | float) -> Work:
    """`count` numbers of that type."""
    if dtype == "float32":
        return Work(single=operations, bytes=4 * count)
    return Work(double=operations, bytes=8 * count)


# ---- stages --------------------------------------------------------------------------------------


def training(cell: Cell) -> Work:
    """One seed: 6 P n a full epoch (2 forward, 4 backward), twice that once linearized. Memory: weights, gradient,
    optimizer state (and the anchor of a linearization), and the activations of a batch, there and back."""
    how, n = cell.training, cell.data.n_train
    size = _network(cell)
    if not isinstance(how, Trained):
        return _work(cell.numerics.network, 0, size)
    linear = 0 if how.linearize_at is None else how.epochs - how.linearize_at
    operations = 6 * size * n * (how.epochs + linear)
    optimizer = 2 if isinstance(how.optimizer, Adam) else int(how.optimizer.momentum > 0)
    copies = 2 + optimizer + 2 * int(linear > 0)
    batch = how.batch_size or n
    activations = 2 * batch * (inputs(cell) + cell.architecture.depth * (cell.width or 0))
    return _work(cell.numerics.network, operations, copies * size + activations * (1 + int(linear > 0)))


def gram(cell: Cell, kernel: InfiniteKernel | EmpiricalKernel, tile: int | float) -> Work:
    """Gram matrix of the training set, and its eigendecomposition, 9 n^3 in float64. Memory: the matrix, its
    eigenvectors and a workspace in float64, and a tile. An empirical one has n c rows and costs 2 P an entry."""
    n, rows = cell.data.n_train, cell.data.n_train
    if isinstance(kernel, InfiniteKernel):
        operations = n * n * _pair(cell, kernel.architecture or cell.architecture)
        entries = _work(cell.numerics.kernel, operations, 0)
    else:
        rows = n * outputs(cell)
        entries = _work(cell.numerics.network, 2 * _network(cell) * rows**2 + 6 * _network(cell) * rows, 0)
    return entries + Work(double=EIGH * rows**3, bytes=3 * 8 * rows**2 + tile)


def _pair(cell: Cell, architecture: Architecture) -> int | float:
    """One entry of an infinite kernel: an inner product of the inputs, and a few operations a layer."""
    return 2 * inputs(cell) + ARC_COSINE * architecture.depth


def crafting(cell: Cell, attack_id: str, tile: int | float) -> Work:
    """A gradient of each test point, for each budget and step; one more for the comparison of gradients."""
    attack = cell.attacks[attack_id]
    if not isinstance(attack, GradientAttack):
        return Work()
    steps = attack.steps if isinstance(attack, PGD) else 1
    gradients = cell.data.n_test * (1 + steps * len(attack.eps))
    forward = _forward(cell, attack.source, gradients)
    backward = forward.together(2)
    images = 8 * cell.data.n_test * inputs(cell) * (1 + len(attack.eps))
    return Work(forward.single + backward.single, forward.double + backward.double, images + tile)


def _forward(cell: Cell, who: str, examples: int) -> Work:
    """A network costs 2 P an example, a kernel predictor one entry per training point."""
    kernel = cell.kernels.get(who)
    size, n = _network(cell), cell.data.n_train
    if who == SELF or kernel is None:
        return _work(cell.numerics.network, 2 * size * examples, 0)
    if isinstance(kernel, InfiniteKernel):
        operations = examples * n * _pair(cell, kernel.architecture or cell.architecture)
        return _work(cell.numerics.kernel, operations, 0)
    return _work(cell.numerics.network, 2 * size * examples * (3 + n * outputs(cell)), 0)
