"""Turn the names of losses into functions of outputs and labels."""

import functools

from ntkbench.ntk import losses
from ntkbench.spec import training
from ntkbench.spec.cell import Cell


@functools.cache
def loss(name: str, centered: bool = False) -> losses.Loss:
    """Return the loss of that name; cached, since compiled functions compare their static arguments by identity."""
    if name == "cross_entropy":
        return losses.cross_entropy
    if name == "margin":
        return losses.margin
    if name == "dlr":
        return losses.dlr
    assert name in ("squared", "mse"), name
    return functools.partial(losses.squared, centered=centered)


@functools.cache
def targeted_loss(name: str, centered: bool = False) -> losses.TargetedLoss:
    """Return the loss of an attack towards a class, by the name of its loss; cached like `loss`."""
    return losses.dlr_toward if name == "dlr" else functools.partial(losses.toward, loss=loss(name, centered))


def training_loss(cell: Cell, trained: training.Descent) -> losses.Loss:
    """Return the loss of a training or phase, on the targets that the cell's data have."""
    return loss(trained.loss, cell.data.targets == "centered")


def curvature(trained: training.Descent, outputs: int) -> float:
    """Return an upper bound of the loss's second derivative in the outputs (Boehning 1992 for softmax)."""
    if trained.loss == "mse":
        return 1.0
    return 0.25 if outputs == 1 else 0.5
