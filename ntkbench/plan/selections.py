"""Turn what a spec says of features, truncations, groups and snapshots into indices and epochs.

    truncations(3, 100)     # (1, 10, 100)

A spec names them one by one, as a number of them, or as `all`; analyses and cost estimates call the functions here.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import exp, log

from ntkbench.plan import shapes
from ntkbench.spec.analyses import Analysis, Certificate, Drift, EvaluatedAnalysis, Transfer, TransferMatrix
from ntkbench.spec.cell import Cell
from ntkbench.spec.kernels import EmpiricalKernel

Range = tuple[int, int]
"""(first index, index after the last)"""


def targets(cell: Cell, analysis: Analysis) -> tuple[str, ...]:
    """Return the predictors that an analysis judges: one, or those of a transfer matrix."""
    if isinstance(analysis, TransferMatrix):
        return analysis.targets or cell.predictors
    return (analysis.target,)


def sources(cell: Cell, matrix: TransferMatrix) -> tuple[str, ...]:
    """Return the predictors that the attack of a transfer matrix is made on."""
    return matrix.sources or cell.predictors


def attacks_shown(cell: Cell, analysis: Analysis) -> tuple[str, ...]:
    """Return the attacks whose examples an analysis shows to its targets, as `Cell.attack` knows them; analyses of
    features make their own."""
    if isinstance(analysis, EvaluatedAnalysis):
        return analysis.attacks
    if isinstance(analysis, Transfer):
        return tuple(name for name in (analysis.attack, analysis.ceiling, analysis.floor) if name)
    if isinstance(analysis, TransferMatrix):
        made = (cell.attack_on(analysis.attack, source) for source in sources(cell, analysis))
        return (*made, *([analysis.floor] if analysis.floor else []))
    if isinstance(analysis, Certificate) and analysis.attack:
        return (analysis.attack,)
    return ()


def shown_to(cell: Cell, attack: str) -> Iterator[str]:
    """Yield the predictors that analyses show an attack to."""
    for analysis in cell.analyses.values():
        if attack in attacks_shown(cell, analysis):
            yield from targets(cell, analysis)


def size(cell: Cell, kernel_id: str) -> int:
    """Return the number of features of a kernel: one a training example, for an empirical kernel times its outputs."""
    n = cell.data.n_train
    return n * shapes.outputs(cell.data) if isinstance(cell.kernels[kernel_id], EmpiricalKernel) else n


def features(words: int | str | tuple[int, ...], size: int) -> Sequence[int]:
    """Return indices of features out of `size`; a number of them is spaced evenly in the logarithm of 1 + index."""
    if isinstance(words, tuple):
        return words
    return range(size) if isinstance(words, str) else tuple(k - 1 for k in spaced(words, size))


def truncations(words: int | str | tuple[int, ...], size: int) -> Sequence[int]:
    """Return numbers of features, 1 to `size`; a number of truncations is spaced evenly in the logarithm."""
    if isinstance(words, tuple):
        return words
    return range(1, size + 1) if isinstance(words, str) else spaced(words, size)


def spaced(count: int, last: int) -> tuple[int, ...]:
    """Return `count` distinct whole numbers from 1 to `last`, evenly spaced in the logarithm where that is possible.

    All numbers up to `last` are returned where there are fewer than `count`.
    """
    count = min(count, last)
    found: list[int] = []
    for i in range(count):
        ideal = round(exp(log(last) * i / max(1, count - 1)))
        # Near 1 the ideal positions round to the same number: each then takes the next one that is free.
        found.append(min(max(ideal, found[-1] + 1 if found else 1), last - (count - 1 - i)))
    return tuple(found)


def groups(words: int | tuple[Range, ...], size: int) -> tuple[Range, ...]:
    """Return ranges of features; a number of them divides all `size` features into groups of nearly equal size."""
    if isinstance(words, tuple):
        return words
    return tuple((i * size // words, (i + 1) * size // words) for i in range(words))


def snapshots(words: int | tuple[Fraction, ...], epochs: int) -> tuple[Fraction, ...]:
    """Return the epochs of snapshots, with 0 and the end always added; a number gives whole epochs, evenly spaced."""
    if isinstance(words, int):
        words = tuple(Fraction(round(Fraction(i * epochs, words))) for i in range(1, words))
    return tuple(sorted({Fraction(0), *words, Fraction(epochs)}))


def positions(word: str, count: int) -> tuple[int, ...]:
    """Return the positions that `word` (none, final, ends, all) selects among `count` snapshots."""
    return {"none": (), "final": (count - 1,), "ends": (0, count - 1), "all": tuple(range(count))}[word]


def rows(cell: Cell, drift: Drift) -> int:
    """Return the number of rows of the kernel on the probe: one an example, in the full layout times the outputs."""
    return drift.probe.n * (shapes.outputs(cell.data) if drift.layout == "full" else 1)


def tops(cell: Cell, drift: Drift) -> tuple[int, ...]:
    """Return those numbers k of `drift.top` that are below the number of eigenvectors, so that a rest is left."""
    return tuple(k for k in drift.top if k < rows(cell, drift))
