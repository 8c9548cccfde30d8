"""Compute the kernel of a predictor at every snapshot of its training, and the inner products of all pairs.

`analyses.drift` turns the result into metrics. A symmetric kernel is kept as its upper half in float32. Where the
halves of all snapshots exceed `Trajectory.kernel_bytes`, they are held in blocks, and the kernels after a block are
computed again to be compared with it. Beside a block, memory holds one kernel, and the float64 eigenvectors of two.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ntkbench.analyses.crafting import BudgetedAttack, brought_into, checks, craft
from ntkbench.analyses.evaluator import Evaluator
from ntkbench.analyses.measurement import Check
from ntkbench.ntk import cheapest, drift, gram
from ntkbench.ntk.empirical import FULL, TRACE
from ntkbench.ntk.network import Trainable, cast
from ntkbench.ntk.regression import Spectrum

Layout = Literal["full", "trace"]
"""full: all pairs of outputs, n c rows; trace: the mean over the outputs of a pair of examples, n rows"""
View = Callable[[Trainable], Evaluator]
"""function that pairs a predictor with the examples that it is judged on, as a `Evaluator`"""


@dataclass(frozen=True)
class SeededAttack:
    """An attack, with the key of the random numbers that it draws."""

    threat: BudgetedAttack
    key: PRNGKeyArray


@dataclass(frozen=True)
class Trajectory:
    """A training to be followed: the moments of its snapshots, and the probe on which the kernels are computed."""

    moments: Sequence[Fraction]
    """epochs in ascending order; the first is 0 and the last the end of the training"""
    predictor_at: Callable[[Fraction], Trainable]
    """returns the predictor at a moment"""
    probe: View
    targets: Float[np.ndarray, "n c"]
    """regression targets of the probe"""
    layout: Layout
    top: Sequence[int]
    """numbers k of top eigenvectors; each splits a kernel into a top part and the rest"""
    tile_bytes: float
    """bytes of memory for one tile of a kernel"""
    kernel_bytes: float
    """bytes of memory for the halves of kernels that are held at once"""
    linear_from: Fraction | None = None
    """the epoch from which on the predictor is a first-order model; None: it never is"""
    kept: frozenset[int] = frozenset()
    """indices of the snapshots whose kernels go into the record"""
    tick: Callable[[str], None] = field(default=lambda what: None)
    """is told what is going on"""

    @property
    def epochs(self) -> Float[np.ndarray, " t"]:
        """The moments as floats."""
        return np.array([float(moment) for moment in self.moments])


@dataclass(frozen=True)
class Snapshot:
    """The numbers that are taken from one kernel before its memory is freed."""

    eigenvalues: Float[np.ndarray, " r"]
    parts: Float[np.ndarray, "2 2 k"]
    """axis 0: |A_t|^2 and <A_t, A_0>; axis 1: A the top part, or the rest; axis 2: the k of `Trajectory.top`"""
    alignment: float
    """centered label alignment"""
    specialization: float | None
    """class specialization; None where the kernel has no block for each class"""
    finite: bool
    """whether every entry of the kernel is finite"""
    checks: tuple[Check, ...]
    """those of the attack on the probe, if there is one"""
    kernel: Float[np.ndarray, "r r"] | None
    """the kernel in float32; None unless it is to be kept"""


def follow(
    trajectory: Trajectory, adversary: SeededAttack | None = None
) -> tuple[list[Snapshot], Float[np.ndarray, "t t"]]:
    """Return the snapshots, and the inner products <K_s, K_t> of all pairs of their kernels.

    With an `adversary` of one budget the kernels are those of an adversarial probe, which is attacked anew at each
    snapshot, through the gradient of that snapshot's predictor.
    """
    seen: dict[int, Snapshot] = {}
    first: dict[int, Spectrum] = {}

    def take(i: int) -> np.ndarray:
        trajectory.tick(f"kernel at epoch {trajectory.moments[i]}")
        kernel, found = _kernel_at(trajectory, trajectory.moments[i], adversary)
        matrix = gram.matrix(kernel)
        if i not in seen:
            spectrum = Spectrum.of(matrix)
            seen[i] = _snapshot(
                trajectory, kernel, spectrum, first.setdefault(0, spectrum), found, i in trajectory.kept
            )
        return drift.half(matrix)

    products = pairwise(len(trajectory.moments), take, trajectory.kernel_bytes)
    return [seen[i] for i in range(len(trajectory.moments))], products


def pairwise(count: int, take: Callable[[int], Float[np.ndarray, " m"]], budget: float) -> Float[np.ndarray, "t t"]:
    """Return <K_s, K_t> of all pairs of `count` kernels.

    Args:
        count: the number of kernels.
        take: computes the half of the i-th kernel, see `ntk.drift.half`; is called again for kernels after a block.
        budget: bytes for the halves of one block, which holds at least one.
    """
    found, start = np.empty((count, count)), 0
    while start < count:
        one = take(start)
        stop = min(count, start + max(1, int(budget // one.nbytes)))
        block = np.empty((stop - start, one.size), one.dtype)
        block[0] = one
        for i in range(start + 1, stop):
            block[i - start] = take(i)
        found[start:stop, start:stop] = drift.products(block, block)
        for i in range(stop, count):
            found[start:stop, i] = found[i, start:stop] = drift.products(block, take(i)[None])[:, 0]
        start = stop
    return found


def _kernel_at(
    trajectory: Trajectory, moment: Fraction, adversary: SeededAttack | None
) -> tuple[np.ndarray, tuple[Check, ...]]:
    """Return the kernel at a moment, on the clean probe or on the attacked one, and the checks of the attack."""
    predictor = trajectory.predictor_at(moment)
    evaluator = trajectory.probe(predictor)
    if adversary is None:
        return _kernel(predictor, evaluator.X, trajectory), ()
    crafted = craft(adversary.threat, evaluator, key=adversary.key)
    images = brought_into(adversary.threat, crafted, evaluator)
    return _kernel(predictor, images[-1], trajectory), tuple(checks(adversary.threat, crafted, images, evaluator.X))


def _kernel(predictor: Trainable, X: Float[Array, "n ..."], trajectory: Trajectory) -> Float[np.ndarray, "n o n o"]:
    """Return the empirical kernel on X in the course's layout, computed in the precision of X."""
    layout = FULL if trajectory.layout == "full" else TRACE
    return np.asarray(cheapest.ntk(cast(predictor, X.dtype), X, layout=layout, tile_bytes=trajectory.tile_bytes))


def _snapshot(trajectory, kernel, spectrum, first, found, keep) -> Snapshot:
    """Return what is kept of a kernel; `first` is the spectrum of the first snapshot's kernel."""
    matrix, outputs = gram.matrix(kernel), kernel.shape[1]
    parts = [drift.truncated_products(spectrum, other, trajectory.top) for other in (spectrum, first)]
    return Snapshot(
        np.asarray(spectrum.eigenvalues),
        np.stack(parts),
        drift.label_alignment(kernel, trajectory.targets),
        drift.class_specialization(kernel, trajectory.targets) if outputs == trajectory.targets.shape[1] > 1 else None,
        bool(np.isfinite(matrix).all()),
        found,
        matrix.astype(np.float32) if keep else None,
    )
