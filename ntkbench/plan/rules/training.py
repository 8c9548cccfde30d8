"""Find what a spec asks wrongly of training: moments, schedules, batches, a network where one is needed."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Literal

from ntkbench.errors import Problem
from ntkbench.plan import timeline
from ntkbench.plan.networks import operations
from ntkbench.spec.document import Path
from ntkbench.spec.kernels import EmpiricalKernel
from ntkbench.spec.reading.validate import Draft
from ntkbench.spec.training import Adversarial, Trained, Untrained, WarmupCosine


def problems(draft: Draft) -> Iterator[Problem]:
    """Yield a problem for each moment of a spec that never comes; a rule of `plan/check.py`."""
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
        message = f"there is no step at epoch {at}: an epoch is one step on the whole training set"
        yield draft.problem(path, f"{message}; give training a smaller `batch_size`, or write a whole number")


def networks(draft: Draft) -> Iterator[Problem]:
    """Yield a problem for a training and for each empirical kernel of a cell without a finite network (no width)."""
    if not draft.whole("width", "architecture") or draft.cell.width is not None:
        return
    if isinstance(draft.cell.training, Trained):
        message = "there is no network to train; give the cell a `width`, or write mode: none"
        if draft.cell.has_network:
            message = "a given network was trained before; write mode: none"
        yield draft.root.at(("training",)).key.problem("training", message)
    for name, kernel in draft.cell.kernels.items():
        if isinstance(kernel, EmpiricalKernel) and not draft.cell.has_network:
            message = "an empirical kernel is that of a finite network; give the cell a `width`"
            yield draft.root.at(("kernels", name)).key.problem(("kernels", name), message)


def schedules(draft: Draft) -> Iterator[Problem]:
    """Yield what is wrong with the numbers of a training: its batch size, epochs that never come, `centered` alone."""
    training, data = draft.cell.training, draft.cell.data
    if not isinstance(training, Trained):
        return
    if draft.whole("data") and training.batch_size is not None and training.batch_size > data.n_train:
        message = f"{training.batch_size} is more than the {data.n_train} training examples; null takes them all"
        yield draft.problem(("training", "batch_size"), message)
    if training.linearize_at is not None and training.linearize_at >= training.epochs:
        why = f"epoch {training.linearize_at} never comes: there are {training.epochs}, counted from 0"
        message = f"{why}; write null if that is meant"
        yield draft.problem(("training", "linearize_at"), message)
    if training.centered and training.linearize_at is None:
        message = "centered is a property of the linearized model; write the epoch of linearize_at, or centered: false"
        yield draft.problem(("training", "centered"), message)
    if isinstance(training, Adversarial) and training.warm_up >= training.epochs:
        why = f"epoch {training.warm_up} never comes: there are {training.epochs}, counted from 0"
        yield draft.problem(("training", "warm_up"), f"{why}; write mode: standard if that is meant")
    yield from _schedule(draft, training)


def _schedule(draft: Draft, training: Trained) -> Iterator[Problem]:
    """Yield a problem where the warm-up of a schedule leaves no epoch for its fall."""
    schedule = training.optimizer.schedule
    if isinstance(schedule, WarmupCosine) and schedule.warm_up >= (epochs := schedule.epochs or training.epochs):
        message = (
            f"{schedule.warm_up} of {epochs} epochs of warm-up leave none for the decay; write fewer, or more epochs"
        )
        yield draft.problem(("training", "optimizer", "schedule", "warm_up"), message)


def batches(draft: Draft) -> Iterator[Problem]:
    """Yield a problem where batch normalization meets batches of one example, within which nothing differs."""
    training = draft.cell.training
    if not draft.whole("architecture", "data") or not isinstance(training, Trained):
        return
    if (training.batch_size or draft.cell.data.n_train) == 1 and "batch_norm" in operations(draft.cell.architecture):
        path = ("training", "batch_size") if training.batch_size else ("data", "n_train")
        message = "batch_norm normalizes by what differs within a batch, and in a batch of one nothing does"
        yield draft.problem(path, f"{message}; write 2 or more, or use layer_norm")
