"""Measure how far a network was trained: loss, residual, gradient-flow time, and the eigenfeatures learned by then.

Transfer between a kernel and a network is a statement about both at the same time, or about both in the end. A network
after a few hundred steps has learned the kernel's top features alone, and an attack on the kernel at infinite time then
says little about it, whatever its width. `equal_time` checks this for each pair of source and target.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkbench.analyses.accuracy import share
from ntkbench.analyses.evaluator import Evaluator
from ntkbench.analyses.measurement import Check, Measurement, Scalar
from ntkbench.ntk import attacks
from ntkbench.ntk.compilation import jit
from ntkbench.ntk.losses import Loss, predict

FITTED = 0.01
"""residual |f - Y|^2 / |Y|^2 up to which a network counts as trained to the end"""
NEAR = 2.0
"""largest factor between the flow times of a kernel and a network that count as equal"""
_UNKNOWN = "the steps of this optimizer are no gradient flow: its weights move at rates of their own"
"""reason why a number has no value where the optimizer, such as Adam, follows no gradient flow"""


@dataclass(frozen=True)
class Fit:
    """State how far a training has come: epochs in which the weights moved, gradient-flow time, remaining residual.

    `flow_time` is None where the optimizer follows no gradient flow. `residual` is |f - Y|^2 / |Y|^2 on the training
    examples, for cross-entropy with the probabilities in the place of f.
    """

    epochs: int
    flow_time: float | None
    residual: float


def fit(
    trained: Evaluator,
    loss: Loss,
    targets: Float[np.ndarray, "n c"],
    *,
    probabilities: bool,
    epochs: int,
    flow_time: float | None,
    eigenvalues: Float[np.ndarray, " m"],
) -> tuple[Fit, Measurement]:
    """Measure a trained predictor on its training examples, which `trained` holds.

    Args:
        trained: the predictor with its training examples.
        loss: the training loss.
        targets: regression targets of the examples.
        probabilities: whether the residual compares the targets with the probabilities that outputs stand for, as for
            cross-entropy, in place of the outputs.
        epochs: epochs in which the weights moved.
        flow_time: gradient-flow time of the training; None where the optimizer follows no gradient flow.
        eigenvalues: eigenvalues of the network's kernel on the training examples. Feature i counts as learned where
            lambda_i times the flow time exceeds 1.
    """
    losses, right, left = (
        np.asarray(each)
        for each in _judged(
            trained.predictor, loss, trained.X, trained.labels, targets, probabilities, trained.batch_size
        )
    )
    found = Fit(epochs, flow_time, float(left.sum() / np.sum(np.square(targets))))
    where = {"target": trained.name}
    unknown = None if flow_time is not None else _UNKNOWN
    learned = None if flow_time is None else float(np.sum(eigenvalues * flow_time > 1))
    scalars = (
        Scalar.mean("training_loss", losses, where),
        share("training_accuracy", right, where),
        Scalar("training_residual", found.residual, where),
        Scalar("epochs_trained", float(epochs), where),
        Scalar("flow_time", flow_time, where, reason=unknown),
        Scalar("learned_features", learned, where, n=len(eigenvalues), reason=unknown),
    )
    return found, Measurement(scalars)


def loss_reached(met: float, until: float) -> Check:
    """Check that a training ended with a loss `met`, the mean over its last epoch's batches, of at most `until`."""
    return Check("loss_reached", met <= until, {"loss": met, "until": until})


@jit
def _judged(predictor, loss, X, labels, targets, probabilities, batch_size):
    """Return, for each example, its loss, whether it is right, and its squared distance from the targets."""
    outputs = attacks.outputs(predictor, X, batch_size=batch_size)
    said = jax.vmap(_probabilities)(outputs) if probabilities else outputs
    left = jnp.sum(jnp.square(said - jnp.asarray(targets, said.dtype)), axis=1)
    return jax.vmap(loss)(outputs, labels), jax.vmap(predict)(outputs) == labels, left


def _probabilities(outputs: Float[Array, " c"]) -> Float[Array, " c"]:
    """Return the probabilities that outputs stand for, on the scale of the targets: -1 to 1 for one output."""
    return jnp.tanh(outputs / 2) if outputs.size == 1 else jax.nn.softmax(outputs)


def equal_time(attack: str, kernel: str, time: float, ridge: float, network: Fit) -> Check:
    """Check that a kernel predictor and the network of which one attacks the other are trained equally long.

    A finite `time` of the kernel may differ from the network's flow time by a factor of `NEAR`; infinite time asks for
    a residual of at most `FITTED`. A `ridge` r at infinite time counts as the time 1 / r, at which gradient flow has
    learned about the same features. `attack` and `kernel` are the ids that the check names.
    """
    reached = 1 / ridge if ridge > 0 and not np.isfinite(time) else time
    if np.isfinite(reached):
        flow = network.flow_time
        ok = flow is not None and reached / NEAR <= flow <= reached * NEAR
    else:
        ok = network.residual <= FITTED
    detail: dict[str, str | float] = {
        "attack": attack,
        "kernel": kernel,
        "kernel_time": float(reached) if np.isfinite(reached) else "inf",
        "flow_time": "unknown" if network.flow_time is None else network.flow_time,
        "residual": network.residual,
    }
    return Check("source_and_target_at_equal_time", bool(ok), detail)
