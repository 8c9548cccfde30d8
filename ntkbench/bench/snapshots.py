"""Find the moments of a training at which a cell needs the network: those of its kernels and its analyses.

Moments are exact numbers of epochs since the start of the training.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Literal

from ntkbench.bench import choice, timeline
from ntkbench.bench.document import Path
from ntkbench.bench.regimes import Trained, Untrained
from ntkbench.bench.spec import Cell, EmpiricalKernel
from ntkbench.bench.validate import Draft
from ntkbench.errors import Problem


def moment(cell: Cell, at: Literal["init", "final"] | Fraction) -> Fraction:
    """Return a moment in epochs since the start: `init` is 0, and so is `final` where nothing is trained."""
    if isinstance(at, Fraction):
        return at
    return Fraction(cell.training.epochs if at == "final" and isinstance(cell.training, Trained) else 0)


def wanted(cell: Cell) -> tuple[Fraction, ...]:
    """Return all moments that the cell's kernels and analyses ask for, in order."""
    found = {moment(cell, kernel.at) for kernel in cell.kernels.values() if isinstance(kernel, EmpiricalKernel)}
    if isinstance(cell.training, Trained):
        for analysis in cell.analyses.values():
            if words := getattr(analysis, "snapshots", None):
                found.update(choice.snapshots(words, cell.training.epochs))
    return tuple(sorted(found))


def kept(cell: Cell) -> Iterator[tuple[Cell, int]]:
    """Yield the moments at which the store keeps a snapshot: the cell of the stretch, and the step in it.

    The start and the end of a stretch need none, as they are known without it.
    """
    if isinstance(cell.training, Trained):
        for of, step in (timeline.place(cell, at) for at in wanted(cell)):
            if 0 < step < timeline.length(of) * timeline.steps(of):
                yield of, step


def problems(draft: Draft) -> Iterator[Problem]:
    """Yield a problem for each moment of a spec that never comes; a rule of `bench/rules.py`."""
    if not draft.whole("training"):
        return
    for path, at in _written(draft):
        if isinstance(draft.cell.training, Untrained):
            if at != "init":
                yield draft.problem(path, "nothing is trained (training mode none); write at: init")
        elif isinstance(at, Fraction):
            yield from _moment(draft, path, at)


def _written(draft: Draft) -> Iterator[tuple[Path, Literal["init", "final"] | Fraction]]:
    """Yield the moments that are written in the spec, each with its path.

    The models sort them, so that the items of the file are sorted here, too, to find their places.
    """
    for name, kernel in draft.cell.kernels.items():
        if isinstance(kernel, EmpiricalKernel):
            yield ("kernels", name, "at"), kernel.at
    for name, analysis in draft.cell.analyses.items():
        words = getattr(analysis, "snapshots", None)
        path: Path = ("analyses", name, "snapshots")
        items = draft.root.at(path).items
        order = sorted(range(len(items)), key=lambda i, items=items: Fraction(str(items[i].value)))
        if isinstance(words, tuple):
            yield from (((*path, i), at) for i, at in zip(order, words, strict=True))


def _moment(draft: Draft, path: Path, at: Fraction) -> Iterator[Problem]:
    """Yield a problem where a moment is after the end of the training, or within an epoch of a single step."""
    training = draft.cell.training
    assert isinstance(training, Trained)
    if at > training.epochs:
        yield draft.problem(path, f"epoch {at} never comes: the training ends after {training.epochs}")
    elif at.denominator > 1 and draft.whole("data") and timeline.steps(draft.cell) == 1:
        message = f"there is nothing at {at}, an epoch is one step on the whole training set"
        yield draft.problem(path, f"{message}; give training a smaller `batch_size`, or write a whole number")
