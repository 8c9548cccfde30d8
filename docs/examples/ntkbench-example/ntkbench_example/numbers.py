"""What becomes of the words; imported when a run needs it."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ntkbench.analyses.accuracy import Attacked, share
from ntkbench.analyses.evaluator import Evaluator
from ntkbench.analyses.measurement import Measurement, Scalar
from ntkbench.data.dataset import Dataset, Split
from ntkbench.ntk import losses
from ntkbench.ntk.attacks import Attack, Objective
from ntkbench.ntk.balls import Ball
from ntkbench_example import words


def equinox_mlp(said: words.EquinoxMLP, outputs: int) -> tuple[Callable[..., eqx.nn.MLP], Callable[..., jax.Array]]:
    """Return how the network is drawn, and how its outputs for one image are computed."""

    def init(key: jax.Array, shape: tuple[int, ...], width: int) -> eqx.nn.MLP:
        return eqx.nn.MLP(math.prod(shape), outputs, width, said.depth, key=key)

    def apply(network: eqx.nn.MLP, x: jax.Array) -> jax.Array:
        return network(x.ravel())

    return init, apply


class MomentumIterative(Attack):
    """m <- decay m + g / |g|_1; then a step of eps / steps along the steepest direction of m."""

    ball: Ball = eqx.field(static=True)
    objective: Objective
    steps: int = eqx.field(static=True)
    decay: float = eqx.field(static=True)

    def __call__(self, predictor, x, label, eps, *, key):
        gradient = self.objective.gradient(predictor, x, label)

        def step(_, state):
            adv, momentum = state
            g = gradient(adv)
            momentum = self.decay * momentum + g / jnp.maximum(jnp.sum(jnp.abs(g)), jnp.finfo(g.dtype).tiny)
            return self.ball.project(adv + eps / self.steps * self.ball.steepest(momentum), x, eps), momentum

        return jax.lax.fori_loop(0, self.steps, step, (x, jnp.zeros_like(x)))[0]


def mim(said: words.MIM, ball: Ball, objective: Objective) -> Attack:
    return MomentumIterative(ball, objective, said.steps, said.decay)


def noise(said: words.Noise, target: Evaluator, attacked: Sequence[Attacked]) -> Measurement:
    drawn = said.sd * jax.random.normal(jax.random.key(0), target.X.shape, target.X.dtype)
    noisy = jnp.clip(target.X + drawn, 0, 1)
    clean, robust = target.correct(jnp.stack([target.X, noisy]))
    where = {"target": target.name, "noise": str(said.sd)}
    margins = -jax.vmap(lambda x, label: losses.margin(target.predictor(x), label))(noisy, target.labels)
    scalars = (
        share("accuracy", clean, {"target": target.name}),
        share("robust_accuracy", robust, where),
        Scalar.mean("mean_margin", np.asarray(margins), where),
    )
    return Measurement(scalars, samples={"clean": clean, "noisy": robust})


def stripes(said: words.Stripes, roots: Sequence[Path]) -> Dataset:
    entry = said.entry
    lines = np.arange(said.side) % 2
    pictures = np.stack([np.broadcast_to(lines[:, None], (said.side, said.side)), np.tile(lines, (said.side, 1))])

    def split(key: int, counts: tuple[int, ...]) -> Split:
        labels = np.arange(sum(counts)) % 2
        noisy = pictures[labels] + said.sd * np.random.default_rng(key).standard_normal(
            (len(labels), *pictures[0].shape)
        )
        return Split(np.clip(noisy, 0, 1)[..., None], labels, np.arange(len(labels)))

    return Dataset(split(0, entry.train_counts), split(1, entry.test_counts), entry.classes)
