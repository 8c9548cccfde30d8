"""Who is looked at: a predictor with the test set in its own precision."""

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, Float, Int

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

    def correct(self, images: Float[Array, "n ..."]) -> np.ndarray:
        """Whether each image is classified right."""
        outputs = attacks.outputs(self.predictor, images, batch_size=self.batch_size)
        return np.asarray(metrics.correct(outputs, self.labels))

    def gradient(self, objective: attacks.Objective) -> jax.Array:
        """Of the objective at the clean examples."""
        return attacks.gradients(objective, self.predictor, self.X, self.labels, batch_size=self.batch_size)
