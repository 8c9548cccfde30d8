"""Find what a spec asks wrongly of training: moments, schedules, batches, a network where one is needed."""

import os
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from ntkbench.errors import DataError, Problem
from ntkbench.plan import shapes, sizes, timeline, user_files
from ntkbench.plan.networks import operations
from ntkbench.spec.architectures import FunctionNetwork, Given
from ntkbench.spec.attacks import InnerPGD
from ntkbench.spec.cell import Cell
from ntkbench.spec.document import Path
from ntkbench.spec.kernels import EmpiricalKernel
from ntkbench.spec.reading.validate import Draft
from ntkbench.spec.training import (
    Descent,
    InOneMode,
    OnAttackedBatches,
    Phased,
    Pretrained,
    Trained,
    Untrained,
    WarmupCosine,
)


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
    elif at.denominator > 1 and draft.whole("data") and _is_one_step(draft.cell, at):
        message = f"there is no step at epoch {at}: an epoch is one step on the whole training set"
        yield draft.problem(path, f"{message}; give training a smaller `batch_size`, or write a whole number")


def _is_one_step(cell: Cell, at: Fraction) -> bool:
    """Return whether an epoch is one step in the phase of a moment."""
    return timeline.steps(timeline.phase_and_step(cell, at)[0]) == 1


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
    """Yield what is wrong with the numbers of a training and of its phases.

    These are batch sizes, epochs that never come, `centered` alone, and phases of the network after its linearization.
    """
    training, data = draft.cell.training, draft.cell.data
    for path, words in timeline.as_written(draft.cell.training):
        if draft.whole("data") and words.batch_size is not None and words.batch_size > data.n_train:
            message = f"{words.batch_size} is more than the {data.n_train} training examples; null takes them all"
            yield draft.problem((*path, "batch_size"), message)
        if (warm_up := getattr(words, "warm_up", 0)) >= words.epochs:
            why = f"epoch {warm_up} never comes: there are {words.epochs}, counted from 0"
            yield draft.problem((*path, "warm_up"), f"{why}; write mode: standard if that is meant")
        if isinstance(words, OnAttackedBatches) and words.trades:
            yield from _trades(draft, path, words, words.loss)
        yield from _schedule(draft, path, words)
    if isinstance(training, InOneMode):
        yield from _linearized(draft, training)
    elif isinstance(training, Phased):
        yield from _after_linearization(draft, training)


def _trades(draft: Draft, path: Path, words: OnAttackedBatches, loss: str) -> Iterator[Problem]:
    """Refuse TRADES without probabilities to compare, and with an attack that begins where the divergence is flat."""
    if loss != "cross_entropy":
        message = f"TRADES compares the probabilities of classes, and outputs that are fitted with {loss} are none"
        yield draft.problem((*path, "trades"), f"{message}; write loss: cross_entropy, or leave it out")
    if not isinstance(words.attack, InnerPGD) or words.attack.start == "zero":
        message = "TRADES ascends a divergence that is flat at the clean image; write kind: pgd and start: uniform"
        yield draft.problem((*path, "attack"), message)
    if words.attack.loss not in ("auto", "cross_entropy"):
        message = "the attack of TRADES ascends the divergence; leave the loss out"
        yield draft.problem((*path, "attack", "loss"), message)


def _linearized(draft: Draft, training: InOneMode) -> Iterator[Problem]:
    """Yield a problem where the epoch of a linearization never comes, or is missing."""
    if training.linearize_at is not None and training.linearize_at >= training.epochs:
        why = f"epoch {training.linearize_at} never comes: there are {training.epochs}, counted from 0"
        message = f"{why}; write null if that is meant"
        yield draft.problem(("training", "linearize_at"), message)
    if training.centered and training.linearize_at is None:
        message = "centered is a property of the linearized model; write the epoch of linearize_at, or centered: false"
        yield draft.problem(("training", "centered"), message)


def _after_linearization(draft: Draft, training: Phased) -> Iterator[Problem]:
    """Yield a problem for each phase that does not go on with the first-order model of the one before it."""
    for i, (before, phase) in enumerate(pairwise(training.phases), start=1):
        if before.linearize is not None and phase.linearize != before.linearize:
            message = (
                "the phase before this one trained a first-order model, which is no network with other weights; "
                f"go on with it, linearize: {before.linearize}, or put phases of the network first"
            )
            yield draft.problem(("training", "phases", i, "linearize"), message)


def _schedule(draft: Draft, path: Path, words: Descent) -> Iterator[Problem]:
    """Yield a problem where the warm-up of a schedule leaves no epoch for its fall."""
    schedule = words.optimizer.schedule
    if isinstance(schedule, WarmupCosine) and schedule.warm_up >= (epochs := schedule.epochs or words.epochs):
        message = (
            f"{schedule.warm_up} of {epochs} epochs of warm-up leave none for the decay; write fewer, or more epochs"
        )
        yield draft.problem((*path, "optimizer", "schedule", "warm_up"), message)


def batches(draft: Draft) -> Iterator[Problem]:
    """Yield a problem where batch normalization meets batches of one example, within which nothing differs."""
    if not draft.whole("architecture", "data") or "batch_norm" not in operations(draft.cell.architecture):
        return
    for path, words in timeline.as_written(draft.cell.training):
        if (words.batch_size or draft.cell.data.n_train) == 1:
            here: Path = (*path, "batch_size") if words.batch_size else ("data", "n_train")
            message = "batch_norm normalizes by what differs within a batch, and in a batch of one nothing does"
            yield draft.problem(here, f"{message}; write 2 or more, or use layer_norm")
