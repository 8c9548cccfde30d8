"""A predictor together with the examples that it is judged on, in its own precision.

Analyses, attacks and the fit of a network take a `Evaluator`, so that none of them handles precision or batches.
"""

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
class Evaluator:
    """A predictor by the name that records use, with labeled examples, mostly the test set."""

    name: str
    predictor: Predictor
    X: Float[Array, "n ..."]
    labels: Int[Array, " n"]
    batch_size: int
    """number of examples that are computed at once"""

    def correct(self, images: Float[Array, "k n ..."]) -> Bool[np.ndarray, "k n"]:
        """Return whether each example of k versions of the test set is right; NumericsError as in `judged`."""
        return self._finite(*_correct(self.predictor, images, self.labels, self.batch_size))

    def correct_and_loss(
        self, images: Float[Array, "k n ..."], objective: attacks.Objective
    ) -> tuple[Bool[np.ndarray, "k n"], Float[np.ndarray, "k n"]]:
        """Return what `correct` returns, and the objective's loss on each example of each version.

        `images[0]` is the clean test set: an objective at predicted labels takes its labels from there.

        Raises:
            NumericsError: if outputs at finite images are not finite.
        """
        right, lost, loss = _judged(self.predictor, objective, images, self.labels, self.batch_size)
        return self._finite(right, lost), np.asarray(loss)

    def gradient(self, objective: attacks.Objective) -> jax.Array:
        """Return the input gradient of the objective at each clean example, (n, ...)."""
        return attacks.gradients(objective, self.predictor, self.X, self.labels, batch_size=self.batch_size)

    def _finite(self, right: Bool[Array, "k n"], lost: Bool[Array, "k n"]) -> Bool[np.ndarray, "k n"]:
        """Return `right`, unless outputs are not finite: comparing NaN would give an answer that means nothing."""
        if count := int(np.sum(np.asarray(lost).any(axis=0))):
            raise NumericsError(
                f"the outputs of {self.name} are not finite at {count} of {len(self.X)} test images: numbers overflow; "
                "try a smaller W_std, less depth, or float64 (numerics)"
            )
        return np.asarray(right)


@jit
def _correct(predictor, images, labels, batch_size):
    """Return whether each image is classified right, and whether its outputs are lost, both (k, n)."""
    found = _outputs(predictor, images, batch_size)
    return jax.vmap(metrics.correct, (0, None))(found, labels), _lost(images, found)


@jit
def _judged(predictor, objective, images, labels, batch_size):
    found = _outputs(predictor, images, batch_size)
    own = jax.vmap(predict)(found[0]) if objective.predicted else labels
    right = jax.vmap(metrics.correct, (0, None))(found, labels)
    return right, _lost(images, found), jax.vmap(jax.vmap(objective.loss), (0, None))(found, own)


def _lost(images, outputs):
    """Return whether outputs are not finite although the image is, (k, n).

    An image that is not finite comes from a broken gradient, which the checks of the attack report.
    """
    finite = (jnp.all(jnp.isfinite(values), axis=range(2, values.ndim)) for values in (images, outputs))
    return next(finite) & ~next(finite)


def _outputs(predictor, images, batch_size):
    flat = images.reshape(-1, *images.shape[2:])
    return attacks.outputs(predictor, flat, batch_size=batch_size).reshape(*images.shape[:2], -1)
