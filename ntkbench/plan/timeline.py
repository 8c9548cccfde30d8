"""Place moments of a training on its steps: exact numbers of epochs, and those that a cell looks back at."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Literal

from ntkbench.plan import selections
from ntkbench.plan.networks import operations
from ntkbench.spec.cell import Cell
from ntkbench.spec.kernels import EmpiricalKernel
from ntkbench.spec.training import Trained, with_explicit_schedule

# The time line of a training: moments, in epochs since its start, and the steps on which they fall.
#
# Moments are exact fractions. A training that is linearized at an epoch e > 0 has two phases: e epochs of the
# network itself, then the rest with its first-order model at the weights then reached. Each counts its steps from 0.
# The first phase is a training of its own in the store, shared by all cells that begin with it.


def steps(cell: Cell) -> int:
    """Return the number of optimizer steps in an epoch; a smaller last batch is a step unless it is dropped."""
    assert isinstance(cell.training, Trained)
    whole, left = divmod(cell.data.n_train, cell.training.batch_size or cell.data.n_train)
    return whole + (left > 0 and not drops_last(cell))


def drops_last(cell: Cell) -> bool:
    """Return whether each epoch leaves out its last batch: one example alone, where batch normalization needs two."""
    assert isinstance(cell.training, Trained)
    alone = cell.data.n_train % (cell.training.batch_size or cell.data.n_train) == 1
    return alone and "batch_norm" in operations(cell.architecture)


def phase_start(cell: Cell) -> int:
    """Return the epoch at which the cell's last phase begins: that of its linearization, 0 without one."""
    assert isinstance(cell.training, Trained)
    return cell.training.linearize_at or 0


def phase_epochs(cell: Cell) -> int:
    """Return the number of epochs in the cell's last phase."""
    assert isinstance(cell.training, Trained)
    return cell.training.epochs - phase_start(cell)


def first_phase(cell: Cell) -> Cell | None:
    """Return the cell whose training is the first of two phases; None if there is only one."""
    if phase_start(cell) == 0:
        return None
    update = {"epochs": phase_start(cell), "linearize_at": None, "centered": False, "until": None}
    return cell.model_copy(update={"training": with_explicit_schedule(cell.training).model_copy(update=update)})


def trainings(cell: Cell) -> Iterator[Cell]:
    """Yield the cells whose last phases, one after the other, are the cell's training; none without a network."""
    if cell.has_network:
        if isinstance(cell.training, Trained) and (earlier := first_phase(cell)) is not None:
            yield from trainings(earlier)
        yield cell


def phase_and_step(cell: Cell, moment: Fraction) -> tuple[Cell, int]:
    """Return the cell in whose last phase a moment falls, and the number of its steps up to the moment.

    The moment at which the first phase ends belongs to it: the network there is not yet linearized.
    """
    earlier = first_phase(cell)
    if earlier is not None and moment <= phase_start(cell):
        return phase_and_step(earlier, moment)
    return cell, round((moment - phase_start(cell)) * steps(cell))


def moment(cell: Cell, at: Literal["init", "final"] | Fraction) -> Fraction:
    """Return a moment in epochs since the start: `init` is 0, and so is `final` where nothing is trained."""
    if isinstance(at, Fraction):
        return at
    return Fraction(cell.training.epochs if at == "final" and isinstance(cell.training, Trained) else 0)


def moments_needed(cell: Cell) -> tuple[Fraction, ...]:
    """Return all moments that the cell's kernels and analyses ask for, in order."""
    found = {moment(cell, kernel.at) for kernel in cell.kernels.values() if isinstance(kernel, EmpiricalKernel)}
    if isinstance(cell.training, Trained):
        for analysis in cell.analyses.values():
            if words := getattr(analysis, "snapshots", None):
                found.update(selections.snapshots(words, cell.training.epochs))
    return tuple(sorted(found))


def snapshots_kept(cell: Cell) -> Iterator[tuple[Cell, int]]:
    """Yield the moments at which the store keeps a snapshot: the cell of the phase, and the step in it.

    The start and the end of a phase need none, as they are known without it.
    """
    if isinstance(cell.training, Trained):
        for of, step in (phase_and_step(cell, at) for at in moments_needed(cell)):
            if 0 < step < phase_epochs(of) * steps(of):
                yield of, step
