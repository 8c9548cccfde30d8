"""One run: build its predictors, make its attacks, compute its analyses, and time each of these stages.

The worker makes an `Experiment` for each run and writes what `measured` returns into the record. What several runs can
share (data, infinite kernels, examples crafted on them) comes from the `Laboratory`; the rest lives as long as the run.
"""

import dataclasses
import functools
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkbench.analyses.accuracy import accuracy
from ntkbench.analyses.consistency import consistency
from ntkbench.analyses.crafting import Crafted, Threat
from ntkbench.analyses.drift import drift
from ntkbench.analyses.eigenspace import PictureChoice, eigenspace
from ntkbench.analyses.evaluator import Subject
from ntkbench.analyses.fit import Fit, equal_time, fit, loss_reached
from ntkbench.analyses.measurement import Check, Measurement
from ntkbench.analyses.spectral import Study
from ntkbench.analyses.time_course import course
from ntkbench.analyses.trajectory import Armed, Course, View
from ntkbench.analyses.transfer import transfer
from ntkbench.data import dataset
from ntkbench.errors import DivergedError
from ntkbench.ntk import cheapest, empirical, features, gram, network, regression
from ntkbench.plan import keys, memory, selections, timeline
from ntkbench.run.build import attacks as build_attacks
from ntkbench.run.build import losses as build_losses
from ntkbench.run.build import networks
from ntkbench.run.build.data import outputs, require_classes, targets
from ntkbench.run.build.kernels import coefficients, example_bytes, require_sound
from ntkbench.run.build.training import Tick, at_time
from ntkbench.run.environment import CompileClock
from ntkbench.run.group import Group
from ntkbench.run.shared import Laboratory, Made
from ntkbench.spec import analyses, attacks, extensions
from ntkbench.spec.cell import Cell
from ntkbench.spec.kernels import EmpiricalKernel, InfiniteKernel
from ntkbench.spec.notation import FIT
from ntkbench.spec.training import Trained


@dataclass
class Experiment:
    """A cell at one seed, with everything that is computed for it.

    `asked` is the cell of the spec; `group` holds the networks of this seed, or is None if the cell has no width;
    `tick` is called with a few words before each part of the work and may raise to end it. `timings` collects the
    record's stages.
    """

    laboratory: Laboratory
    asked: Cell
    group: Group | None
    tick: Tick
    timings: dict[str, dict[str, Any]] = field(default_factory=dict)
    _subjects: dict[str, Subject] = field(default_factory=dict)
    """predictors by name, as far as they were built"""
    _systems: dict[str, features.Eigensystem] = field(default_factory=dict)
    _attacked: dict[tuple[str, str], tuple[Threat, Crafted]] = field(default_factory=dict)
    """threats and crafted test examples by attack and source"""

    @functools.cached_property
    def cell(self) -> Cell:
        """The cell that was asked for, in which kernels with time `matched` have the network's flow time."""
        return self.asked if self.group is None else at_time(self.asked, float(self.group.flow_time))

    def measured(self) -> dict[str, Measurement]:
        """Compute all measurements of the run, by analysis; trained networks have one more, their fit.

        Raise DivergedError if the training diverged, and an error if a measurement is not finite.
        """
        found = {}
        if isinstance(self.cell.training, Trained):
            self.tick("fit of the network")
            found[FIT] = dataclasses.replace(self.fit[1], checks=tuple(self._loss_reached()))
        for name, words in self.cell.analyses.items():
            self.tick(f"analysis {name}")
            measurement = self.measure(name).require_finite(name)
            checks = (*measurement.checks, *self._equal_times(words))
            found[name] = dataclasses.replace(measurement, checks=checks)
        return found

    @functools.cached_property
    def fit(self) -> tuple[Fit, Measurement]:
        """How far the run's network was trained, judged on its training examples, and the metrics that say so."""
        assert self.group is not None
        data, words, dtype = self.laboratory.data(self.cell), self.cell.training, self.cell.numerics.network
        with self._stage(f"analysis.{FIT}"):
            trained = self.laboratory.subject(self.cell, attacks.SELF, self._trained(), dtype, data.train)
            loss = words.loss if isinstance(words, Trained) else "mse"
            flow_time = float(self.group.flow_time)
            return fit(
                trained,
                build_losses.loss(loss, self.cell.data.targets == "centered"),
                self._fitted_targets(loss),
                probabilities=loss == "cross_entropy",
                epochs=int(self.group.epochs),
                flow_time=None if math.isnan(flow_time) else flow_time,
                eigenvalues=self.laboratory.rates(self.cell, self.group.initial),
            )

    def _loss_reached(self) -> Iterator[Check]:
        """Yield the check that training stopped because its loss was reached, if the spec has `until`."""
        words = self.cell.training
        assert isinstance(words, Trained)
        assert self.group is not None
        if words.until is not None:
            yield loss_reached(float(self.group.losses[-1]), words.until.loss)

    def _fitted_targets(self, loss: str) -> np.ndarray:
        """Return the targets (n, c) of the training outputs; for cross-entropy, of their probabilities."""
        data = self.laboratory.data(self.cell)
        centered = loss == "mse" and self.cell.data.targets == "centered"
        words = self.cell.data.model_copy(update={"targets": "centered" if centered else "one_hot"})
        return np.asarray(targets(words, data.train.labels, outputs(data)))

    def _equal_times(self, words: analyses.Analysis) -> Iterator[Check]:
        """Yield a check for each attack of an analysis from a kernel on the network, or from the network on a kernel.

        It compares for how long both were trained: otherwise transfer between them means little.
        """
        if self.group is None:
            return
        for attack in keys.judged(words):
            pair = {getattr(self.cell.attacks[attack], "source", words.target), words.target}
            kernels = [kernel for name in pair if (kernel := self.cell.kernels.get(name)) is not None]
            if attacks.SELF in pair and kernels:
                (name,) = pair - {attacks.SELF}
                yield equal_time(attack, name, float(kernels[0].time), kernels[0].ridge, self.fit[0])

    def measure(self, analysis_id: str) -> Measurement:
        """Compute one analysis of the cell; shared predictors and crafted examples are stages of their own."""
        words = self.cell.analyses[analysis_id]
        if isinstance(words, analyses.Spectral):
            names = (words.target, *getattr(words, "against", ()))
            studies = {name: self.study(name, words.attack) for name in names}
            with self._stage(f"analysis.{analysis_id}"):
                return self._spectral(words, studies)
        if isinstance(words, analyses.Drift):
            course = self.course(words)
            judged = {name: self._view(self._split(name), self.cell.numerics.network) for name in words.accuracy_on}
            attack, adversary = map(self._armed, (words.attack, words.adversarial_probe))
            with self._stage(f"analysis.{analysis_id}"):
                at = _places(words.accuracy_at, len(course.moments))
                return drift(course, judged, attack=attack, adversary=adversary, at=at)
        target = self.subject(words.target)
        match words:
            case analyses.Judged():
                attacked = [self.attacked(name, target) for name in words.attacks]
                with self._stage(f"analysis.{analysis_id}"):
                    if isinstance(words, analyses.ExtensionAnalysis):
                        return extensions.builder(words)(words, target, attacked)
                    return accuracy(target, attacked)
            case analyses.Transfer():
                attack = self.attacked(words.attack, target)
                beside = (words.ceiling, words.floor)
                ceiling, floor = (self.attacked(name, target) if name else None for name in beside)
                with self._stage(f"analysis.{analysis_id}"):
                    return transfer(target, attack, ceiling=ceiling, floor=floor)

    def _spectral(self, words: analyses.Spectral, studies: Mapping[str, Study]) -> Measurement:
        """Compute an analysis of the spectrum of kernels; `studies` holds those that it names."""
        study, size = studies[words.target], selections.size(self.cell, words.target)
        match words:
            case analyses.Eigenspace():
                return eigenspace(
                    study,
                    selections.features(words.features, size),
                    selections.truncations(words.truncations, size),
                    selections.groups(words.groups, size),
                    PictureChoice(**dict(words.pictures)) if words.pictures else None,
                )
            case analyses.TimeCourse():
                return course(study, words.times, words.ridges)
            case analyses.Consistency():
                others = {name: studies[name] for name in words.against}
                top = tuple(k for k in words.top if k <= size)
                return consistency(study, others, top, selections.features(words.features, size))

    def study(self, kernel_id: str, attack_id: str | None) -> Study:
        """Return a kernel's eigensystem with the test set, in the kernel's precision, and the attack on its parts."""
        data, dtype = self.laboratory.data(self.cell), self.cell.numerics.kernel
        require_classes(data)
        threat = build_attacks.threat(self.cell, attack_id) if attack_id else None
        key = build_attacks.attack_key(self.cell, attack_id) if attack_id else networks.stream(0, "attack")
        system, tile_bytes = self.eigensystem(kernel_id), self.laboratory.tile_bytes
        X, labels = jnp.asarray(data.test.unit(dtype)), jnp.asarray(data.test.labels)
        rows = min(len(data.train), system.kernel.pairs(X.shape[1:], X.dtype, tile_bytes))
        each = example_bytes(self.cell, kernel_id, rows, 1 + len(threat.eps) if threat else 1)
        together = max(1, int(tile_bytes / each))
        return Study(kernel_id, system, X, labels, threat, key, together, tile_bytes, self.tick)

    def course(self, words: analyses.Drift) -> Course:
        """Return the network's course of training, with its probe in the precision of kernels.

        Raise DivergedError if the training diverged.
        """
        data, training = self.laboratory.data(self.cell), self.cell.training
        assert isinstance(training, Trained)
        self._trained()  # raises DivergedError before the course begins
        probe = dataset.balanced(self._split(words.probe.split), len(data.classes), words.probe.n)
        moments = selections.snapshots(words.snapshots, training.epochs)
        return Course(
            moments,
            self.network_at,
            self._view(probe, self.cell.numerics.kernel),
            np.asarray(targets(self.cell.data, probe.labels, outputs(data))),
            words.layout,
            selections.tops(self.cell, words),
            self.laboratory.tile_bytes,
            memory.kernel_bytes(),
            None if training.linearize_at is None else Fraction(training.linearize_at),
            frozenset(_places(words.keep_kernels, len(moments))),
            self.tick,
        )

    def _split(self, name: str) -> dataset.Split:
        """Return the training or the test examples."""
        data = self.laboratory.data(self.cell)
        return {"train": data.train, "test": data.test}[name]

    def _view(self, examples: dataset.Split, dtype: str) -> View:
        """Return a function that gives a predictor, cast to `dtype`, as a subject with these examples."""

        def view(predictor: network.Trainable) -> Subject:
            predictor = network.cast(predictor, dtype)
            return self.laboratory.subject(self.cell, attacks.SELF, predictor, dtype, examples)

        return view

    def _armed(self, attack_id: str | None) -> Armed | None:
        """Return the attack with its random key; None if no attack is named."""
        if attack_id is None:
            return None
        return Armed(build_attacks.threat(self.cell, attack_id), build_attacks.attack_key(self.cell, attack_id))

    def eigensystem(self, name: str) -> features.Eigensystem:
        """Return the eigensystem of a kernel of the cell, computed at the first call."""
        if name not in self._systems:
            self.tick(f"kernel {name}")
            with self._stage(f"spectrum.{name}") as note:
                words = self.cell.kernels[name]
                if isinstance(words, InfiniteKernel):
                    self._systems[name] = note(self.laboratory.eigensystem(self.cell, name))
                else:
                    self._systems[name] = self._empirical_eigensystem(name, words)
        return self._systems[name]

    def attacked(self, attack_id: str, target: Subject) -> tuple[Threat, Crafted]:
        """Return an attack and the test examples that it made; each attack is made once for each source.

        An attack without a gradient (random signs) has no source: it is made in the precision of `target`.
        """
        threat = build_attacks.threat(self.cell, attack_id)
        source = target if threat.objective is None else self.subject(threat.source)
        if (attack_id, source.name) not in self._attacked:
            self.tick(f"attack {attack_id}")
            with self._stage(f"craft.{attack_id}") as note:
                made = note(self.laboratory.crafted(self.asked, threat, source))
            self._attacked[attack_id, source.name] = threat, made
        return self._attacked[attack_id, source.name]

    def subject(self, name: str) -> Subject:
        """Return a predictor of the cell, with the test set, by the name that attacks and analyses use."""
        if name not in self._subjects:
            self._subjects[name] = self._network() if name == attacks.SELF else self._kernel(name)
        return self._subjects[name]

    def _network(self) -> Subject:
        return self.laboratory.subject(self.cell, attacks.SELF, self._trained(), self.cell.numerics.network)

    def _trained(self) -> network.Trainable:
        """Return the network at the end of its training. Raise DivergedError if there is none."""
        return self.network_at(timeline.moment(self.cell, "final"))

    def network_at(self, moment: Fraction) -> network.Trainable:
        """Return the run's network, or its first-order model, after `moment` epochs.

        Raise DivergedError if the loss was not finite by then.
        """
        assert self.group is not None
        losses = self.group.losses[: math.ceil(moment)]
        if losses.size and not np.all(np.isfinite(losses)):
            epoch, rate = int(np.argmin(np.isfinite(losses))), self.group.facts["learning_rate"]
            raise DivergedError(
                f"the loss is not finite from epoch {epoch + 1} on (learning rate {rate:.3g}); "
                "try a smaller training.optimizer.learning_rate"
            )
        return self.group.at(moment)

    def _kernel(self, name: str) -> Subject:
        """Return the regression with a kernel of the cell, as a subject with the test set."""
        words = self.cell.kernels[name]
        self.tick(f"kernel {name}")
        with self._stage(f"kernel.{name}") as note:
            if isinstance(words, InfiniteKernel):
                predictor = note(self.laboratory.regression(self.cell, name))
            else:
                predictor = self._empirical_regression(name, words)
        return self.laboratory.subject(self.cell, name, predictor, self.cell.numerics.kernel)

    def _empirical_regression(self, name: str, words: EmpiricalKernel):
        """Return f_0(x) + Theta(x, X) V g(lambda) V^T (Y - f_0(X)), where f_0 is the network at the kernel's weights.

        `g` is the spectral filter of the kernel's time and ridge.
        """
        kernel, X, spectrum, Y = self._empirical(name, words)
        residual = Y - jax.vmap(kernel.predictor)(X)
        alpha = coefficients(spectrum, words, residual.reshape(-1, 1)).reshape(residual.shape)
        return empirical.regression(kernel.predictor, X, alpha.astype(X.dtype))

    def _empirical_eigensystem(self, name: str, words: EmpiricalKernel) -> features.Eigensystem:
        """Return the eigensystem of an empirical kernel on the targets Y themselves.

        Unlike in the regression, the network's own value f_0 is not subtracted: features are the kernel's alone.
        """
        kernel, X, spectrum, Y = self._empirical(name, words)
        regression.require_regular(spectrum)
        return features.EmpiricalEigensystem.of(kernel, X, spectrum, Y)

    def _empirical(self, name: str, words: EmpiricalKernel):
        """Return an empirical kernel, the training examples X, its spectrum on X, and their targets Y.

        Raise an error if the spectrum is not finite or has no positive eigenvalue.
        """
        data, dtype = self.laboratory.data(self.cell), self.cell.numerics.kernel
        net = network.cast(self.network_at(timeline.moment(self.cell, words.at)), dtype)
        X = jnp.asarray(data.train.unit(dtype))
        K = cheapest.ntk(net, X, tile_bytes=self.laboratory.tile_bytes)
        kernel = cheapest.best(net, X[0], len(X))
        spectrum = regression.Spectrum.of(gram.matrix(np.asarray(K)))
        require_sound(spectrum, name, dtype)
        return kernel, X, spectrum, targets(self.cell.data, data.train.labels, outputs(data))

    @contextmanager
    def _stage(self, name: str) -> Iterator[Any]:
        """Time the block as the stage `name`, split into compilation and the rest.

        Yield a function that unwraps what the laboratory `Made`, and notes its key and whether it was in the store.
        """
        note: dict[str, Any] = {"key": "", "cached": False}

        def unpack(made: Made) -> Any:
            note.update(key=made.key, cached=made.cached)
            return made.value

        began = time.perf_counter()
        with CompileClock() as compiling:
            yield unpack
        seconds = time.perf_counter() - began
        self.timings[name] = {**note, "compile_s": compiling.seconds, "run_s": max(0.0, seconds - compiling.seconds)}


def _places(word: str, count: int) -> tuple[int, ...]:
    """Return the positions that `word` (none, final, ends, all) selects among `count` snapshots."""
    return {"none": (), "final": (count - 1,), "ends": (0, count - 1), "all": tuple(range(count))}[word]
