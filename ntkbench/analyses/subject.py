"""Who is looked at: a predictor with the test set in its own precision."""

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ntkbench.ntk import attacks, metrics
from ntkbench.ntk.compilation import jit
from ntkbench.ntk.losses import predict
from ntkbench.ntk.network import Predictor


@dataclass(frozen=True)
class Subject:
    """A predictor, by the name that records use, and the test examples."""

    name: str
    predictor: Predictor
    X: Float[Array, "n ..."]
    labels: Int[Array, " n"]
    batch_size: int

    def correct(self, images: Float[Array, "k n ..."]) -> Bool[np.ndarray, "k n"]:
        """Whether each of several versions of the test set is classified right."""
        return np.asarray(_correct(self.predictor, images, self.labels, self.batch_size))

    def judged(
        self, images: Float[Array, "k n ..."], objective: attacks.Objective
    ) -> tuple[Bool[np.ndarray, "k n"], Float[np.ndarray, "k n"]]:
        """Also the objective's loss, where the first version of the test set is the clean one."""
        right, loss = _judged(self.predictor, objective, images, self.labels, self.batch_size)
        return np.asarray(right), np.asarray(loss)

    def gradient(self, objective: attacks.Objective) -> jax.Array:
        """Of the objective at the clean examples."""
        return attacks.gradients(objective, self.predictor, self.X, self.labels, batch_size=self.batch_size)


@jit
def _correct(predictor, images, labels, batch_size):
    return jax.vmap(metrics.correct, (0, None))(_outputs(predictor, images, batch_size), labels)


@jit
def _judged(predictor, objective, images, labels, batch_size):
    found = _outputs(predictor, images, batch_size)
    own = jax.vmap(predict)(found[0]) if objective.predicted else labels
    right = jax.vmap(metrics.correct, (0, None))(found, labels)
    return right, jax.vmap(jax.vmap(objective.loss), (0, None))(found, own)


def _outputs(predictor, images, batch_size):
    flat = images.reshape(-1, *images.shape[2:])
    return attacks.outputs(predictor, flat, batch_size=batch_size).reshape(*images.shape[:2], -1)
