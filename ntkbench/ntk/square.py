"""Square Attack: random search along the border of the ball, without a gradient (Andriushchenko et al. 2020).

It asks the predictor for nothing but outputs, and so breaks networks whose gradients are zero or point nowhere, which
every attack along a gradient takes for robust.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ntkbench.ntk.attacks import Attack, Objective, choose
from ntkbench.ntk.balls import Ball, Image

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""steps, of 10000, after each of which the area of the squares is halved (section 3.1)"""


class Square(Attack):
    """Algorithms 1 and 2 of the paper, for the maximum norm.

    It begins with stripes of +eps and -eps from top to bottom. Each step moves a square of pixels at a random place to
    one side of the ball, a side for each channel, and keeps the image if its score is higher. `area`: share of the
    image that the first squares cover. A vector is taken for a column of pixels, of which a step moves a part.
    """

    ball: Ball = eqx.field(static=True)
    objective: Objective
    steps: int = eqx.field(static=True)
    area: float = eqx.field(static=True, default=0.8)

    @property
    def follows_gradient(self):
        return False

    def __call__(self, predictor, x, label, eps, *, key):
        label = self.objective.label(predictor, x, label)
        pixels = _pixels(x.shape)

        def scored(direction: Image):
            image = self.ball.project(direction, x, eps)
            return image, self.objective.score(predictor(image), label)

        def step(best, plan):
            size, own = plan
            moved = best[0] + 2 * eps * square(pixels, size, x.dtype, key=own).reshape(x.shape)
            found = scored(moved)
            return choose(found[1].above(best[1]), found, best), None

        keys = jax.random.split(key, self.steps)
        stripes = jax.random.rademacher(keys[0], (1, *pixels[1:]), x.dtype)
        begin = scored(x + eps * jnp.broadcast_to(stripes, pixels).reshape(x.shape))
        plan = jnp.asarray(sizes(self.steps, pixels, self.area)[1:]), keys[1:]
        return jax.lax.scan(step, begin, plan)[0][0]


def _pixels(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The rows, columns and channels of an example; a vector is a column."""
    rows, columns, channels = shape if len(shape) == 3 else (1, 1, int(np.prod(shape)))
    return (channels, 1, 1) if rows * columns == 1 else (rows, columns, channels)


def sizes(steps: int, pixels: tuple[int, int, int], area: float) -> Int[np.ndarray, "steps 2"]:
    """The rows and columns of the square of each step; the first, which is none, has those that are the largest."""
    rows, columns, _ = pixels
    shares = area / 2.0 ** np.searchsorted(HALVINGS, 10_000 * np.arange(steps) // steps)
    if columns == 1:
        return np.array([(max(1, round(share * rows)), 1) for share in shares])
    sides = (max(1, round((share * rows * columns) ** 0.5)) for share in shares)
    return np.array([(min(side, rows), min(side, columns)) for side in sides])


def square(
    pixels: tuple[int, int, int], size: Int[Array, " 2"], dtype: Any, *, key: PRNGKeyArray
) -> Float[Array, "h w c"]:
    """A square of +1 or -1, one for each channel, at a place drawn uniformly; 0 elsewhere."""
    place_key, sign_key = jax.random.split(key)
    room = jnp.array(pixels[:2]) - size + 1
    corner = jnp.floor(jax.random.uniform(place_key, (2,), jnp.float32) * room.astype(jnp.float32)).astype(int)
    inside = [
        (jnp.arange(many) >= corner[axis]) & (jnp.arange(many) < corner[axis] + size[axis])
        for axis, many in enumerate(pixels[:2])
    ]
    signs = jax.random.rademacher(sign_key, pixels[2:], dtype)
    return (inside[0][:, None] & inside[1][None])[..., None].astype(dtype) * signs[None, None]
