"""Train the networks of a cell, its own and further ones, or load them from the store.

The seeds of a group train together in one program, and which seeds these are affects the last bits of the results. So
the group is what is stored, what a checkpoint belongs to, and what is resumed. `Worker` calls `networks_of_runs` for
the runs whose own networks are a group.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import groupby
from typing import Any

import equinox as eqx
import numpy as np

from ntkbench.errors import DivergedError
from ntkbench.ntk import linearize
from ntkbench.ntk.network import Trainable
from ntkbench.plan import timeline
from ntkbench.plan.keys import group_key, networks_needed
from ntkbench.plan.runs import Run
from ntkbench.run.build import networks as build_networks
from ntkbench.run.build import training
from ntkbench.run.build.training import Tick
from ntkbench.run.environment import CompileClock
from ntkbench.run.phase import TrainingPhase
from ntkbench.run.shared import SharedStages
from ntkbench.spec.attacks import SELF
from ntkbench.spec.cell import Cell
from ntkbench.spec.training import Trained
from ntkbench.store.groups import groups
from ntkbench.store.record import StageRow

_PER_SEED = ("learning_rate", "largest_eigenvalue", "epochs_trained")
"""facts of a stored training that have one value a seed"""


@dataclass(frozen=True)
class TrainedGroup:
    """The networks of some seeds of a cell before, during and after training.

    Networks and predictors are stacked: their arrays have a first axis for the seeds, in the order of `seeds`.
    """

    seeds: tuple[int, ...]
    initial: Trainable
    """networks at initialization"""
    trained: Trainable
    """predictors at the end of the training; first-order models if it was linearized"""
    key: str
    """name of the group in the store; empty without training"""
    cached: bool
    """true if the store had the trained networks already"""
    facts: dict[str, Any]
    """notes of the store on the training: seeds, learning rates, epochs, steps"""
    losses: np.ndarray
    """(seeds, epochs): mean loss of every epoch of all phases"""
    epochs: np.ndarray
    """(seeds,): number of epochs in which the weights moved"""
    flow_time: np.ndarray
    """(seeds,): gradient-flow time that these correspond to; NaN where the optimizer follows no flow"""
    snapshots: Mapping[Fraction, Callable[[], Trainable]]
    """functions that load the predictors of a moment: there may be many, so they stay in the store till asked for"""

    def at(self, moment: Fraction) -> Trainable:
        """Return the predictors after `moment` epochs: a moment that was asked for, the start or the end."""
        return self.snapshots[moment]()

    def require_finite(self, epochs: int | None = None, whose: str = "") -> None:
        """Raise DivergedError if a loss of one seed's training is not finite in its first `epochs` (None: in all).

        `whose` begins the message.
        """
        losses = self.losses[:epochs]
        if losses.size and not np.all(np.isfinite(losses)):
            epoch, rate = int(np.argmin(np.isfinite(losses))), self.facts["learning_rate"]
            raise DivergedError(
                f"{whose}the loss is not finite from epoch {epoch + 1} on (learning rate {rate:.3g}); "
                "try a smaller training.optimizer.learning_rate"
            )

    def of(self, seed: int) -> "TrainedGroup":
        """Return the networks of one seed alone, without the axis for seeds."""
        i = self.seeds.index(seed)
        own = {name: values[i] for name in _PER_SEED if (values := self.facts.get(name)) is not None}
        return replace(
            self,
            seeds=(seed,),
            initial=build_networks.unstack(self.initial, i),
            trained=build_networks.unstack(self.trained, i),
            facts={**self.facts, **own},
            losses=self.losses[i],
            epochs=np.asarray(self.epochs[i]),
            flow_time=np.asarray(self.flow_time[i]),
            snapshots={moment: partial(_one_of, stacked, i) for moment, stacked in self.snapshots.items()},
        )


def _one_of(stacked: Callable[[], Trainable], i: int) -> Trainable:
    return build_networks.unstack(stacked(), i)


def train(
    shared: SharedStages,
    cell: Cell,
    seeds: tuple[int, ...],
    moments: Collection[Fraction] = (),
    *,
    every: int,
    tick: Tick,
) -> TrainedGroup:
    """Return the trained group, from the store as far as it has it, else trained on from its last stored state.

    A cell whose training has several phases has what comes before the last trained by a call of its own.

    Args:
        shared: has the store, the data set of the cell, and the networks before their training.
        cell: the experiment; without training (`mode: none`) its networks stay as they are at first.
        seeds: the seeds that train together.
        moments: epochs since the start at which the predictors are to be kept.
        every: the number of epochs between two checkpoints.
        tick: called with a line of progress; what it raises ends the training, after a checkpoint.
    """
    initial, store, data = shared.networks(cell, seeds), shared.store, shared.data(cell)
    snapshots: dict[Fraction, Callable[[], Trainable]] = {Fraction(0): lambda: initial}
    losses = np.zeros((len(seeds), 0))
    epochs, flow_time = np.zeros(len(seeds), int), np.zeros(len(seeds))
    words = cell.training
    if not isinstance(words, Trained):
        return TrainedGroup(seeds, initial, initial, "", False, {}, losses, epochs, flow_time, snapshots)
    networks: Trainable = initial
    if (earlier := timeline.before_last_phase(cell)) is not None:
        before = [moment for moment in moments if timeline.phase_and_step(cell, moment)[0] != cell]
        reached = train(shared, earlier, seeds, before, every=every, tick=tick)
        networks, losses, snapshots = reached.trained, reached.losses, {**reached.snapshots}
        epochs, flow_time = reached.epochs, reached.flow_time
    start, here = networks, timeline.last_phase(cell)
    if here.linearizes:
        centered = here.words.linearize == "centered"
        start = eqx.filter_vmap(lambda net: linearize.linearize(net, centered=centered))(networks)
    phase = TrainingPhase(store, group_key(cell, seeds), cell, seeds, networks, start)
    steps = {moment: timeline.phase_and_step(cell, moment)[1] for moment in moments if moment not in snapshots}
    inside = {step for step in steps.values() if 0 < step < phase.last}
    stored, cached = phase.run_to(inside, data, every=every, tick=tick)
    trained = phase.restored(stored)
    ends: dict[int, Callable[[], Trainable]] = {0: lambda: start, phase.last: lambda: trained}
    snapshots |= {moment: ends.get(step) or partial(phase.at, step) for moment, step in steps.items()}
    snapshots[Fraction(words.epochs)] = ends[phase.last]
    if here.linearizes and here.words.linearize == "centered":  # without its constant it is another function there
        snapshots[Fraction(here.start)] = ends[0]
    own = training.epochs_trained(cell, stored.arrays["losses"])
    flow_time = flow_time + training.flow_time(cell, stored.facts["learning_rate"], own)
    losses = np.concatenate([losses, stored.arrays["losses"]], axis=1)
    facts = {**stored.facts, "epochs_trained": own.tolist()}
    return TrainedGroup(seeds, initial, trained, phase.key, cached, facts, losses, epochs + own, flow_time, snapshots)


@dataclass(frozen=True)
class RunNetworks:
    """The networks of one run: its own, further ones by id, and what its record says of their training."""

    own: TrainedGroup | None = None
    others: Mapping[str, TrainedGroup] = field(default_factory=dict)
    stages: Mapping[str, StageRow] = field(default_factory=dict)


def networks_of_runs(
    shared: SharedStages, runs: Sequence[Run], own_seeds: tuple[int, ...], *, every: int, tick: Tick
) -> dict[str, RunNetworks]:
    """Return the networks of some runs by the id of the run, trained where the store does not have them.

    Args:
        shared: has the store, the data sets, and the networks before their training.
        runs: runs with one training of their own network, if they have one; further networks may differ.
        own_seeds: the seeds of the group that the runs' own networks are in; it may have more seeds than there are
            runs. Empty if they have none.
        every: the number of epochs between two checkpoints.
        tick: called with a line of progress, as in `train`.
    """
    moments = {moment for run in runs for moment in timeline.moments_needed(run.cell)}

    def trained(cell: Cell, name: str, seeds: tuple[int, ...]) -> tuple[TrainedGroup, StageRow]:
        began, said = time.perf_counter(), (lambda what: tick(what if name == SELF else f"network {name}, {what}"))
        with CompileClock() as compiling:
            group = train(shared, cell, seeds, moments if name == SELF else (), every=every, tick=said)
        run_s = max(0.0, time.perf_counter() - began - compiling.seconds)
        return group, StageRow(key=group.key, cached=group.cached, compile_s=compiling.seconds, run_s=run_s)

    own = trained(runs[0].cell, SELF, own_seeds) if runs[0].cell.has_network else None
    found = {}
    for cell, same in groupby(runs, key=lambda run: run.cell):
        members, there = tuple(same), {} if own is None else {SELF: [own]}
        for name in networks_needed(cell):
            if name != SELF:
                other, seeds = cell.as_own(name), {cell.seed_of(name, run.seed) for run in members}
                there[name] = [trained(other, name, each) for each in groups(shared.store, other, seeds)]
        found |= {run.id: _of_run(run, there) for run in members}
    return found


def _of_run(run: Run, there: Mapping[str, Sequence[tuple[TrainedGroup, StageRow]]]) -> RunNetworks:
    """Return the networks of one run out of groups, with the times of their training, by the id of the network."""
    networks, stages = {}, {}
    for name, several in there.items():
        seed = run.cell.seed_of(name, run.seed)
        group, stage = next(each for each in several if seed in each[0].seeds)
        networks[name] = group.of(seed)
        word = "training" if name == SELF else f"network.{name}"
        stages[word] = stage.model_copy(update={"facts": networks[name].facts})
    return RunNetworks(networks.pop(SELF, None), networks, stages)
