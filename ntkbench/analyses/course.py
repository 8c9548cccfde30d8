"""A predictor along its training: its kernel at every snapshot, each looked at once, and all pairs compared.

Memory: halves of `room` kernels in float32, one kernel more, and the eigenvectors of two in float64. Where the halves
of all kernels do not fit, snapshots are taken in blocks of `room`, and every kernel behind a block is made once more to
be compared with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ntkbench.analyses.craft import Threat, checks, craft, received
from ntkbench.analyses.measurement import Check
from ntkbench.analyses.subject import Subject
from ntkbench.ntk import algorithms, drift, gram
from ntkbench.ntk.empirical import FULL, TRACE
from ntkbench.ntk.network import Trainable, cast
from ntkbench.ntk.regression import Spectrum

Layout = Literal["full", "trace"]
View = Callable[[Trainable], Subject]
"""A predictor with the examples that it is looked at on."""


@dataclass(frozen=True)
class Armed:
    """An attack with the key that it draws from."""

    threat: Threat
    key: PRNGKeyArray


@dataclass(frozen=True)
class Course:
    """A predictor at moments of its training, the first of them 0 and the last the end, and its probe."""

    moments: Sequence[Fraction]
    at: Callable[[Fraction], Trainable]
    probe: View
    targets: Float[np.ndarray, "n c"]
    """of the probe"""
    layout: Layout
    top: Sequence[int]
    """how many directions of the spectrum are told from the rest"""
    tile_bytes: float
    kernel_bytes: float
    """for halves of kernels"""
    linear_from: Fraction | None = None
    """since when the predictor is a first-order model"""
    kept: frozenset[int] = frozenset()
    """snapshots of which the kernel itself is kept"""
    tick: Callable[[str], None] = field(default=lambda what: None)

    @property
    def epochs(self) -> Float[np.ndarray, " t"]:
        return np.array([float(moment) for moment in self.moments])


@dataclass(frozen=True)
class Snapshot:
    """What is seen in one kernel while it is there."""

    eigenvalues: Float[np.ndarray, " r"]
    parts: Float[np.ndarray, "2 2 k"]
    """|A_t|^2 and <A_t, A_0>; of the top and of the rest"""
    alignment: float
    specialization: float | None
    """None where the kernel has no blocks for classes"""
    finite: bool
    checks: tuple[Check, ...]
    """of the attack on the probe"""
    kernel: Float[np.ndarray, "r r"] | None


def follow(course: Course, adversary: Armed | None = None) -> tuple[list[Snapshot], Float[np.ndarray, "t t"]]:
    """The snapshots, and <K_s, K_t> of all pairs; `adversary` attacks the probe anew at each."""
    seen: dict[int, Snapshot] = {}
    first: dict[int, Spectrum] = {}

    def take(i: int) -> np.ndarray:
        course.tick(f"kernel at epoch {course.moments[i]}")
        kernel, found = _taken(course, course.moments[i], adversary)
        matrix = gram.matrix(kernel)
        if i not in seen:
            spectrum = Spectrum.of(matrix)
            seen[i] = _looked(course, kernel, spectrum, first.setdefault(0, spectrum), found, i in course.kept)
        return drift.half(matrix)

    products = compared(len(course.moments), take, course.kernel_bytes)
    return [seen[i] for i in range(len(course.moments))], products


def compared(count: int, take: Callable[[int], Float[np.ndarray, " m"]], budget: float) -> Float[np.ndarray, "t t"]:
    """<K_s, K_t> of all pairs of halves; as many are kept as the budget of bytes takes, one at least."""
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


def _taken(course: Course, moment: Fraction, adversary: Armed | None) -> tuple[np.ndarray, tuple[Check, ...]]:
    """The kernel at a moment, on the probe or on what the attack makes of it."""
    predictor = course.at(moment)
    subject = course.probe(predictor)
    if adversary is None:
        return _kernel(predictor, subject.X, course), ()
    crafted = craft(adversary.threat, subject, key=adversary.key)
    images = received(adversary.threat, crafted, subject)
    return _kernel(predictor, images[-1], course), tuple(checks(adversary.threat, crafted, images, subject.X))


def _kernel(predictor: Trainable, X: Float[Array, "n ..."], course: Course) -> Float[np.ndarray, "n o n o"]:
    """In the precision of the examples."""
    layout = FULL if course.layout == "full" else TRACE
    return np.asarray(algorithms.ntk(cast(predictor, X.dtype), X, layout=layout, tile_bytes=course.tile_bytes))


def _looked(course, kernel, spectrum, first, found, keep) -> Snapshot:
    matrix, outputs = gram.matrix(kernel), kernel.shape[1]
    parts = [drift.truncated_products(spectrum, other, course.top) for other in (spectrum, first)]
    return Snapshot(
        np.asarray(spectrum.eigenvalues),
        np.stack(parts),
        drift.label_alignment(kernel, course.targets),
        drift.class_specialization(kernel, course.targets) if outputs == course.targets.shape[1] > 1 else None,
        bool(np.isfinite(matrix).all()),
        found,
        matrix.astype(np.float32) if keep else None,
    )
