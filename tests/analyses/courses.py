"""A small network along a training by hand, and what its kernel is taken on."""

import functools
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkbench.analyses.crafting import BudgetedAttack
from ntkbench.analyses.evaluator import Evaluator
from ntkbench.analyses.trajectory import SeededAttack, Trajectory, View
from ntkbench.ntk import architectures, attacks, balls, linearize, losses, network
from ntkbench.ntk.network import Trainable
from tests.analyses.subjects import budgets
from tests.ntk.predictors import drawn

MOMENTS = tuple(map(Fraction, ("0", "1/4", "1", "2", "5")))
N, TESTS, DIM = 12, 30, 4
OBJECTIVE = attacks.Objective(losses.cross_entropy)


def clouds(n: int, classes: int, seed: int) -> tuple[jax.Array, np.ndarray]:
    rng, labels = np.random.default_rng(seed), np.arange(n) % classes
    centers = np.random.default_rng(9).random((classes, DIM))
    return jnp.asarray(np.clip(0.25 + centers[labels] / 2 + 0.1 * rng.standard_normal((n, DIM)), 0, 1))[
        :, None, None, :
    ], labels


def view(n: int, classes: int, seed: int) -> View:
    X, labels = clouds(n, classes, seed)
    return lambda predictor: Evaluator("self", predictor, X, jnp.asarray(labels), n)


@functools.cache
def targets(classes: int) -> np.ndarray:
    labels = np.arange(N) % classes
    return 2.0 * labels[:, None] - 1 if classes == 2 else np.eye(classes)[labels]


@functools.cache
def way(classes: int = 3, linear: bool = False) -> dict[Fraction, Trainable]:
    """Gradient descent with a step of 0.2 every quarter of an epoch."""
    X, labels = clouds(N, classes, 0)
    start = drawn(architectures.fc(6, 1 if classes == 2 else classes, depth=1, b_std=0.1), X.shape[1:])
    start = linearize.linearize(start) if linear else start

    @jax.jit
    def step(weights):
        def loss(weights):
            outputs = jax.vmap(network.with_weights(start, weights))(X)
            return jnp.mean(jax.vmap(losses.cross_entropy)(outputs, jnp.asarray(labels)))

        return jax.tree.map(lambda w, g: w - 0.2 * g, weights, jax.grad(loss)(weights))

    weights, found = start.weights, {}
    for quarter in range(int(4 * MOMENTS[-1]) + 1):
        found[Fraction(quarter, 4)] = network.with_weights(start, weights)
        weights = step(weights)
    return found


def trajectory(classes: int = 3, at: Callable[[Fraction], Trainable] | None = None, **how: Any) -> Trajectory:
    at = at or way(classes).__getitem__
    settings: dict[str, Any] = {"layout": "full", "top": (2, 5), "tile_bytes": 1e6, "kernel_bytes": 1e9}
    return Trajectory(MOMENTS, at, view(N, classes, 0), targets(classes), **(settings | how))


def seeded_attack(id: str = "own", eps: Sequence[str] = ("1/50", "1/10")) -> SeededAttack:
    attack = attacks.FGSM(balls.Linf(), OBJECTIVE)
    return SeededAttack(BudgetedAttack(id, "self", budgets(*eps), attack, OBJECTIVE), jax.random.key(0))
