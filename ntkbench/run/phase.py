"""Train one phase of a training: from its start, or from the latest of its states in the store, to its end.

`plan/timeline.py` says which phases a training has. Checkpoints are states on the way, and go
when the end is reached; snapshots are states that an analysis looks back at, and stay. Each is whole before training
goes on, so that a kill costs only what came after it.
"""

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ntkbench.data.dataset import Dataset
from ntkbench.errors import NumericsError
from ntkbench.ntk import empirical, training
from ntkbench.ntk.network import Trainable, with_weights
from ntkbench.plan import timeline
from ntkbench.plan.keys import state_key
from ntkbench.run.build import losses
from ntkbench.run.build.data import outputs
from ntkbench.run.build.networks import stream
from ntkbench.run.build.training import Tick, inner, optimizer
from ntkbench.spec.cell import Cell
from ntkbench.spec.training import Phase
from ntkbench.store.groups import kept_steps
from ntkbench.store.store import Store, Stored

# Adaptive intervals of a training: how many steps until it next reports, and when to save its state.
#
# `training.states` takes a `CheckpointPace` as its argument `most`; the loop around it asks a `CheckpointSchedule`
# after each report.


_SECONDS = 2.0
"""seconds of training between two reports, about"""
_FASTER = 4
"""largest factor by which the number of steps grows at once; the first steps are slow, as they are compiled"""
_KEPT = 5.0
"""least number of seconds between two saved states"""
_SHARE = 20
"""least ratio of the time between two saved states to the time that saving takes, so that it costs 5 % at most"""


@dataclass
class CheckpointPace:
    """The number of training steps that take about `_SECONDS`, estimated from the steps since the last call."""

    _most: int = 1
    _before: tuple[int, float] | None = None

    def __call__(self, step: int) -> int:
        """Return how many steps to take at most from `step`, the number of steps done so far."""
        now = time.perf_counter()
        if self._before is not None:
            steps, seconds = step - self._before[0], max(now - self._before[1], 1e-9)
            self._most = max(1, int(min(_FASTER * self._most, _SECONDS * steps / seconds)))
        self._before = step, now
        return self._most


@dataclass
class CheckpointSchedule:
    """A clock that tells whether enough time has passed since the last saved state to save another."""

    _last: float = field(default_factory=lambda: time.perf_counter())
    _took: float = 0.0

    @property
    def is_due(self) -> bool:
        """Return whether the next state should be saved, by the time since the last save and the time that it took."""
        return time.perf_counter() - self._last > max(_KEPT, _SHARE * self._took)

    def kept(self, took: float) -> None:
        """Note that a state was saved just now, which took so many seconds."""
        self._last, self._took = time.perf_counter(), took


@dataclass(frozen=True)
class TrainingPhase:
    """The last phase of a cell's training, for some seeds that train together."""

    store: Store
    key: str
    """the key of the group of seeds in the store, see `groups.group_key`"""
    cell: Cell
    seeds: tuple[int, ...]
    networks: Trainable
    """the seeds' networks where the phase starts, stacked"""
    start: Trainable
    """what is trained, stacked: these networks, or their first-order models"""

    @property
    def last(self) -> int:
        """Number of steps of the phase."""
        return self.words.epochs * timeline.steps(self.cell)

    @property
    def words(self) -> Phase:
        """Return what the phase minimizes, how, and for how long."""
        return timeline.last_phase(self.cell).words

    def run_to(self, snapshots: Collection[int], data: Dataset, *, every: int, tick: Tick) -> tuple[Stored, bool]:
        """Return the end of the phase, trained where the store does not have it, and whether it was there already.

        Args:
            snapshots: steps on the way whose states are kept, too, for `at`
            data: the examples
            every: epochs between two checkpoints, at most
            tick: is told how far the training is, and may raise to end it; the state is then kept
        """
        with self.store.lock(f"training-{self.key}"):  # one phase can begin several cells' trainings
            stored = self.store.load("training", self.key)
            cached = stored is not None
            lacking = {step for step in snapshots if self._load("snapshot", step) is None}
            if stored is None or (lacking and _is_finite(stored)):
                self._train(lacking if cached else {*lacking, self.last}, data, every=every, tick=tick)
                stored = self.store.load("training", self.key)
                assert stored is not None
            for left in self.store.keys("checkpoint", f"{self.key}@"):  # a kill just here leaves some, too
                self.store.discard("checkpoint", left)
            return stored, cached

    def restored(self, stored: Stored) -> Trainable:
        """Return the predictors with the weights of an object: of the end, or of a snapshot."""
        return with_weights(self.start, _unflatten(stored.arrays, "weights", self.start.weights))

    def at(self, step: int) -> Trainable:
        """Return the predictors after so many steps, one of the snapshots that `reach` was asked for."""
        stored = self._load("snapshot", step)
        assert stored is not None
        return self.restored(stored)

    def _load(self, stage: str, step: int) -> Stored | None:
        return self.store.load(stage, state_key(self.key, step))

    def _train(self, goals: Collection[int], data: Dataset, *, every: int, tick: Tick) -> None:
        """Train to each of the steps `goals`, and keep the states there and at checkpoints on the way."""
        began = time.perf_counter()
        problem, facts = self._problem(data)
        state = begin = training.start(problem, self.start, self.words.epochs)
        keeping = CheckpointSchedule()
        for state in self._states(problem, begin, sorted(goals), every):
            step, loss = int(state.step), _loss(problem, state)
            if step < self.last:
                regular = step in goals or step % (every * problem.steps) == 0
                if due := regular or keeping.is_due:  # before the tick, which may end the training
                    keeping.kept(self._keep("snapshot" if step in goals else "checkpoint", step, state))
                done = Fraction(step, problem.steps)
                epoch = done if regular else f"{float(done):.1f}"
                try:
                    tick(f"epoch {epoch} of {self.words.epochs}, loss {loss.mean():.4g}")
                except BaseException:
                    if not due:
                        self._keep("checkpoint", step, state)
                    raise
        if self.last in goals:
            arrays = {**_flatten(state.weights, "weights"), "losses": np.asarray(state.losses)}
            self.store.save("training", self.key, arrays, {**facts, "seconds": time.perf_counter() - began})

    def _problem(self, data: Dataset) -> tuple[training.TrainingProblem, dict[str, Any]]:
        """Return what is minimized, and the facts that a record tells of it."""
        words, name = self.words, timeline.last_phase(self.cell).stream
        X = jnp.asarray(data.train.unit(self.cell.numerics.network))
        rates, eigenvalues = _learning_rates(words, self.networks, X, self.seeds, outputs(data))
        order, attack = (
            jnp.stack([stream(seed, purpose + name) for seed in self.seeds]) for purpose in ("order", "inner attack")
        )
        problem = training.TrainingProblem(
            losses.training_loss(self.cell, words),
            optimizer(self.cell),
            words.batch_size or len(data.train),
            X,
            jnp.asarray(data.train.labels),
            rates,
            order,
            inner(self.cell, attack),
            timeline.drops_last(self.cell),
            None if words.until is None else jnp.asarray(words.until.loss, X.dtype),
        )
        return problem, {
            "seeds": list(self.seeds),
            "learning_rate": np.asarray(rates, float).tolist(),
            "largest_eigenvalue": eigenvalues,
            "epochs": self.words.epochs,
            "steps_per_epoch": problem.steps,
            "steps": self.last,
        }

    def _states(
        self, problem: training.TrainingProblem, state: training.State, goals: Collection[int], every: int
    ) -> Iterator[training.State]:
        """Yield the states on the way to each of the goals, until no seed has a finite loss."""
        for goal in goals:
            state = begin = self._latest(state, goal)
            if int(state.step) == goal:
                yield state
            for state in training.states(problem, self.start, begin, every=every, until=goal, most=CheckpointPace()):
                yield state
                if not np.isfinite(_loss(problem, state)).any():
                    return

    def _latest(self, state: training.State, goal: int) -> training.State:
        """Return the whole state in the store that is furthest on the way to the goal; `state` where none is
        further."""
        there = {
            (step, stage) for stage in ("checkpoint", "snapshot") for step in kept_steps(self.store, stage, self.key)
        }
        for step, stage in sorted(there, reverse=True):
            if int(state.step) < step <= goal and (stored := self._load(stage, step)) is not None:
                parts = state._asdict().items()
                return training.State(**{name: _unflatten(stored.arrays, name, like) for name, like in parts})
        return state

    def _keep(self, stage: str, step: int, state: training.State) -> float:
        """Save a state and remove earlier checkpoints; return the seconds that it took.

        The new object is whole before the old ones go.
        """
        began = time.perf_counter()
        arrays = {key: leaf for name, part in state._asdict().items() for key, leaf in _flatten(part, name).items()}
        self.store.save(stage, state_key(self.key, step), arrays)
        for earlier in kept_steps(self.store, "checkpoint", self.key):
            if earlier < step:
                self.store.discard("checkpoint", state_key(self.key, earlier))
        return time.perf_counter() - began


def _loss(problem: training.TrainingProblem, state: training.State) -> np.ndarray:
    """Return each seed's mean loss in the epoch that has just ended; within an epoch, what its batches have added so
    far."""
    return np.asarray(state.losses[:, (int(state.step) - 1) // problem.steps])


def _is_finite(stored: Stored) -> bool:
    """Return whether some seed has finite losses throughout; where none has, nobody looks back."""
    return bool(np.isfinite(stored.arrays["losses"]).all(axis=1).any())


def _learning_rates(words, networks, X, seeds, outputs):
    """Return the learning rate of each seed, and the eigenvalues that `auto` takes it from (else None).

    `auto` is n / (curvature lambda_1), with lambda_1 of the network's kernel on the n examples where the phase
    starts: half of the rate up to which gradient descent on that kernel is stable. Raises NumericsError where an
    eigenvalue is not positive and finite.
    """
    if words.optimizer.learning_rate != "auto":
        return jnp.full((len(seeds),), words.optimizer.learning_rate, X.dtype), None
    keys = jnp.stack([stream(seed, "power iteration") for seed in seeds])
    eigenvalues = _largest_eigenvalues(networks, keys, X)
    if not np.all((eigenvalues > 0) & (eigenvalues < np.inf)):
        raise NumericsError(
            f"no learning rate follows from {eigenvalues.tolist()}, the largest eigenvalues of the networks' kernels; "
            "set training.optimizer.learning_rate to a number instead of auto"
        )
    return len(X) / (losses.curvature(words, outputs) * eigenvalues), np.asarray(eigenvalues, float).tolist()


@eqx.filter_jit
def _largest_eigenvalues(networks, keys, X):
    """Return lambda_1 of the kernel of each of the stacked networks on the examples X; one random key each."""
    return eqx.filter_vmap(lambda net, key: empirical.largest_eigenvalue(net, X, key=key))(networks, keys)


def _flatten(tree: Any, name: str) -> dict[str, np.ndarray]:
    """Return the leaves of a PyTree as named arrays, for the store: `name.0`, `name.1`, ..."""
    return {f"{name}.{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(tree))}


def _unflatten(arrays: dict[str, np.ndarray], name: str, like: Any) -> Any:
    """Return the PyTree whose leaves `_flatten` named, with the structure and the types of `like`."""
    leaves, structure = jax.tree.flatten(like)
    kept = [jnp.asarray(arrays[f"{name}.{i}"], leaf.dtype) for i, leaf in enumerate(leaves)]
    return jax.tree.unflatten(structure, kept)
