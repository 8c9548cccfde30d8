"""One run: its predictors, its attacks, its analyses, and how long each took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkbench.analyses.accuracy import accuracy
from ntkbench.analyses.craft import Crafted, Threat
from ntkbench.analyses.measurement import Measurement
from ntkbench.analyses.subject import Subject
from ntkbench.analyses.transfer import transfer
from ntkbench.bench import build, spec
from ntkbench.bench.build import Tick
from ntkbench.bench.environment import CompileClock
from ntkbench.bench.laboratory import Laboratory, Made
from ntkbench.bench.train import Group
from ntkbench.errors import DivergedError
from ntkbench.ntk import empirical, gram, network, regression


@dataclass
class Experiment:
    """A cell at one seed; `group` holds that seed's networks, if the cell has a width."""

    laboratory: Laboratory
    cell: spec.Cell
    group: Group | None
    tick: Tick
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)
    _subjects: dict[str, Subject] = field(default_factory=dict)
    _attacked: dict[tuple[str, str], tuple[Threat, Crafted]] = field(default_factory=dict)

    def measure(self, analysis_id: str) -> Measurement:
        """One analysis of the cell."""
        words = self.cell.analyses[analysis_id]
        target = self.subject(words.target)
        match words:
            case spec.Accuracy():
                attacked = [self.attacked(name, target) for name in words.attacks]
                with self._stage(f"analysis.{analysis_id}"):
                    return accuracy(target, attacked)
            case spec.Transfer():
                attack = self.attacked(words.attack, target)
                beside = (words.ceiling, words.floor)
                ceiling, floor = (self.attacked(name, target) if name else None for name in beside)
                with self._stage(f"analysis.{analysis_id}"):
                    return transfer(target, attack, ceiling=ceiling, floor=floor)

    def attacked(self, attack_id: str, target: Subject) -> tuple[Threat, Crafted]:
        """An attack, and what it made of the test set; without a source, in the target's precision."""
        threat = build.threat(self.cell, attack_id)
        source = target if threat.objective is None else self.subject(threat.source)
        if (attack_id, source.name) not in self._attacked:
            self.tick(f"attack {attack_id}")
            with self._stage(f"craft.{attack_id}") as note:
                made = note(self.laboratory.crafted(self.cell, threat, source))
            self._attacked[attack_id, source.name] = threat, made
        return self._attacked[attack_id, source.name]

    def subject(self, name: str) -> Subject:
        """A predictor of the cell by the name that attacks and analyses use."""
        if name not in self._subjects:
            self._subjects[name] = self._network() if name == spec.SELF else self._kernel(name)
        return self._subjects[name]

    def _network(self) -> Subject:
        return self.laboratory.subject(self.cell, spec.SELF, self._trained(), self.cell.numerics.network)

    def _trained(self) -> network.Trainable:
        assert self.group is not None
        losses = self.group.losses
        if losses.size and not np.all(np.isfinite(losses)):
            epoch, rate = int(np.argmin(np.isfinite(losses))), self.group.facts["learning_rate"]
            raise DivergedError(
                f"the loss is not finite from epoch {epoch + 1} on (learning rate {rate:.3g}); "
                "try a smaller training.optimizer.learning_rate"
            )
        return self.group.trained

    def _kernel(self, name: str) -> Subject:
        words = self.cell.kernels[name]
        self.tick(f"kernel {name}")
        with self._stage(f"kernel.{name}") as note:
            if isinstance(words, spec.InfiniteKernel):
                predictor = note(self.laboratory.regression(self.cell, name))
            else:
                predictor = self._empirical_regression(words)
        return self.laboratory.subject(self.cell, name, predictor, self.cell.numerics.kernel)

    def _empirical_regression(self, words: spec.EmpiricalKernel):
        """f_0(x) + Theta(x, X) V g(lambda) V^T (Y - f_0(X)), with the network at the weights of the kernel."""
        assert self.group is not None
        data, dtype = self.laboratory.data(self.cell), self.cell.numerics.kernel
        net = network.cast(self.group.initial if words.at == "init" else self._trained(), dtype)
        X = jnp.asarray(data.train.unit(dtype))
        K = gram.gram(empirical.EmpiricalKernel(net), X, tile_bytes=self.laboratory.tile_bytes)
        spectrum = regression.Spectrum.of(gram.matrix(np.asarray(K)))
        residual = build.targets(self.cell.data, data.train.labels, build.outputs(data)) - jax.vmap(net)(X)
        alpha = build.coefficients(spectrum, words, residual.reshape(-1, 1)).reshape(residual.shape)
        return empirical.regression(net, X, alpha.astype(dtype))

    @contextmanager
    def _stage(self, name: str) -> Iterator[Any]:
        """Times a stage, and keeps what the laboratory says of what it made."""
        note: dict[str, Any] = {"key": "", "cached": False}

        def unpack(made: Made) -> Any:
            note.update(key=made.key, cached=made.cached)
            return made.value

        began = time.perf_counter()
        with CompileClock() as compiling:
            yield unpack
        seconds = time.perf_counter() - began
        self.stages[name] = {**note, "compile_s": compiling.seconds, "run_s": max(0.0, seconds - compiling.seconds)}
