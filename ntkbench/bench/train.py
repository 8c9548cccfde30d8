"""Trained networks, from the store or newly made.

The seeds of a cell train together, and which of them did is part of a result's last bits. So the *group* is
what is stored, what a checkpoint belongs to, and what is resumed.
"""

import time
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ntkbench.bench import build, spec
from ntkbench.bench.build import Tick
from ntkbench.bench.groups import group_key
from ntkbench.bench.store import Store
from ntkbench.data.dataset import Dataset
from ntkbench.errors import NtkbenchError, NumericsError
from ntkbench.ntk import empirical, linearize, training
from ntkbench.ntk.network import Network, Trainable, with_weights

_PER_SEED = ("learning_rate", "largest_eigenvalue")


@dataclass(frozen=True)
class Group:
    """The networks of some seeds of a cell: at init and trained, stacked in the order of the seeds."""

    seeds: tuple[int, ...]
    initial: Network
    trained: Trainable
    key: str
    cached: bool
    facts: dict[str, Any]
    losses: np.ndarray
    """of every epoch, those before the linearization included"""

    def of(self, seed: int) -> "Group":
        """The networks of one seed alone, not stacked."""
        i = self.seeds.index(seed)
        own = {name: values[i] for name in _PER_SEED if (values := self.facts.get(name)) is not None}
        one, two = build.at(self.initial, i), build.at(self.trained, i)
        return Group((seed,), one, two, self.key, self.cached, {**self.facts, **own}, self.losses[i])

    def at(self, moment: Fraction) -> Trainable:
        """The network of a seed alone at an epoch."""
        ends = {Fraction(0): self.initial, Fraction(len(self.losses)): self.trained}
        if moment not in ends:
            raise NtkbenchError(
                f"the network at epoch {moment} was not kept: only 0 and the end, {len(self.losses)}, are"
            )
        return ends[moment]


def train(store: Store, cell: spec.Cell, seeds: tuple[int, ...], data: Dataset, *, every: int, tick: Tick) -> Group:
    """The group, loaded if it is stored, else trained from its last checkpoint on."""
    words = cell.training
    initial = build.networks(cell, seeds, data.train.images.shape[1:], build.outputs(data))
    if isinstance(words, spec.Untrained):
        return Group(seeds, initial, initial, "", False, {}, np.zeros((len(seeds), 0)))
    anchor, stretch, losses = initial, words, np.zeros((len(seeds), 0))
    start: Trainable = anchor
    if words.linearize_at is not None:
        if words.linearize_at > 0:
            before = words.model_copy(update={"epochs": words.linearize_at, "linearize_at": None, "centered": False})
            earlier = cell.model_copy(update={"training": before})
            reached = train(store, earlier, seeds, data, every=every, tick=tick)
            anchor, losses = reached.trained, reached.losses
        start = eqx.filter_vmap(lambda net: linearize.linearize(net, centered=words.centered))(anchor)
        stretch = words.model_copy(update={"epochs": words.epochs - words.linearize_at})
    key = group_key(cell, seeds)
    with store.lock(f"training-{key}"):  # cells that are linearized at different epochs share their beginning
        stored = store.load("training", key)
        cached = stored is not None
        if stored is None:
            _fit(store, key, cell, stretch, anchor, start, seeds, data, every=every, tick=tick)
            stored = store.load("training", key)
            assert stored is not None
    weights = _unflatten(stored.arrays, "weights", start.weights)
    losses = np.concatenate([losses, stored.arrays["losses"]], axis=1)
    return Group(seeds, initial, with_weights(start, weights), key, cached, stored.facts, losses)


def _fit(store, key, cell, words, anchor, predictors, seeds, data, *, every, tick):
    began = time.perf_counter()
    X, labels = jnp.asarray(data.train.unit(cell.numerics.network)), jnp.asarray(data.train.labels)
    rates, eigenvalues = _learning_rates(words, anchor, X, seeds, build.outputs(data))
    purpose = "order" if words.linearize_at is None else "order linearized"
    problem = training.Problem(
        build.training_loss(cell, words),
        build.optimizer(words.optimizer),
        words.batch_size or len(data.train),
        X,
        labels,
        rates,
        jnp.stack([build.stream(seed, purpose) for seed in seeds]),
    )
    state = begin = _resumed(store, key, training.start(problem, predictors, words.epochs))
    for state in training.states(problem, predictors, begin, every=every):
        epoch = int(state.epoch)
        loss = np.asarray(state.losses[:, epoch - 1])
        if not np.isfinite(loss).any():
            break
        if epoch < words.epochs:
            _checkpoint(store, key, state)  # first, since the tick may end it all
            tick(f"epoch {epoch} of {words.epochs}, loss {loss.mean():.4g}")
    facts = {
        "seeds": list(seeds),
        "learning_rate": np.asarray(rates, float).tolist(),
        "largest_eigenvalue": eigenvalues,
        "epochs": words.epochs,
        "seconds": time.perf_counter() - began,
    }
    store.save("training", key, {**_flatten(state.weights, "weights"), "losses": np.asarray(state.losses)}, facts)
    for old in store.keys("checkpoint", key + "@"):
        store.discard("checkpoint", old)


def _learning_rates(words, anchor, X, seeds, outputs):
    """auto: n / (curvature lambda_1), half of what descent on the kernel of the weights at its start would bear."""
    if words.optimizer.learning_rate != "auto":
        return jnp.full((len(seeds),), words.optimizer.learning_rate, X.dtype), None
    keys = jnp.stack([build.stream(seed, "power iteration") for seed in seeds])
    eigenvalues = _largest_eigenvalues(anchor, keys, X)
    if not np.all((eigenvalues > 0) & (eigenvalues < np.inf)):
        raise NumericsError(
            f"no learning rate follows from {eigenvalues.tolist()}, the largest eigenvalues of the networks' kernels; "
            "set training.optimizer.learning_rate to a number instead of auto"
        )
    return len(X) / (build.curvature(words, outputs) * eigenvalues), np.asarray(eigenvalues, float).tolist()


@eqx.filter_jit
def _largest_eigenvalues(networks, keys, X):
    return eqx.filter_vmap(lambda net, key: empirical.largest_eigenvalue(net, X, key=key))(networks, keys)


def _checkpoint(store: Store, key: str, state: training.State) -> None:
    """The new one is whole before the old ones go."""
    old = store.keys("checkpoint", key + "@")
    store.save("checkpoint", f"{key}@{int(state.epoch):09d}", _flatten(state, "state"))
    for name in old:
        store.discard("checkpoint", name)


def _resumed(store: Store, key: str, state: training.State) -> training.State:
    for name in reversed(store.keys("checkpoint", key + "@")):
        stored = store.load("checkpoint", name)
        if stored is not None:
            return _unflatten(stored.arrays, "state", state)
    return state


def _flatten(tree: Any, name: str) -> dict[str, np.ndarray]:
    return {f"{name}.{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(tree))}


def _unflatten(arrays: dict[str, np.ndarray], name: str, like: Any) -> Any:
    leaves, structure = jax.tree.flatten(like)
    kept = [jnp.asarray(arrays[f"{name}.{i}"], leaf.dtype) for i, leaf in enumerate(leaves)]
    return jax.tree.unflatten(structure, kept)
