"""Several attacks in turn, as in AutoAttack (Croce & Hein 2020): each on the examples that those before it left right.

attack = InTurn(ball, Objective(losses.margin), (APGD(...), FAB(...), Square(...)))
images = attacks.perturb(attack, predictor, X, labels, eps, key=key, batch_size=100)
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from ntkbench.ntk.attacks import Attack, Objective, Score
from ntkbench.ntk.balls import Ball, Image

Scored = tuple[Image, Score]


class InTurn(Attack):
    """The worst image of each example: misclassified first, then the highest loss of the objective."""

    ball: Ball = eqx.field(static=True)
    objective: Objective
    parts: tuple[Attack, ...]

    @property
    def follows_gradient(self):
        return all(part.follows_gradient for part in self.parts)

    def __call__(self, predictor, x, label, eps, *, key):
        return self.each(predictor, x[None], label[None], eps[None, None], keys=key[None], batch_size=1)[0, 0]

    def each(self, predictor, X, labels, eps, *, keys, batch_size):
        """Attack each pair of an example and a budget on its own, `batch_size` examples' worth of them at a time.

        Pairs that are misclassified are left out, so that each part takes only as many batches as it has to.
        """
        rows, radii = jnp.tile(jnp.arange(len(X)), len(eps)), eps.ravel()

        def scored(row, image):
            own = self.objective.label(predictor, X[row], labels[row])
            return image, self.objective.score(predictor(image), own)

        clean = jax.lax.map(lambda row: scored(row, X[row]), jnp.arange(len(X)), batch_size=batch_size)
        found = jax.tree.map(lambda leaf: leaf[rows], clean)
        for place, part in enumerate(self.parts):

            def attacked(pair, part=part, place=place):
                row = rows[pair]
                key = jax.random.fold_in(keys[row], place)
                return scored(row, part(predictor, X[row], labels[row], radii[pair], key=key))

            found = _worse(found, jax.vmap(attacked), min(batch_size * len(eps), len(rows)))
        return found[0].reshape(*eps.shape, *X.shape[1:])


def _worse(found: Scored, attacked: Callable[[Int[Array, " b"]], Scored], size: int) -> Scored:
    """Return images and scores after `attacked` was tried on the pairs that are not misclassified, `size` at a time."""
    done = found[1].fooled
    order = jnp.pad(jnp.argsort(done, stable=True), (0, -len(done) % size), constant_values=len(done))

    def batch(i, found):
        at = jax.lax.dynamic_slice_in_dim(order, i * size, size)
        made, before = attacked(at), jax.tree.map(lambda leaf: leaf[at], found)
        better = jax.vmap(Score.above)(made[1], before[1]) & ~before[1].fooled
        to = jnp.where(better, at, len(done))  # beyond the end nothing is written
        return jax.tree.map(lambda old, new: old.at[to].set(new, mode="drop"), found, made)

    return jax.lax.fori_loop(0, -(-jnp.sum(~done) // size), batch, found)
