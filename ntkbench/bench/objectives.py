"""Choose the loss that an attack ascends where its spec says `loss: auto`.

The choice suits the loss that the attack's source was fitted with. Outputs that were fitted to one-hot targets with
squared loss are of order one. Their softmax is nearly uniform, so the gradient of cross-entropy pulls at all classes
alike and attacks along it are weak; the margin looks at the nearest rival class alone. With a single output both losses
have gradients of the same sign.

Run ids, records, trainings and attacks all use the cell that `settled` returns.
"""

from typing import TypeVar

from ntkbench.bench.regimes import Adversarial, Trained
from ntkbench.bench.spec import Cell, Data
from ntkbench.bench.threats import SELF, Ascent, GradientAttack

A = TypeVar("A", bound=Ascent)


def settled(cell: Cell) -> Cell:
    """Return the cell with `margin` or `cross_entropy` in the place of each `loss: auto`.

    This concerns the gradient attacks of the cell and the inner attack of adversarial training; all else is unchanged.
    """
    attacks = {
        name: _said(attack, cell, _squared(cell, attack.source)) if isinstance(attack, GradientAttack) else attack
        for name, attack in cell.attacks.items()
    }
    training = cell.training
    if isinstance(training, Adversarial):
        inner = _said(training.attack, cell, training.loss == "mse")
        training = training.model_copy(update={"attack": inner})
    return cell.model_copy(update={"attacks": attacks, "training": training})


def _said(ascent: A, cell: Cell, squared: bool) -> A:
    """Return the ascent with its loss chosen; `squared`: whether its source was fitted with squared loss."""
    if ascent.loss != "auto":
        return ascent
    return ascent.model_copy(update={"loss": "margin" if squared and _several(cell.data) else "cross_entropy"})


def _squared(cell: Cell, source: str) -> bool:
    """Return whether an attack's `source`, a kernel's id or `self`, was fitted with squared loss, as kernels are."""
    return source != SELF or (isinstance(cell.training, Trained) and cell.training.loss == "mse")


def _several(data: Data) -> bool:
    """Return whether each class has an output of its own: two classes share one, and synthetic sets have two."""
    known = data.classes or (data.entry.classes if data.entry else ())
    return len(known) > 2
