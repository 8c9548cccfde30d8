"""Find what a spec asks wrongly of training: moments, schedules, batches, a network where one is needed."""

import os
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Literal

from ntkbench.errors import DataError, Problem
from ntkbench.plan import shapes, sizes, timeline, user_files
from ntkbench.plan.networks import operations
from ntkbench.spec.architectures import FunctionNetwork, Given
from ntkbench.spec.document import Path
from ntkbench.spec.kernels import EmpiricalKernel
from ntkbench.spec.reading.validate import Draft
from ntkbench.spec.training import Adversarial, Pretrained, Trained, Untrained, WarmupCosine


def problems(draft: Draft) -> Iterator[Problem]:
    """Yield a problem for each moment of a spec that never comes; a rule of `plan/check.py`."""
    if not draft.whole("training"):
        return
    for path, at in _written(draft):
        if isinstance(draft.cell.training, Trained):
            yield from _moment(draft, path, at) if isinstance(at, Fraction) else ()
        elif at != "init":
            mode = draft.cell.training.mode
            yield draft.problem(path, f"nothing is trained (training mode {mode}); write at: init")


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
    """Yield a problem for a training and for each empirical kernel of a cell without a finite network (no width).

    A training may be there for the further networks that have none of their own.
    """
    if not draft.whole("width", "architecture") or draft.cell.width is not None:
        return
    given = isinstance(draft.cell.architecture, Given)
    taken = draft.cell.has_network or any(words.training is None for words in draft.cell.networks.values())
    if not isinstance(draft.cell.training, Untrained) and (given or not taken):
        message = "there is no network to train; give the cell a `width`, or write mode: none"
        if given:
            message = "a given network was trained before; write mode: none"
        yield draft.root.at(("training",)).key.problem("training", message)
    for name, kernel in draft.cell.kernels.items():
        if isinstance(kernel, EmpiricalKernel) and not draft.cell.has_network:
            message = "an empirical kernel is that of a finite network; give the cell a `width`"
            yield draft.root.at(("kernels", name)).key.problem(("kernels", name), message)


def pretrained(draft: Draft) -> Iterator[Problem]:
    """Yield what is wrong with weights of a file: arrays that are not those of the network, standardizations.

    Nothing is known of the arrays of a network that is a function before it is built; the run compares them.
    """
    training, cell = draft.cell.training, draft.cell
    if not isinstance(training, Pretrained) or not draft.whole("training", "architecture", "width") or not draft.sized:
        return
    channels = shapes.image(cell.data)[-1]
    for name in ("mean", "std") if training.inputs else ():
        if (count := len(getattr(training.inputs, name))) not in (1, channels):
            message = f"{count} numbers for {channels} channels; write one for each, or a single one"
            yield draft.problem(("training", "inputs", name), message)
    if isinstance(cell.architecture, FunctionNetwork) or not cell.has_network or not training.sha256:
        return
    with suppress(shapes.LayerError, DataError):  # which a rule of architectures, or whoever read the file, tells
        if why := user_files.misfit(sizes.leaves(cell), training):
            yield draft.problem(("training", "weights"), f"{os.path.basename(training.weights)}: {why}")


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
