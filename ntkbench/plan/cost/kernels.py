"""Count the work and memory of kernels: propagation, empirical products, spectra."""

from dataclasses import replace
from math import isqrt

from ntkbench.plan import limits, memory, shapes, sizes
from ntkbench.plan.cost.networks import DRAWN, OF_LIMIT, VALUE, _form, _itemsize, _layers, _passes, _products, _programs
from ntkbench.plan.cost.work import Work
from ntkbench.plan.limits import ComparedPositions
from ntkbench.plan.shapes import Step
from ntkbench.spec.attacks import InnerPGD
from ntkbench.spec.cell import Cell
from ntkbench.spec.data import NTGA
from ntkbench.spec.kernels import AdvNtk, EmpiricalKernel, InfiniteKernel
from ntkbench.spec.layers import Activation, AvgPool, Conv, Dense, LeakyReLU, Residual
from ntkbench.spec.notation import POISON

EIGH = 12
"""operations of a symmetric eigendecomposition per n^3: 4/3 for the tridiagonal form, at a third of the rate; 8 more"""
MATRICES = 5
"""matrices in memory while one is decomposed: itself, a copy that becomes eigenvectors, two for LAPACK, the result"""
PRODUCTS, SEARCHED = 3, 40
"""products of the matrix with a vector until ARPACK ends: for each eigenpair, and in any case; from counted ones"""
ARC_COSINE = 60
"""operations of a closed-form activation on one entry of a covariance: a root, an arccos, a sine, a few products"""
MIXTURE = 20**2 * 130
"""operations of an activation that is a mixture over 20 x 20 pairs of scales, on one entry; from measured seconds"""
LINEAR = 6
"""operations of a scale and a bias on one entry of the covariances of values and of gradients"""
SHIFT = 20
"""operations an entry of adding an array to itself, moved by a row or a column"""
SOLVES = 200
"""solves of one output until an adversarial fit ends: 77 to 444 were seen"""
SQUARES = 5
"""products of n x n matrices for each step of a fit with a time for each example"""
VALUE_AND_GRADIENT = 4
"""cost of an input gradient of a kernel predictor, in rows of the kernel"""
CACHED = 2**20
"""least bytes of one array of covariances that is computed at once"""
ALIVE = 8
"""number of such arrays that are in memory at once"""
LONG, OF_A_TILE = 600, 60
"""seconds from which on a matrix is computed in tiles that are kept, and seconds that each tile then takes"""
TILE_ROWS, MOST_ALONG = 4096, 100
"""most rows of a tile that is kept, 128 MiB in float64, and most tiles along a side of a matrix that fits into memory:
5,050 in all"""


# ---- kernels -------------------------------------------------------------------------------------


def gram(cell: Cell, kernel: InfiniteKernel | EmpiricalKernel, tile: int) -> Work:
    """Return the work of half a Gram matrix of the training set, and of its eigendecomposition in float64.

    An infinite kernel has n rows, an empirical one n c. Memory: MATRICES of this size in float64, and a tile.
    """
    n, rows = cell.data.n_train, cell.data.n_train
    if isinstance(kernel, InfiniteKernel):
        entries = _half(cell, kernel, tile)
    else:
        rows = n * shapes.outputs(cell.data)
        programs = _programs(("gram", _form(cell, kernel)), cell, 2 * _layers(sizes.network(cell)))
        entries = _empirical(cell, n, tile) + Work(programs=programs)
    work = entries + Work(double=EIGH * rows**3, calls=2)
    return replace(work, bytes=MATRICES * 8 * rows**2 + entries.bytes)


def solve(cell: Cell, kernel: InfiniteKernel, tile: int) -> Work:
    """Return the work of half a Gram matrix of the training set, and of one regression by Cholesky.

    Memory: the matrix in float64, blocks of it, and a tile; if the matrix is larger than memory, a row of kept tiles, a
    few more, and those that stay in memory.
    """
    n, most = cell.data.n_train, memory.matrix_bytes()
    work = _half(cell, kernel, tile)
    room = 8 * n**2 * 5 // 4
    if 8 * n**2 > most and (rows := tile_rows(cell, kernel)):
        kept = min(int(memory.kernel_bytes()), 8 * n**2)
        room = 8 * rows * (n + 6 * rows) + 2 * kept
    return replace(work + Work(double=n**3 // 3, calls=2), bytes=room + work.bytes)


def tile_rows(cell: Cell, kernel: InfiniteKernel, accelerator_bytes: int | None = None) -> int | None:
    """Return the rows of the square tiles in which the matrix of a kernel is computed and kept in the store.

    None if it is computed at once: it fits into memory, which is the accelerator's if there is one, and takes less than
    `LONG` seconds. Larger matrices are kept so that they need not fit, longer ones so that a killed process loses a
    tile and several processes can divide the work.
    """
    n, seconds = cell.data.n_train, _half(cell, kernel, 0).running()
    most = memory.matrix_bytes(accelerator_bytes)
    if 8 * n**2 <= most and seconds < LONG:
        return None
    along = min(n, MOST_ALONG, isqrt(int(min(2 * seconds / OF_A_TILE, n**2))))
    rows = min(TILE_ROWS, -(-n // max(1, along)))
    if 8 * n**2 > most:  # a row of tiles of the factor takes a fourth of that at most
        rows = min(rows, int(most / (32 * n)))
    return max(1, rows)


def leading(cell: Cell, kernel: InfiniteKernel, top: int, tile: int) -> Work:
    """Return the work of half a Gram matrix of the training set, of its first `top` eigenpairs, and of one Cholesky.

    ARPACK reads the matrix once for each product, and its basis of two columns for each eigenpair twice. Memory: the
    matrix in float64 with blocks of it, the basis, and a tile.
    """
    n, products, basis = cell.data.n_train, PRODUCTS * top + SEARCHED, 2 * top + 1
    work = _half(cell, kernel, tile)
    checked = Work(double=2 * n**2 * top + n**3 // 3, calls=2)
    pairs = checked + Work(moved=8 * products * (n**2 + 2 * n * basis))
    return replace(work + pairs, bytes=8 * (n**2 * 5 // 4 + 2 * n * basis) + work.bytes)


def fitting(cell: Cell, kernel: InfiniteKernel, tile: int) -> Work:
    """Return the work of a kernel's spectrum and of fitting it otherwise than by gradient flow.

    Against perturbations of features there are many solves for each output. With a time for each example, a step takes
    a decomposition, some products, and an attack on a batch.
    """
    n, work = cell.data.n_train, gram(cell, kernel, tile)
    if isinstance(kernel.fit, AdvNtk):
        fit, rest = kernel.fit, n - kernel.fit.n_validation
        gradients = fit.attack.steps if isinstance(fit.attack, InnerPGD) else 1
        rows = min(fit.batch_size, fit.n_validation) * (1 + VALUE_AND_GRADIENT * gradients)
        each = Work(double=(EIGH + 2 * SQUARES) * rest**3, calls=8) + _pairs(cell, kernel, rows * rest, tile)
        passes = 9 * OF_LIMIT * _layers(sizes.limit_steps(cell, kernel)[0])
        return work + each.times(fit.steps) + Work(programs=_programs(("fit", _form(cell, kernel)), cell, passes, 3))
    solves = SOLVES * shapes.outputs(cell.data)
    programs = _programs(("fit",), cell, OF_LIMIT)
    return work + Work(double=solves * n**3 // 2, calls=2, programs=programs)


def poisoning(cell: Cell, tile: int) -> Work:
    """Return the work of moving the training images.

    Along a gradient, each step of each block takes the kernel of the block and of the validation images, in float64, a
    decomposition, some products, and the gradient of every entry.
    """
    poison = cell.data.poison
    if not isinstance(poison, NTGA):
        return Work(
            moved=4 * 8 * cell.data.n_train * sizes.inputs(cell), calls=2, programs=_programs(POISON, cell, DRAWN)
        )
    kernel = cell.kernels[poison.kernel]
    assert isinstance(kernel, InfiniteKernel)
    cell = cell.model_copy(update={"numerics": cell.numerics.model_copy(update={"kernel": "float64"})})
    blocks = -(-cell.data.n_train // poison.block)
    n = -(-cell.data.n_train // blocks)
    entries = n * (n + 1) // 2 + n * poison.n_validation + VALUE_AND_GRADIENT * n * (n + poison.n_validation)
    each = Work(double=(EIGH + 2 * SQUARES) * n**3, calls=2) + _pairs(cell, kernel, entries, tile)
    passes = 4 * OF_LIMIT * _layers(sizes.limit_steps(cell, kernel)[0])
    several = each.times(blocks * (poison.steps + 1))
    programs = _programs((POISON, _form(cell, kernel)), cell, passes, 2)
    return replace(several, bytes=2 * MATRICES * 8 * n**2 + each.bytes, programs=programs)


def is_cheaper_than_its_spectrum(cell: Cell, kernel: InfiniteKernel) -> bool:
    """Return whether the entries of a kernel of the training set take less time than their eigendecomposition."""
    return _half(cell, kernel, 0).running() < Work(double=EIGH * cell.data.n_train**3).running()


def _half(cell: Cell, kernel: InfiniteKernel, tile: int) -> Work:
    """Return the work of half the infinite kernel of the training set, with its compilation."""
    n = cell.data.n_train
    programs = _programs(("gram", _form(cell, kernel)), cell, OF_LIMIT * _layers(sizes.limit_steps(cell, kernel)[0]))
    return _pairs(cell, kernel, n * (n + 1) // 2, tile) + Work(programs=programs)


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
    numbers = n * c * sum(step.count for step in layers) + max((numbers for _, numbers in ways), default=0)
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
    steps, needs = sizes.limit_steps(cell, kernel)
    start = limits.entries(shapes.image(cell.data), needs)
    largest = max(start, *(limits.entries(step.after, needs) for step in steps))
    rows = sizes.inputs(cell) if needs is not ComparedPositions.ALL else start * shapes.image(cell.data)[-1]
    entrywise = sum(_propagation(step, needs) for step in steps)
    work = _products(cell.numerics.kernel, 2 * rows * count) + Work(entrywise=entrywise * count)
    return work + Work(bytes=ALIVE * max(CACHED, largest * _itemsize(cell.numerics.kernel)))


def _propagation(step: Step, needs: ComparedPositions) -> int:
    """Return the operations of one layer on the covariances of a pair of examples.

    A covariance has an entry for each position, or for each pair of positions (`needs`).
    """
    before, after = limits.entries(step.before, needs), limits.entries(step.after, needs)
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
