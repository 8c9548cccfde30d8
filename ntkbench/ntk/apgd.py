"""APGD: projected gradient ascent with momentum that halves its own step (Croce & Hein 2020, algorithm 1).

The step is halved at a checkpoint where the loss rose too seldom since the last one, or where neither step nor best
image have changed; the search then goes on from the best image. It has no step size to choose, and as many gradients
as steps. Checked as soon as the loss at a checkpoint is known, as in the authors' code.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ntkbench.ntk import attacks, losses
from ntkbench.ntk.attacks import Attack, Objective, Score
from ntkbench.ntk.balls import Ball, Eps, Image
from ntkbench.ntk.network import Predictor

MOMENTUM = 0.75
"""alpha: the share of the new step"""
RISES = 0.75
"""rho: the share of steps that must raise the loss, or the step is halved"""


class Targets(eqx.Module):
    """Towards how many other classes, those with the largest outputs at the clean image, and what is ascended there."""

    count: int = eqx.field(static=True)
    loss: losses.TargetedLoss = eqx.field(static=True)


class APGD(Attack):
    """The best image of a run; with targets, the worst of a run towards each."""

    ball: Ball = eqx.field(static=True)
    objective: Objective
    steps: int = eqx.field(static=True)
    uniform_start: bool = eqx.field(static=True, default=True)
    targets: Targets | None = None

    def __call__(self, predictor, x, label, eps, *, key):
        own = self.objective.label(predictor, x, label)

        def run(loss, key):
            start = attacks.start(self.ball, x, eps, key=key) if self.uniform_start else x
            return ascend(self.ball, _evaluation(predictor, loss, own), start, x, eps, self.steps)

        targets = self.targets
        if targets is None:
            return run(lambda outputs: self.objective.loss(outputs, own), key)

        def toward(item):
            return run(lambda outputs: targets.loss(outputs, own, item[0]), item[1])

        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(targets.count))
        over = losses.others(predictor(x), own, targets.count), keys
        return attacks.worst(self.objective, predictor, x, label, toward, over)


Evaluation = Callable[[Image], tuple[Float[Array, ""], Score]]
"""The loss, which has the gradient, and the score."""


def _evaluation(predictor: Predictor, loss: Callable, label: losses.Label) -> Evaluation:
    def evaluate(image):
        outputs = predictor(image)
        value = loss(outputs)
        return value, Score.of(outputs, label, value)

    return evaluate


class Point(NamedTuple):
    """An image that was looked at."""

    image: Image
    gradient: Image
    score: Score


class Search(NamedTuple):
    """Hold the state of a search. `rises` and `improved` are since the last checkpoint, `halved` is of it."""

    before: Image
    here: Image
    loss: Float[Array, ""]
    best: Point
    size: Float[Array, ""]
    rises: Int[Array, ""]
    improved: Bool[Array, ""]
    halved: Bool[Array, ""]


def ascend(ball: Ball, evaluate: Evaluation, start: Image, x: Image, eps: Eps, steps: int) -> Image:
    """The image with the highest score on the way, the start included."""

    def step(search, plan):
        needed, share = plan
        here, search = _look(evaluate, search, needed)
        aim = ball.project(here.image + search.size * ball.steepest(here.gradient), x, eps)
        moved = share * (aim - here.image) + (1 - share) * (here.image - search.before)
        following = ball.project(here.image + moved, x, eps)
        return search._replace(before=here.image, here=following), None

    shares = jnp.full(steps, MOMENTUM, x.dtype).at[0].set(1.0)
    nothing = Score(jnp.array(False), jnp.array(-jnp.inf, x.dtype))
    low, no = jnp.array(-jnp.inf, x.dtype), jnp.array(False)
    begin = Search(start, start, low, Point(start, jnp.zeros_like(x), nothing), 2 * eps, jnp.array(0), no, no)
    search, _ = jax.lax.scan(step, begin, (jnp.asarray(_needed(steps)), shares))
    last = search.here, evaluate(search.here)[1]
    best = search.best.image, search.best.score
    return attacks.choose(last[1].above(best[1]), last, best)[0]


def _look(evaluate: Evaluation, search: Search, needed: Int[Array, ""]) -> tuple[Point, Search]:
    """The point to go on from, and what is known after it."""
    (_, score), gradient = jax.value_and_grad(evaluate, has_aux=True)(search.here)
    here = Point(search.here, gradient, score)
    better = score.above(search.best.score)
    best = attacks.choose(better, here, search.best)
    rises = jnp.where(score.loss > search.loss, search.rises + 1, search.rises)
    improved = search.improved | better
    check = needed >= 0
    halve = check & ((rises < needed) | ~(improved | search.halved))
    here = attacks.choose(halve, best, here)
    return here, search._replace(
        loss=here.score.loss,
        best=best,
        size=jnp.where(halve, search.size / 2, search.size),
        rises=jnp.where(check, 0, rises),
        improved=improved & ~check,
        halved=jnp.where(check, halve, search.halved),
    )


def checkpoints(steps: int) -> list[int]:
    """w_j = ceil(p_j steps) below `steps`; p_0 = 0, p_1 = 0.22, p_(j+1) = p_j + max(p_j - p_(j-1) - 0.03, 0.06)."""
    percent = [0, 22]
    while percent[-1] < 100:
        percent.append(percent[-1] + max(percent[-1] - percent[-2] - 3, 6))
    return sorted({w for p in percent if (w := -(-p * steps // 100)) < steps})


def _needed(steps: int) -> np.ndarray:
    """At each checkpoint, how often the loss must have risen since the one before; -1 at other steps."""
    at = checkpoints(steps)
    needed = np.full(steps, -1)
    needed[at] = [0, *(math.ceil(RISES * (w - before)) for before, w in pairwise(at))]
    return needed
