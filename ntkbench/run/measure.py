"""Compute the analyses of one run, with one function for each kind of analysis.

The worker makes the `Predictors` of a run and writes what `measurements` returns into the record:

    predictors = Predictors(shared, run.cell, group, tick, stages)
    found = measurements(predictors)
"""

import dataclasses
import functools
import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction

import jax.numpy as jnp
import numpy as np

from ntkbench.analyses.accuracy import accuracy
from ntkbench.analyses.certificates.certificate import certificate
from ntkbench.analyses.certificates.label_flips import label_flips
from ntkbench.analyses.consistency import consistency
from ntkbench.analyses.crafting import poisoned
from ntkbench.analyses.drift import drift
from ntkbench.analyses.eigenspace import PictureChoice, eigenspace
from ntkbench.analyses.fit import Fit, equal_time, fit, loss_reached
from ntkbench.analyses.measurement import Check, Measurement
from ntkbench.analyses.spectral import SpectralStudy
from ntkbench.analyses.time_course import time_course
from ntkbench.analyses.trajectory import Trajectory
from ntkbench.analyses.transfer import transfer, transfer_matrix
from ntkbench.data import dataset
from ntkbench.plan import memory, selections, timeline
from ntkbench.run.build import attacks as build_attacks
from ntkbench.run.build import losses as build_losses
from ntkbench.run.build import networks
from ntkbench.run.build import poison as build_poison
from ntkbench.run.build.attacks import NO_SOURCE
from ntkbench.run.build.data import fitted_targets, outputs, require_classes, targets
from ntkbench.run.predictors import Predictors
from ntkbench.spec import analyses, attacks, extensions
from ntkbench.spec.cell import Cell
from ntkbench.spec.notation import FIT, POISON
from ntkbench.spec.training import Trained


def measurements(predictors: Predictors) -> dict[str, Measurement]:
    """Compute all measurements of a run, by analysis.

    Poisoned training images have one more, and trained networks another: how far each of them was trained.

    Raise DivergedError if the training diverged, and an error if a measurement is not finite.
    """
    found, cell = {}, predictors.cell
    if cell.data.poison:
        found[POISON] = _poison(predictors)
    fitted = functools.cache(functools.partial(_fit, predictors))
    if trainings := predictors.trainings:
        predictors.tick("fit of the networks")
        fits = [fitted(name)[1] for name in trainings]
        reached = [check for name, own in trainings.items() for check in _loss_reached(predictors, own, name)]
        found[FIT] = Measurement(tuple(scalar for each in fits for scalar in each.scalars), checks=tuple(reached))
    for name, words in cell.analyses.items():
        predictors.tick(f"analysis {name}")
        measurement = measure(predictors, name).require_finite(name)
        checks = (*measurement.checks, *_equal_times(predictors, words, fitted))
        found[name] = dataclasses.replace(measurement, checks=checks)
    return found


def measure(predictors: Predictors, name: str) -> Measurement:
    """Compute one analysis; the predictors and attacked examples that it needs are timed as stages of their own."""
    match words := predictors.cell.analyses[name]:
        case analyses.ExtensionAnalysis():
            return _extension(predictors, name, words)
        case analyses.Accuracy():
            return _accuracy(predictors, name, words)
        case analyses.Transfer():
            return _transfer(predictors, name, words)
        case analyses.TransferMatrix():
            return _transfer_matrix(predictors, name, words)
        case analyses.Drift():
            return _drift(predictors, name, words)
        case analyses.Eigenspace():
            return _eigenspace(predictors, name, words)
        case analyses.TimeCourse():
            return _time_course(predictors, name, words)
        case analyses.Consistency():
            return _consistency(predictors, name, words)
        case analyses.Certificate():
            return _certificate(predictors, name, words)
        case analyses.LabelFlips():
            return _label_flips(predictors, name, words)


def _poison(predictors: Predictors) -> Measurement:
    """Return how far the training images were moved, and what that did to the loss that they climb."""
    cell, shared = predictors.cell, predictors.shared
    poison, made = cell.data.poison, predictors.poisoned()
    assert poison
    clean = shared.data(build_poison.clean(cell)).train.unit()
    source = getattr(poison, "kernel", NO_SOURCE)
    return poisoned(
        clean, made["images"], build_poison.BALL, build_poison.budget(cell).radius, source, made.get("loss")
    )


def _accuracy(predictors: Predictors, name: str, words: analyses.Accuracy) -> Measurement:
    target = predictors.evaluator(words.target)
    attacked = [predictors.attacked(attack, target) for attack in words.attacks]
    with predictors.stage(f"analysis.{name}"):
        return accuracy(target, attacked, gradient_norm=words.gradient_norm)


def _extension(predictors: Predictors, name: str, words: analyses.ExtensionAnalysis) -> Measurement:
    target = predictors.evaluator(words.target)
    attacked = [predictors.attacked(attack, target) for attack in words.attacks]
    with predictors.stage(f"analysis.{name}"):
        returned: Measurement = extensions.builder(words)(words, target, attacked)
    found = returned.checked_against(extensions.known_metrics())
    if found.undeclared:
        there = f"`metrics` of {type(words).__module__}.{type(words).__qualname__}"
        warnings.warn(
            f"analyses.{name} returned numbers of {', '.join(found.undeclared)}, which nobody declares; the "
            f"record keeps them without unit, range and direction; declare them in {there} (docs/extending.md)",
            stacklevel=1,
        )
    return found


def _transfer(predictors: Predictors, name: str, words: analyses.Transfer) -> Measurement:
    target = predictors.evaluator(words.target)
    attack = predictors.attacked(words.attack, target)
    ceiling, floor = (predictors.attacked(each, target) if each else None for each in (words.ceiling, words.floor))
    with predictors.stage(f"analysis.{name}"):
        return transfer(target, attack, ceiling=ceiling, floor=floor)


def _transfer_matrix(predictors: Predictors, name: str, words: analyses.TransferMatrix) -> Measurement:
    cell = predictors.cell
    shown = [
        (target, [predictors.attacked(attack, target) for attack in selections.attacks_shown(cell, words)])
        for target in map(predictors.evaluator, selections.targets(cell, words))
    ]
    with predictors.stage(f"analysis.{name}"):
        return transfer_matrix(words.attack, shown)


def _drift(predictors: Predictors, name: str, words: analyses.Drift) -> Measurement:
    trajectory, dtype = _trajectory(predictors, words), predictors.cell.numerics.network
    judged = {split: predictors.view(predictors.split(split), dtype) for split in words.accuracy_on}
    attack, adversary = map(predictors.seeded_attack, (words.attack, words.adversarial_probe))
    with predictors.stage(f"analysis.{name}"):
        at = selections.positions(words.accuracy_at, len(trajectory.moments))
        return drift(trajectory, judged, attack=attack, adversary=adversary, at=at)


def _eigenspace(predictors: Predictors, name: str, words: analyses.Eigenspace) -> Measurement:
    study, size = _study(predictors, words.target, words.attack), selections.size(predictors.cell, words.target)
    with predictors.stage(f"analysis.{name}"):
        return eigenspace(
            study,
            selections.features(words.features, size),
            selections.truncations(words.truncations, size),
            selections.groups(words.groups, size),
            PictureChoice(**dict(words.pictures)) if words.pictures else None,
        )


def _time_course(predictors: Predictors, name: str, words: analyses.TimeCourse) -> Measurement:
    study = _study(predictors, words.target, words.attack)
    with predictors.stage(f"analysis.{name}"):
        return time_course(study, words.times, words.ridges)


def _consistency(predictors: Predictors, name: str, words: analyses.Consistency) -> Measurement:
    study, size = _study(predictors, words.target, words.attack), selections.size(predictors.cell, words.target)
    others: Mapping[str, SpectralStudy] = {each: _study(predictors, each, words.attack) for each in words.against}
    with predictors.stage(f"analysis.{name}"):
        top = tuple(k for k in words.top if k <= size)
        return consistency(study, others, top, selections.features(words.features, size))


def _certificate(predictors: Predictors, name: str, words: analyses.Certificate) -> Measurement:
    fitted, shared = predictors.fitted(words.target), predictors.shared
    target = predictors.evaluator(words.target) if words.attack else None
    attacked = (target, predictors.attacked(words.attack, target)) if words.attack and target else None
    tests = shared.data(predictors.cell).test
    with predictors.stage(f"analysis.{name}"):
        return certificate(
            fitted,
            jnp.asarray(tests.unit(predictors.cell.numerics.kernel)),
            tests.labels,
            build_attacks.BALLS[words.norm],
            build_attacks.budgets(predictors.cell, words.eps),
            attacked,
            tile_bytes=shared.tile_bytes,
        )


def _label_flips(predictors: Predictors, name: str, words: analyses.LabelFlips) -> Measurement:
    fitted, shared = predictors.fitted(words.target), predictors.shared
    tests = shared.data(predictors.cell).test
    with predictors.stage(f"analysis.{name}"):
        X = jnp.asarray(tests.unit(predictors.cell.numerics.kernel))
        return label_flips(fitted, X, tests.labels, words.flips, tile_bytes=shared.tile_bytes)


def _study(predictors: Predictors, kernel_id: str, attack_id: str | None) -> SpectralStudy:
    """Return a kernel's eigensystem with the test set, in the kernel's precision, and the attack on its parts."""
    cell, shared = predictors.cell, predictors.shared
    data, dtype = shared.data(cell), cell.numerics.kernel
    require_classes(data)
    threat = build_attacks.attack(cell, attack_id) if attack_id else None
    key = build_attacks.attack_key(cell, attack_id) if attack_id else networks.stream(0, "attack")
    system, tile_bytes = predictors.eigensystem(kernel_id, whole=False), shared.tile_bytes
    X, labels = jnp.asarray(data.test.unit(dtype)), jnp.asarray(data.test.labels)
    rows = min(len(data.train), system.kernel.pairs(X.shape[1:], X.dtype, tile_bytes))
    each = shared.example_bytes(cell, kernel_id, rows, 1 + len(threat.budgets) if threat else 1)
    together = max(1, int(tile_bytes / each))
    return SpectralStudy(kernel_id, system, X, labels, threat, key, together, tile_bytes, predictors.tick)


def _trajectory(predictors: Predictors, words: analyses.Drift) -> Trajectory:
    """Return the network along its training, with its probe in the precision of kernels.

    Raise DivergedError if the training diverged.
    """
    cell, shared = predictors.cell, predictors.shared
    data, training = shared.data(cell), cell.training
    assert isinstance(training, Trained)
    predictors.trained()  # raises DivergedError before the first kernel is computed
    probe = dataset.balanced(predictors.split(words.probe.split), len(data.classes), words.probe.n)
    moments = selections.snapshots(words.snapshots, training.epochs)
    return Trajectory(
        moments,
        predictors.network_at,
        predictors.view(probe, cell.numerics.kernel),
        np.asarray(targets(cell.data, probe.labels, outputs(data))),
        words.layout,
        selections.tops(cell, words),
        shared.tile_bytes,
        memory.kernel_bytes(),
        None if (linear := timeline.linear_from(cell)) is None else Fraction(linear),
        frozenset(selections.positions(words.keep_kernels, len(moments))),
        predictors.tick,
    )


def _fit(predictors: Predictors, name: str) -> tuple[Fit, Measurement]:
    """Return how far a network of the run was trained, judged on the training examples, and metrics that say so."""
    group, cell, shared = predictors.groups[name], predictors.cell.as_own(name), predictors.shared
    words, dtype = cell.training, cell.numerics.network
    with predictors.stage(f"analysis.{FIT}" if name == attacks.SELF else f"analysis.{FIT}.{name}"):
        data = shared.data(cell)
        trained = shared.evaluator(cell, name, predictors.trained(name), dtype, data.train)
        loss = timeline.last_phase(cell).words.loss if isinstance(words, Trained) else "mse"
        flow_time = float(group.flow_time)
        return fit(
            trained,
            build_losses.loss(loss, cell.data.targets == "centered"),
            np.asarray(fitted_targets(cell.data, data.train.labels, outputs(data), loss)),
            probabilities=loss == "cross_entropy",
            epochs=int(group.epochs),
            flow_time=None if math.isnan(flow_time) else flow_time,
            eigenvalues=shared.rates(cell, group.initial),
        )


def _loss_reached(predictors: Predictors, cell: Cell, name: str) -> Iterator[Check]:
    """Yield the check that a network's training stopped because its loss was reached, if its last phase has `until`."""
    if (until := timeline.last_phase(cell).words.until) is not None:
        yield _naming(loss_reached(float(predictors.groups[name].losses[-1]), until.loss), name)


def _equal_times(
    predictors: Predictors, words: analyses.Analysis, fitted: Callable[[str], tuple[Fit, Measurement]]
) -> Iterator[Check]:
    """Yield a check for each attack of an analysis from a kernel on a network, or from a network on a kernel.

    It compares for how long both were trained: otherwise transfer between them means little.
    """
    cell = predictors.cell
    for target, attack in itertools.product(selections.targets(cell, words), selections.attacks_shown(cell, words)):
        pair = {getattr(cell.attack(attack), "source", target), target}
        for name, kernel_id in itertools.product(pair & predictors.groups.keys(), pair & cell.kernels.keys()):
            if cell.as_own(name).has_known_training:
                kernel = cell.kernels[kernel_id]
                yield _naming(equal_time(attack, kernel_id, float(kernel.time), kernel.ridge, fitted(name)[0]), name)


def _naming(check: Check, network: str) -> Check:
    """Return a check whose detail names the network, unless it is the run's own."""
    if network == attacks.SELF:
        return check
    return dataclasses.replace(check, detail={**check.detail, "network": network})
