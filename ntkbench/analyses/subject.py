"""Who is looked at: a predictor with the test set in its own precision."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ntkbench.ntk import attacks, metrics
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

    def gradient(self, objective: attacks.Objective) -> jax.Array:
        """Of the objective at the clean examples."""
        return attacks.gradients(objective, self.predictor, self.X, self.labels, batch_size=self.batch_size)


@eqx.filter_jit
def _correct(predictor, images, labels, batch_size):
    flat = images.reshape(-1, *images.shape[2:])
    found = attacks.outputs(predictor, flat, batch_size=batch_size)
    return metrics.correct(found, jnp.tile(labels, images.shape[0])).reshape(images.shape[:2])
