"""The predictors of one run, each built when it is asked for the first time: its network, its kernels, its attacks.

`measure.py` asks it for what an analysis judges and for the attacked examples. What several runs can share (data,
infinite kernels, examples crafted on them) comes from `SharedStages`; the rest lives as long as the run.

    predictors = Predictors(shared, cell, group, tick)
    target = predictors.evaluator("self")
    threat, crafted = predictors.attacked("ntk", target)
"""

import functools
import math
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkbench.analyses.certificates.fitted import FittedKernel
from ntkbench.analyses.crafting import BudgetedAttack, Crafted
from ntkbench.analyses.evaluator import Evaluator
from ntkbench.analyses.trajectory import SeededAttack, View
from ntkbench.data import dataset
from ntkbench.errors import UsageError
from ntkbench.ntk import cheapest, empirical, features, gram, network, regression
from ntkbench.ntk.linearize import Linearized
from ntkbench.plan import timeline
from ntkbench.plan.runs import Run
from ntkbench.run.build import attacks as build_attacks
from ntkbench.run.build import networks
from ntkbench.run.build.data import outputs, targets
from ntkbench.run.build.kernels import coefficients, require_positive
from ntkbench.run.build.training import Tick, at_time
from ntkbench.run.environment import CompileClock
from ntkbench.run.group import TrainedGroup, networks_of_runs
from ntkbench.run.shared import SharedStages, StageResult
from ntkbench.spec import attacks
from ntkbench.spec.cell import Cell
from ntkbench.spec.kernels import EmpiricalKernel, InfiniteKernel
from ntkbench.spec.notation import POISON
from ntkbench.spec.training import Trained
from ntkbench.store.groups import groups
from ntkbench.store.record import StageRow


def of_earlier_run(shared: SharedStages, run: Run, together: Collection[int], every: int) -> "Predictors":
    """Return the predictors of a run that was executed before; its network is trained only if the store lacks it.

    `together`: the seeds with which its own is then trained; `every`: epochs between two checkpoints.
    """
    seeds = ()
    if run.cell.has_network:
        (seeds,) = (group for group in groups(shared.store, run.cell, {*together, run.seed}) if run.seed in group)
    networks = networks_of_runs(shared, [run], seeds, every=every, tick=_unheard)[run.id]
    return Predictors(shared, run.cell, networks.own, others=networks.others)


def _unheard(what: str) -> None:
    """Take a word of progress, and tell nobody."""


@dataclass
class Predictors:
    """The predictors of a cell at one seed, and the test examples that its attacks make on them.

    `asked` is the cell of the spec; `group` holds the networks of this seed, or is None if the cell has no width;
    `tick` is called with a few words before each part of the work and may raise to end it. `timings` collects the
    record's stages. `others` holds the further networks that are needed, of the seed that each has in this run.
    """

    shared: SharedStages
    asked: Cell
    group: TrainedGroup | None
    tick: Tick = _unheard
    timings: dict[str, StageRow] = field(default_factory=dict)
    others: Mapping[str, TrainedGroup] = field(default_factory=dict)
    _evaluators: dict[str, Evaluator] = field(default_factory=dict)
    """predictors by name, as far as they were built"""
    _systems: dict[tuple[str, bool], features.Eigensystem] = field(default_factory=dict)
    """eigensystems by kernel, and whether they have all features or those that the cell's analyses ask for"""
    _attacked: dict[tuple[str, str], tuple[BudgetedAttack, Crafted]] = field(default_factory=dict)
    """attacks and crafted test examples by attack and source"""

    @functools.cached_property
    def cell(self) -> Cell:
        """The cell that was asked for, in which kernels with time `matched` have the network's flow time."""
        return self.asked if self.group is None else at_time(self.asked, float(self.group.flow_time))

    def evaluator(self, name: str) -> Evaluator:
        """Return a predictor of the cell, with the test set, by the name that attacks and analyses use."""
        if name not in self._evaluators:
            self._evaluators[name] = self._kernel(name) if name in self.cell.kernels else self._network(name)
        return self._evaluators[name]

    @functools.cached_property
    def groups(self) -> dict[str, TrainedGroup]:
        """The networks of this run by the name that attacks and analyses use: `self`, if there is one, and further."""
        return {**({} if self.group is None else {attacks.SELF: self.group}), **self.others}

    @property
    def trainings(self) -> dict[str, Cell]:
        """The cells in which those networks of this run that were trained are the own ones, by name."""
        cells = {name: self.cell.as_own(name) for name in self.groups}
        return {name: cell for name, cell in cells.items() if isinstance(cell.training, Trained)}

    def _network(self, name: str) -> Evaluator:
        """Return the network of that name at the end of its training. Raise DivergedError if there is none."""
        return self.shared.evaluator(self.cell.as_own(name), name, self.trained(name), self.cell.numerics.network)

    def trained(self, name: str = attacks.SELF) -> network.Trainable:
        """Return a network of the run at the end of its training. Raise DivergedError if there is none."""
        if name == attacks.SELF:
            return self.network_at(timeline.moment(self.cell, "final"))
        self.others[name].require_finite(whose=f"network {name}: ")
        return self.others[name].trained

    def network_at(self, moment: Fraction) -> network.Trainable:
        """Return the run's network, or its first-order model, after `moment` epochs.

        Raise DivergedError if the loss was not finite by then.
        """
        assert self.group is not None
        self.group.require_finite(math.ceil(moment))
        return self.group.at(moment)

    def kept_network(self, at: str | int | Fraction) -> network.Trainable:
        """Return the network at `init`, `final` or an epoch.

        Raise UsageError for a moment that the run did not keep, or without a network.
        """
        if not self.cell.has_network:
            raise UsageError("this cell has no network; give it a `width`")
        try:
            moment = timeline.moment(self.cell, at if at in ("init", "final") else Fraction(at))  # type: ignore[arg-type]
        except (ValueError, ZeroDivisionError):
            raise UsageError(f"{at!r} is no moment of a training: write init, final or an epoch") from None
        ends = {Fraction(0), timeline.moment(self.cell, "final")}
        if moment not in (there := ends.union(timeline.moments_needed(self.cell))):
            raise UsageError(
                f"the run did not keep its network at epoch {moment}; it kept {', '.join(map(str, sorted(there)))}. A "
                "kernel with this epoch as its `at`, or a drift with it among its `snapshots`, keeps it"
            )
        return self.network_at(moment)

    def named_weights(self, at: str | int | Fraction) -> dict[str, np.ndarray]:
        """Return the weights of the network at a moment that the run kept, by name.

        Raise UsageError as `kept_network` does, and where the moment is one of a first-order model: it is a network and
        a displacement, not the network with other weights.
        """
        found = self.kept_network(at)
        if isinstance(found, Linearized):
            epoch = timeline.linear_from(self.cell)
            raise UsageError(
                f"the run trains a first-order model from epoch {epoch} on, which is no network with other weights; "
                f"name an epoch up to {epoch} that the run kept, such as init"
            )
        return {name: np.asarray(leaf) for name, leaf in networks.leaves(self.cell, found).items()}

    def _kernel(self, name: str) -> Evaluator:
        """Return the regression with a kernel of the cell, as an evaluator on the test set."""
        words = self.cell.kernels[name]
        self.tick(f"kernel {name}")
        with self.stage(f"kernel.{name}") as note:
            if isinstance(words, InfiniteKernel):
                predictor = note(self.shared.regression(self.cell, name))
            else:
                predictor = self._empirical_regression(name, words)
        return self.shared.evaluator(self.cell, name, predictor, self.cell.numerics.kernel)

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
        data, dtype = self.shared.data(self.cell), self.cell.numerics.kernel
        net = network.cast(self.network_at(timeline.moment(self.cell, words.at)), dtype)
        X = jnp.asarray(data.train.unit(dtype))
        K = cheapest.ntk(net, X, tile_bytes=self.shared.tile_bytes)
        kernel = cheapest.best(net, X[0], len(X))
        spectrum = regression.Spectrum.of(gram.matrix(np.asarray(K)))
        require_positive(spectrum, name, dtype)
        return kernel, X, spectrum, targets(self.cell.data, data.train.labels, outputs(data))

    def decomposed(self, name: str):
        """Return a kernel of the cell, the training examples X, its spectrum on X, and their targets Y."""
        words = self.cell.kernels[name]
        if isinstance(words, InfiniteKernel):
            return self.shared.decomposed(self.cell, name).value
        return self._empirical(name, words)

    def eigensystem(self, name: str, *, whole: bool = True) -> features.Eigensystem:
        """Return the eigensystem of a kernel, with all features or (`whole` false) those that analyses ask for."""
        if (name, whole) not in self._systems:
            self.tick(f"kernel {name}")
            with self.stage(f"spectrum.{name}") as note:
                words = self.cell.kernels[name]
                if isinstance(words, InfiniteKernel):
                    self._systems[name, whole] = note(self.shared.eigensystem(self.cell, name, whole=whole))
                else:
                    self._systems[name, whole] = self._empirical_eigensystem(name, words)
        return self._systems[name, whole]

    def fitted(self, name: str) -> FittedKernel:
        """Return an infinite kernel on the training examples, with the filter of its time and ridge."""
        data, words = self.shared.data(self.cell), self.cell.kernels[name]
        assert isinstance(words, InfiniteKernel)
        self.tick(f"kernel {name}")
        with self.stage(f"spectrum.{name}") as note:
            kernel, X, spectrum, Y = note(self.shared.decomposed(self.cell, name))
            g = regression.flow(float(words.time), words.ridge)
            alpha = self.shared.solved(self.cell, name).value if words.fit else coefficients(spectrum, words, Y)
        filtered = spectrum.filtered(g)
        return FittedKernel(name, kernel, X, spectrum, filtered, alpha, data.train.labels, len(data.classes))

    def attacked(self, attack_id: str, target: Evaluator) -> tuple[BudgetedAttack, Crafted]:
        """Return an attack and the test examples that it made; each attack is made once for each source.

        An attack without a gradient (random signs) has no source: it is made in the precision of `target`.
        """
        threat = build_attacks.attack(self.cell, attack_id)
        source = target if threat.objective is None else self.evaluator(threat.source)
        if (attack_id, source.name) not in self._attacked:
            self.tick(f"attack {attack_id}")
            with self.stage(f"craft.{attack_id}") as note:
                made = note(self.shared.crafted(self.asked, threat, source))
            self._attacked[attack_id, source.name] = threat, made
        return self._attacked[attack_id, source.name]

    def seeded_attack(self, attack_id: str | None) -> SeededAttack | None:
        """Return the attack with its random key; None if no attack is named."""
        if attack_id is None:
            return None
        return SeededAttack(build_attacks.attack(self.cell, attack_id), build_attacks.attack_key(self.cell, attack_id))

    def poisoned(self) -> dict[str, np.ndarray]:
        """Return the poisoned training images, and what is known of how they were made."""
        self.tick(POISON)
        first = self.timings.get(POISON)  # they are asked for before a training, and again after it
        with self.stage(POISON) as note:
            made = note(self.shared.poisoned(self.cell))
        self.timings[POISON] = first or self.timings[POISON]
        return made

    def split(self, name: str) -> dataset.Split:
        """Return the training or the test examples."""
        data = self.shared.data(self.cell)
        return {"train": data.train, "test": data.test}[name]

    def view(self, examples: dataset.Split, dtype: str) -> View:
        """Return a function that gives a predictor, cast to `dtype`, as an evaluator on these examples."""

        def on(predictor: network.Trainable) -> Evaluator:
            predictor = network.cast(predictor, dtype)
            return self.shared.evaluator(self.cell, attacks.SELF, predictor, dtype, examples)

        return on

    @contextmanager
    def stage(self, name: str) -> Iterator[Any]:
        """Time the block as the stage `name`, split into compilation and the rest.

        Yield a function that unwraps what `SharedStages` returned, and notes its key and whether it was in the store.
        """
        note: dict[str, Any] = {"key": "", "cached": False}

        def unpack(made: StageResult) -> Any:
            note.update(key=made.key, cached=made.cached)
            return made.value

        began = time.perf_counter()
        with CompileClock() as compiling:
            yield unpack
        seconds = time.perf_counter() - began
        self.timings[name] = StageRow(**note, compile_s=compiling.seconds, run_s=max(0.0, seconds - compiling.seconds))
