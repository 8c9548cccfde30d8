"""Count the work and memory of attacks and of each kind of analysis."""

from collections.abc import Sequence
from dataclasses import replace

from ntkbench.plan import memory, selections, shapes, sizes
from ntkbench.plan.cost import networks
from ntkbench.plan.cost.kernels import EIGH, _empirical, _pairs
from ntkbench.plan.cost.networks import (
    DRAWN,
    GRADIENT,
    LINEAR_GRADIENT,
    LINEAR_VALUE,
    VALUE,
    _form,
    _form_of,
    _images,
    _is_linear,
    _itemsize,
    _passes,
    _programs,
    _shape,
    _through,
)
from ntkbench.plan.cost.work import Program, Work, total
from ntkbench.spec.analyses import (
    Analysis,
    Certificate,
    Consistency,
    Drift,
    Eigenspace,
    LabelFlips,
    Spectral,
    TimeCourse,
    Transfer,
    TransferMatrix,
)
from ntkbench.spec.attacks import FAB, SELF, AutoAttack, GivenImages, GradientAttack, Iterated
from ntkbench.spec.cell import Cell
from ntkbench.spec.kernels import InfiniteKernel
from ntkbench.spec.training import Trained
from ntkbench.vocabulary import grid

LOOKED = 8
"""calls from Python for all that is measured on one kernel of a training"""
BACKWARD = 3
"""cost of a value of an infinite kernel with its gradient, in values alone"""


def _analysis(cell: Cell, analysis: Analysis, tile: int) -> Work:
    """Return the work of an analysis once its kernels and adversarial examples are there."""
    if isinstance(analysis, Spectral):
        return spectral_cost(cell, analysis, tile)
    if isinstance(analysis, Drift):
        return drift_cost(cell, analysis, tile)
    if isinstance(analysis, LabelFlips):
        return label_flips_cost(cell, analysis, tile)
    if isinstance(analysis, Certificate):
        return certificate_cost(cell, analysis, tile)
    budgets = [len(cell.attack(name).eps) for name in selections.attacks_shown(cell, analysis)]
    if isinstance(analysis, TransferMatrix):
        return transfer_matrix_cost(cell, analysis, budgets, tile)
    looks_at_gradients = isinstance(analysis, Transfer) or getattr(analysis, "gradient_norm", False)
    gradients = cell.data.n_test if looks_at_gradients else 0
    return _judged(cell, analysis.target, budgets, gradients, tile)


CHECKED = 30
"""entrywise operations for each pixel of an attacked image that is judged: its distances, and whether it is allowed"""


def _judged(cell: Cell, target: str, budgets: Sequence[int], gradients: int, tile: int) -> Work:
    """Return the work of judging a target on the test examples, clean and under attacks.

    `budgets`: the number of budgets of each attack; `gradients`: the number of images at which its gradient is taken.
    """
    work = _values(cell, target, cell.data.n_test * (1 + sum(budgets)), tile)
    work += _gradients(cell, target, gradients, tile)
    programs = _programs(("judge", budgets, _form_of(cell, target)), cell, _through(cell, target))
    checked = Work(entrywise=CHECKED * cell.data.n_test * sum(budgets) * sizes.inputs(cell))
    held = sum(_images(cell, many) for many in budgets)
    return work + checked + Work(bytes=work.bytes + held, calls=2, programs=programs)


def transfer_matrix_cost(cell: Cell, matrix: TransferMatrix, budgets: Sequence[int], tile: int) -> Work:
    """Return the work of a transfer matrix: each target judges what was made on all sources, see `_judged`."""
    return total(_judged(cell, target, budgets, 0, tile) for target in selections.targets(cell, matrix))


SPECTRUM = 3
"""number of arrays as large as a kernel that are held for each kernel that is compared with others"""


# ---- predictors ----------------------------------------------------------------------------------


def _values(cell: Cell, who: str, examples: int, tile: int) -> Work:
    """Return the work of a predictor's outputs on so many examples.

    `who` is the id of a kernel or of a further network, or anything else for the run's own network. An infinite kernel
    computes an entry for each training point, an empirical one is a first-order model.
    """
    kernel, value, cell = cell.kernels.get(who), VALUE, cell.as_own(who)
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
    cell = cell.as_own(who)
    dtype = cell.numerics.network if kernel is None else cell.numerics.kernel
    if kernel is not None or _is_linear(cell):
        gradient = LINEAR_GRADIENT
    return _passes(cell, dtype, gradient, examples)


PARTS = 4
"""number of attacks in the standard set, each of which is compiled"""


def _looks(cell: Cell, attack: GradientAttack) -> tuple[int, int]:
    """Return how many gradients and how many values of its source an attack takes to make one example at all budgets.

    A single step has one gradient for all budgets, and FAB one search.
    """
    budgets = len(attack.eps) if isinstance(attack, Iterated) and not isinstance(attack, FAB) else 1
    outputs = shapes.outputs(cell.data)
    return budgets * networks.ascents(attack, outputs), budgets * networks.queries(attack, outputs)


def crafting_cost(cell: Cell, attack_id: str, tile: int) -> Work:
    """Return the work of crafting: gradients of every test point, then the source on clean and on attacked images.

    One more gradient at the clean image is compared with those of targets.
    """
    attack, n = cell.attack(attack_id), cell.data.n_test
    images = _images(cell, len(attack.eps))
    if isinstance(attack, GivenImages):
        return Work(bytes=images)
    if not isinstance(attack, GradientAttack):
        return Work(
            entrywise=n * sizes.inputs(cell) * len(attack.eps) * DRAWN,
            bytes=images,
            programs=_programs(("signs", _shape(attack), _form(cell, None)), cell, DRAWN),
        )
    gradients, values = _looks(cell, attack)
    work = _gradients(cell, attack.source, n * (1 + gradients), tile)
    work += _values(cell, attack.source, n * (1 + len(attack.eps) + values), tile)
    several = PARTS if isinstance(attack, AutoAttack) else 1
    passes = (VALUE.rest + (1 + several) * GRADIENT.rest) * _through(cell, attack.source)
    programs = _programs(("craft", _shape(attack), _form_of(cell, attack.source)), cell, passes, 2 + several)
    return work + Work(calls=3, bytes=images + work.bytes, programs=programs)


# ---- analyses ------------------------------------------------------------------------------------


def drift_cost(cell: Cell, drift: Drift, tile: int) -> Work:
    """Return the work of a drift analysis: at each snapshot a kernel with its eigenvectors, and attacks.

    Inner products of all pairs of kernels follow. Memory: half of each kernel in float32 as long as they fit, and the
    eigenvectors of two.
    """
    assert isinstance(cell.training, Trained)
    count, size = len(selections.snapshots(drift.snapshots, cell.training.epochs)), selections.rows(cell, drift)
    probes = 2 if drift.adversarial_probe else 1
    kernel = _empirical(cell, drift.probe.n, tile, trace=drift.layout == "trace")
    kernel += Work(double=EIGH * size**3 + 2 * size**3 + count * size**2, calls=LOOKED)
    kept = min(2 * count * size**2, int(memory.kernel_bytes())) + 6 * 8 * size**2
    work = replace(kernel.times(count * probes), bytes=kernel.bytes + kept)
    for split in drift.accuracy_on:
        examples = cell.data.n_test if split == "test" else cell.data.n_train
        times = {"all": count, "ends": 2, "final": 1}[drift.accuracy_at]
        work += _accuracy_cost(cell, drift.attack, examples, tile).times(times)
    if drift.adversarial_probe:
        work += _accuracy_cost(cell, drift.adversarial_probe, drift.probe.n, tile).times(count)
    return work + Work(
        programs=_programs(("kernels", _form(cell, None)), cell, GRADIENT.rest * _through(cell, SELF), 3)
    )


def _accuracy_cost(cell: Cell, attack_id: str | None, n: int, tile: int) -> Work:
    """Return the work of judging the network on n examples, clean and under an attack if one is named."""
    of = cell.model_copy(update={"data": cell.data.model_copy(update={"n_test": n})})
    budgets = len(cell.attacks[attack_id].eps) if attack_id else 0
    work = _values(of, SELF, n * (1 + budgets), tile)
    return work + crafting_cost(of, attack_id, tile) if attack_id else work


def spectral_cost(cell: Cell, analysis: Spectral, tile: int) -> Work:
    """Return the work of judging many filters of a kernel at the test points.

    At a clean test point one row of the kernel serves all filters, and their gradients are one product of matrices. On
    attacked images each filter needs a row of its own. All truncations take two more products with the eigenvectors;
    comparing kernels takes the gradients of both.
    """
    attack, n, size = cell.attacks.get(analysis.attack or ""), cell.data.n_test, selections.size(cell, analysis.target)
    members = _members(analysis, size)
    work = _gradients(cell, analysis.target, n, tile)
    held, compared = 0, 0
    if isinstance(analysis, Consistency):  # each kernel with the target's, and all with the linear one
        held, compared = len(analysis.against) + 2, 2 * (2 * len(analysis.against) + 1) * _many(analysis.features, size)
    work += Work(double=2 * n * (members + compared) * size * sizes.inputs(cell))
    if attack is not None:
        gradients, values = _looks(cell, attack) if isinstance(attack, Iterated) else (0, 0)
        work += _values(cell, analysis.target, n * members * (len(attack.eps) + values), tile)
        work += _gradients(cell, analysis.target, n * members * gradients, tile)
    if isinstance(analysis, Eigenspace):
        work += Work(double=2 * n * size**2)
    kernels = (analysis.target, *getattr(analysis, "against", ()))
    programs = frozenset[Program]().union(
        *(
            _programs(
                ("parts", _form_of(cell, name), attack and _shape(attack)),
                cell,
                9 * _through(cell, name),
                5,
            )
            for name in kernels
        )
    )
    return work + Work(bytes=SPECTRUM * 8 * size**2 * held, calls=4 * len(kernels), programs=programs)


SORT = 30
"""entrywise operations for each number of an array that is sorted and summed up"""


def label_flips_cost(cell: Cell, analysis: LabelFlips, tile: int) -> Work:
    """Return the work of label-flip certificates: a row of the kernel for each test point, two products with the
    eigenvectors, and the influences sorted for each class."""
    n, size = cell.data.n_test, selections.size(cell, analysis.target)
    classes = max(2, shapes.outputs(cell.data))
    work = _values(cell, analysis.target, n, tile)
    work += Work(double=4 * n * size**2, entrywise=SORT * n * size * classes, calls=2)
    held = 2 * 8 * size**2 + min(tile, 8 * 4 * n * size * classes)
    form = _form_of(cell, analysis.target)
    programs = _programs(("label flips", form), cell, _through(cell, analysis.target), 2)
    return replace(work, bytes=max(work.bytes, held), programs=work.programs | programs)


BISECTIONS = 13
"""radii at which an example is tried to find its certified radius"""
BOUND = 12
"""entrywise operations for each pixel of each training example that the bounds at one radius take"""
EXTREMES = 10
"""evaluations of each kernel entry for the bounds at one radius"""


def certificate_cost(cell: Cell, analysis: Certificate, tile: int) -> Work:
    """Return the work of certified radii: bounds for each test point at each budget and along a bisection."""
    tried = cell.data.n_test * (len(analysis.eps) + BISECTIONS)
    n, d = cell.data.n_train, sizes.inputs(cell)
    work = _values(cell, analysis.target, EXTREMES * tried, tile)
    work += Work(entrywise=BOUND * tried * n * d, steps=tried, calls=2)
    if analysis.attack:
        budgets = len(cell.attacks[analysis.attack].eps)
        work += _values(cell, analysis.target, cell.data.n_test * (1 + budgets), tile)
    form = _form_of(cell, analysis.target)
    programs = _programs(("certificate", form), cell, 8 * _through(cell, analysis.target), 2)
    held = max(8 * 4 * n * d, min(tile, 8 * 4 * n * d * cell.data.n_test))
    return replace(work, bytes=max(work.bytes, held), programs=work.programs | programs)


def _members(analysis: Spectral, size: int) -> int:
    """Return the number of predictors that an analysis attacks or compares, of a kernel with `size` features."""
    match analysis:
        case Eigenspace(features=single, truncations=sums, groups=groups):
            several = {*selections.truncations(sums, size), *grid(size)}
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
