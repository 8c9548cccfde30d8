"""FAB: the fast adaptive boundary attack looks for the nearest image of another class (Croce & Hein 2020, algorithm 1).

Where f are the outputs and y is the label, each step takes every difference f_l - f_y for linear, goes to the nearest
of the planes where one of them is 0, inside of the box, and from there a part of the way towards the example. It has no
step size and no budget: what it finds is a distance, and one run answers for all budgets.

    found = FAB(L2(), Objective(losses.margin), 100).nearest(predictor, x, label, key=key)
    found.distance  # the attack succeeds at budgets from here on

As in AutoAttack there is no final search along the segment to the example. A step goes beyond its plane, and so the
image found of a linear function is somewhat farther away than its plane: by 1 + 2 (eta - 1) u / (1 + u) with
u = 1 - beta eta, which is 1.0052, from the second step on.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ntkbench.ntk.attacks import Attack, Objective
from ntkbench.ntk.balls import Ball, Image
from ntkbench.ntk.losses import Label, others, predict
from ntkbench.ntk.network import Predictor

BIAS = 0.1
"""alpha_max: the largest share of the way back to the example in a step"""
OVERSHOOT = 1.05
"""eta: the length of a step, in distances to its plane"""
BACKWARD = 0.9
"""beta: the share of the way from the example that is kept where an image has another class"""


class Found(NamedTuple):
    """Hold the nearest image of another class, its distance (infinite where there is none), and the search's state."""

    image: Image
    distance: Float[Array, ""]
    finite: Bool[Array, ""]
    """whether all images and gradients on the way were finite"""


class FAB(Attack):
    """The nearest image of another class that was found, where it lies within the budget; otherwise the example itself.

    `targets`: the number of other classes, those with the largest outputs, towards each of which it runs (FAB-T); None:
    towards the nearest boundary in each step. Runs of the first round begin at the example, those of each further one
    (`restarts`) at a random point half as far as the nearest image known, so that more of them never find less.
    """

    ball: Ball = eqx.field(static=True)
    objective: Objective
    """says from which label to get away; its loss plays no part"""
    steps: int = eqx.field(static=True)
    restarts: int = eqx.field(static=True, default=1)
    targets: int | None = eqx.field(static=True, default=None)

    def __call__(self, predictor, x, label, eps, *, key):
        found = self.nearest(predictor, x, label, key=key)
        inside = found.distance <= eps
        image = self.ball.project(jnp.where(inside, found.image, x), x, eps)
        return jnp.where(inside | found.finite, image, jnp.nan)

    def nearest(self, predictor: Predictor, x: Image, label: Label, *, key: PRNGKeyArray) -> Found:
        """Return the nearest image of another class; it is the example, at distance 0, where that is misclassified."""
        label, clean = self.objective.label(predictor, x, label), predictor(x)
        planes = _differences(two_or_more(clean), label, self.targets)

        def run(found, number):
            begun = self._start(x, found.distance, key=jax.random.fold_in(key, number))
            start = jnp.where(number < len(planes), x, begun)
            return self._run(predictor, start, x, label, planes[number % len(planes)], found), None

        nothing = jnp.where(predict(clean) == label, jnp.inf, 0).astype(x.dtype)
        found = Found(x, nothing, jnp.array(True))
        return jax.lax.scan(run, found, jnp.arange(self.restarts * len(planes)))[0]

    def _start(self, x: Image, distance: Float[Array, ""], *, key: PRNGKeyArray) -> Image:
        """Draw an image at half of a distance from x, or of the whole box where the distance is infinite."""
        direction = self.ball.uniform(x, jnp.ones((), x.dtype), key=key)
        length = jnp.minimum(distance, self.ball.norm(jnp.ones_like(x))) / 2
        return jnp.clip(x + length * direction / self.ball.norm(direction), 0, 1)

    def _run(
        self, predictor: Predictor, start: Image, x: Image, label: Label, differences: Float[Array, "k c"], found: Found
    ) -> Found:
        """Return the nearer of what was found before and what a run from `start` finds."""

        def step(_, state):
            here, found = state
            value, normal = _nearest_plane(self.ball, predictor, here, differences)
            moved = onto_plane(self.ball, here, value, normal)
            from_x = onto_plane(self.ball, x, value + jnp.sum(normal * (x - here)), normal)
            near, far = self.ball.norm(moved), self.ball.norm(from_x)
            share = jnp.minimum(near / jnp.where(near + far == 0, 1, near + far), BIAS)
            aim = (1 - share) * (here + OVERSHOOT * moved) + share * (x + OVERSHOOT * from_x)
            there = jnp.clip(aim, 0, 1)
            left = predict(predictor(there)) != label
            finite = found.finite & jnp.all(jnp.isfinite(normal)) & jnp.all(jnp.isfinite(there))
            found = _nearer(self.ball, there, left, x, found._replace(finite=finite))
            return jnp.where(left, (1 - BACKWARD) * x + BACKWARD * there, there), found

        return jax.lax.fori_loop(0, self.steps, step, (start, found))[1]


def onto_plane(ball: Ball, x: Image, value: Float[Array, ""], normal: Image) -> Image:
    """Return the shortest move of x, in the norm of the ball, to where value + <normal, move> is 0, inside of the box.

    Where no point of the box is on the plane, it ends in the corner that comes nearest. All pixels set out along the
    steepest way, and each stops at the border of the box. So what they win is a concave, piecewise linear function of
    time, and Newton's method reaches its root from the left, in no more steps than there are pieces.
    """
    way = -jnp.sign(value) * ball.steepest(normal)
    speed, room = jnp.abs(way), jnp.where(way > 0, 1 - x, x)
    won = jnp.abs(normal) * speed
    ends = jnp.where(speed > 0, room / jnp.where(speed > 0, speed, 1), jnp.inf)

    def newton(times):
        rest = jnp.abs(value) - jnp.sum(won * jnp.minimum(times[0], ends))
        slope = jnp.sum(jnp.where(times[0] < ends, won, 0))
        return jnp.where(slope > 0, times[0] + rest / jnp.where(slope > 0, slope, 1), jnp.inf), times[0]

    begin = jnp.zeros((), x.dtype), -jnp.ones((), x.dtype)
    time = jax.lax.while_loop(lambda times: times[0] > times[1], newton, begin)[0]
    return jnp.sign(way) * jnp.where(speed > 0, jnp.minimum(time * speed, room), 0)


def two_or_more(outputs: Float[Array, " c"]) -> Float[Array, " k"]:
    """Return the outputs; a single output f of two classes as (0, f), whose largest is the predicted class."""
    return jnp.concatenate([jnp.zeros_like(outputs), outputs]) if outputs.size == 1 else outputs


def _differences(outputs: Float[Array, " c"], label: Label, targets: int | None) -> Float[Array, "runs k c"]:
    """Return for each run the rows e_l - e_y of the differences f_l - f_y that it looks at."""
    unit = jnp.eye(outputs.size, dtype=outputs.dtype)
    to = others(outputs, label, outputs.size - 1 if targets is None else targets)
    rows = unit[to] - unit[label][None]
    return rows[None] if targets is None else rows[:, None]


def _nearest_plane(
    ball: Ball, predictor: Predictor, x: Image, differences: Float[Array, "k c"]
) -> tuple[Float[Array, ""], Image]:
    """Return value and gradient at x of the difference whose plane is nearest; those with gradient 0 have no plane.

    Gradients are taken one after the other, so that memory does not grow with the number of classes.
    """
    outputs, pullback = jax.vjp(lambda image: two_or_more(predictor(image)), x)
    values, normals = differences @ outputs, jax.lax.map(lambda row: pullback(row)[0], differences)
    dual = jax.vmap(lambda normal: jnp.sum(normal * ball.steepest(normal)))(normals)
    nearest = jnp.argmin(jnp.where(dual == 0, jnp.inf, jnp.abs(values) / jnp.where(dual == 0, 1, dual)))
    return values[nearest], normals[nearest]


def _nearer(ball: Ball, image: Image, left: Bool[Array, ""], x: Image, found: Found) -> Found:
    """Return the image where it has left its class and is nearer than what was found, which is returned otherwise."""
    length = ball.norm(image - x)
    better = left & (length < found.distance)
    return Found(jnp.where(better, image, found.image), jnp.where(better, length, found.distance), found.finite)
