"""Which features, truncations, groups and moments an analysis looks at: words -> indices and epochs."""

from collections.abc import Sequence
from fractions import Fraction
from math import exp, log

from ntkbench.bench import shapes
from ntkbench.bench.spec import Cell, Drift, EmpiricalKernel

Range = tuple[int, int]


def size(cell: Cell, kernel_id: str) -> int:
    """How many features a kernel has: one for each example, of an empirical kernel for each of its outputs too."""
    n = cell.data.n_train
    return n * shapes.outputs(cell.data) if isinstance(cell.kernels[kernel_id], EmpiricalKernel) else n


def features(words: int | str | tuple[int, ...], size: int) -> Sequence[int]:
    """Indices from 0 on."""
    if isinstance(words, tuple):
        return words
    return range(size) if isinstance(words, str) else tuple(k - 1 for k in spaced(words, size))


def truncations(words: int | str | tuple[int, ...], size: int) -> Sequence[int]:
    """Numbers of features, up to all."""
    if isinstance(words, tuple):
        return words
    return range(1, size + 1) if isinstance(words, str) else spaced(words, size)


def spaced(count: int, last: int) -> tuple[int, ...]:
    """So many of the whole numbers from 1 to `last`, at even distances of their logarithms where there is room."""
    count = min(count, last)
    found: list[int] = []
    for i in range(count):
        ideal = round(exp(log(last) * i / max(1, count - 1)))
        # Small numbers lie further apart than that: each takes the next one that is free.
        found.append(min(max(ideal, found[-1] + 1 if found else 1), last - (count - 1 - i)))
    return tuple(found)


def groups(words: int | tuple[Range, ...], size: int) -> tuple[Range, ...]:
    """First index, and index after the last."""
    if isinstance(words, tuple):
        return words
    return tuple((i * size // words, (i + 1) * size // words) for i in range(words))


def snapshots(words: int | tuple[Fraction, ...], epochs: int) -> tuple[Fraction, ...]:
    """Moments of a training, 0 and its end always among them; of a number, whole epochs at even distances."""
    if isinstance(words, int):
        words = tuple(Fraction(round(Fraction(i * epochs, words))) for i in range(1, words))
    return tuple(sorted({Fraction(0), *words, Fraction(epochs)}))


def rows(cell: Cell, drift: Drift) -> int:
    """Of the kernel on the probe: one for each example, in the full layout for each of its outputs too."""
    return drift.probe.n * (shapes.outputs(cell.data) if drift.layout == "full" else 1)


def tops(cell: Cell, drift: Drift) -> tuple[int, ...]:
    """Numbers of eigenvectors that leave a rest."""
    return tuple(k for k in drift.top if k < rows(cell, drift))
