"""Who is looked at: a predictor with the test set in its own precision."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ntkbench.errors import NumericsError
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
        return self._finite(*_correct(self.predictor, images, self.labels, self.batch_size))

    def judged(
        self, images: Float[Array, "k n ..."], objective: attacks.Objective
    ) -> tuple[Bool[np.ndarray, "k n"], Float[np.ndarray, "k n"]]:
        """Also the objective's loss, where the first version of the test set is the clean one."""
        right, lost, loss = _judged(self.predictor, objective, images, self.labels, self.batch_size)
        return self._finite(right, lost), np.asarray(loss)

    def gradient(self, objective: attacks.Objective) -> jax.Array:
        """Of the objective at the clean examples."""
        return attacks.gradients(objective, self.predictor, self.X, self.labels, batch_size=self.batch_size)

    def _finite(self, right: Bool[Array, "k n"], lost: Bool[Array, "k n"]) -> Bool[np.ndarray, "k n"]:
        """Answers that are made of numbers: a comparison with NaN would give one, too."""
        if count := int(np.sum(np.asarray(lost).any(axis=0))):
            raise NumericsError(
                f"the outputs of {self.name} are not finite at {count} of {len(self.X)} test images: numbers overflow; "
                "try a smaller W_std, less depth, or float64 (numerics)"
            )
        return np.asarray(right)


@jit
def _correct(predictor, images, labels, batch_size):
    found = _outputs(predictor, images, batch_size)
    return jax.vmap(metrics.correct, (0, None))(found, labels), _lost(images, found)


@jit
def _judged(predictor, objective, images, labels, batch_size):
    found = _outputs(predictor, images, batch_size)
    own = jax.vmap(predict)(found[0]) if objective.predicted else labels
    right = jax.vmap(metrics.correct, (0, None))(found, labels)
    return right, _lost(images, found), jax.vmap(jax.vmap(objective.loss), (0, None))(found, own)


def _lost(images, outputs):
    """Whether what came of a finite image is not finite; images of a broken gradient are noted where it is."""
    finite = (jnp.all(jnp.isfinite(values), axis=range(2, values.ndim)) for values in (images, outputs))
    return next(finite) & ~next(finite)


def _outputs(predictor, images, batch_size):
    flat = images.reshape(-1, *images.shape[2:])
    return attacks.outputs(predictor, flat, batch_size=batch_size).reshape(*images.shape[:2], -1)
