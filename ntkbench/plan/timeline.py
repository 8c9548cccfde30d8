"""Place moments of a training on its steps: exact numbers of epochs, and those that a cell looks back at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from ntkbench.memo import by_identity
from ntkbench.plan import selections
from ntkbench.plan.networks import operations
from ntkbench.spec import identity
from ntkbench.spec.cell import Cell
from ntkbench.spec.document import Path
from ntkbench.spec.kernels import EmpiricalKernel
from ntkbench.spec.training import (
    Adversarial,
    AdversarialPhase,
    Descent,
    InOneMode,
    Phase,
    Phased,
    StandardPhase,
    Trained,
    Training,
)

# The time line of a training: moments, in epochs since its start, and the steps on which they fall.
#
# Moments are exact fractions. A training has one phase or several; `linearize_at` and `centered` are short for two that
# differ in `linearize` alone (`identity.short_form` is the way back). Each phase counts its steps from 0. What comes
# before the last phase is a training of its own in the store, shared by all cells that begin with it.


@dataclass(frozen=True)
class PlacedPhase:
    """A phase of a training at its place in it."""

    words: Phase
    """what it minimizes, how, and for how many epochs"""
    start: int
    """the epoch of the training at which it begins"""
    scheduled: int
    """epochs of its schedule that have passed before it begins"""
    linearizes: bool
    """whether it takes the first-order model where it begins; a later phase goes on with that model"""
    stream: str
    """its part of the names of its random streams"""


def phases(cell: Cell) -> Sequence[PlacedPhase]:
    """Return the phases of the cell's training, in order."""
    return _phases(cell.training)


@by_identity
def _phases(training: Training) -> tuple[PlacedPhase, ...]:
    if isinstance(training, Phased):
        words, scheduled = [identity.with_explicit_schedule(phase) for phase in training.phases], 0
    else:
        assert isinstance(training, InOneMode)
        words, scheduled = _in_phases(training), training.linearize_at or 0
    found: list[PlacedPhase] = []
    for i, each in enumerate(words):
        linearizes = each.linearize is not None and not any(phase.words.linearize for phase in found)
        stream = " linearized" if linearizes else f" of phase {i}" if i else ""
        start = sum(phase.words.epochs for phase in found)
        found.append(PlacedPhase(each, start, scheduled if i else 0, linearizes, stream))
    return tuple(found)


def _in_phases(training: InOneMode) -> list[Phase]:
    """Return the phases that a training in one mode is short for: two where it is linearized at an epoch above 0."""
    explicit, at = identity.with_explicit_schedule(training), training.linearize_at or 0
    linear = None if training.linearize_at is None else "centered" if training.centered else "full"
    own = {name: value for name, value in explicit if name not in ("linearize_at", "centered")}
    last = {**own, "epochs": training.epochs - at, "linearize": linear}
    if not isinstance(training, Adversarial):
        first = StandardPhase.model_construct(**{**own, "epochs": at, "until": None})
        return [*([first] if at else []), StandardPhase.model_construct(**last)]
    last["warm_up"] = max(0, training.warm_up - at)
    first = AdversarialPhase.model_construct(**{**own, "epochs": at, "until": None})
    return [*([first] if at else []), AdversarialPhase.model_construct(**last)]


def as_written(training: Training) -> Iterator[tuple[Path, Descent]]:
    """Yield what a spec says of each phase of its training, with the path in the spec; nothing without training."""
    if isinstance(training, Phased):
        yield from ((("training", "phases", i), phase) for i, phase in enumerate(training.phases))
    elif isinstance(training, InOneMode):
        yield ("training",), training


def last_phase(cell: Cell) -> PlacedPhase:
    """Return the last phase of the cell's training."""
    return phases(cell)[-1]


def linear_from(cell: Cell) -> int | None:
    """Return the epoch from which on a first-order model is trained; None: never."""
    return next((phase.start for phase in phases(cell) if phase.linearizes), None)


def steps(cell: Cell) -> int:
    """Return the number of optimizer steps in an epoch of the last phase.

    A smaller last batch is a step unless it is dropped.
    """
    whole, left = divmod(cell.data.n_train, _batch_size(cell))
    return whole + (left > 0 and not drops_last(cell))


def drops_last(cell: Cell) -> bool:
    """Return whether each epoch of the last phase leaves out its last batch.

    It does where that is one example alone, and batch normalization needs two.
    """
    return cell.data.n_train % _batch_size(cell) == 1 and "batch_norm" in operations(cell.architecture)


def _batch_size(cell: Cell) -> int:
    return last_phase(cell).words.batch_size or cell.data.n_train


def before_last_phase(cell: Cell) -> Cell | None:
    """Return the cell whose training is all phases but the last; None if there is only one."""
    training, start = cell.training, last_phase(cell).start
    if start == 0:
        return None
    if isinstance(training, Phased):
        return cell.model_copy(update={"training": training.model_copy(update={"phases": training.phases[:-1]})})
    update = {"epochs": start, "linearize_at": None, "centered": False, "until": None}
    return cell.model_copy(update={"training": identity.with_explicit_schedule(training).model_copy(update=update)})


def trainings(cell: Cell) -> Iterator[Cell]:
    """Yield the cells whose last phases, one after the other, are the cell's training; none without a network."""
    if cell.has_network:
        if isinstance(cell.training, Trained) and (earlier := before_last_phase(cell)) is not None:
            yield from trainings(earlier)
        yield cell


def phase_and_step(cell: Cell, moment: Fraction) -> tuple[Cell, int]:
    """Return the cell in whose last phase a moment falls, and the number of its steps up to the moment.

    The moment at which a phase ends belongs to it: the network there is not yet linearized by the next.
    """
    earlier, start = before_last_phase(cell), last_phase(cell).start
    if earlier is not None and moment <= start:
        return phase_and_step(earlier, moment)
    return cell, round((moment - start) * steps(cell))


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
            if 0 < step < last_phase(of).words.epochs * steps(of):
                yield of, step
