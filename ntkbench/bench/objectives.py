"""What an attack ascends where its spec leaves that open: a loss that suits what its source was fitted with.

Outputs that were fitted to one-hot targets with squared loss are of the size of one. Their softmax is nearly uniform,
so that the gradient of cross-entropy pulls at all classes alike, and attacks along it are weak; the margin looks at the
nearest rival. Of a single output both have the same sign.
"""

from typing import TypeVar

from ntkbench.bench.regimes import Adversarial, Trained
from ntkbench.bench.spec import Cell, Data
from ntkbench.bench.threats import SELF, Ascent, GradientAttack

A = TypeVar("A", bound=Ascent)


def settled(cell: Cell) -> Cell:
    """The cell with a loss in the place of each `auto`, that of the attack inside its training included."""
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
    if ascent.loss != "auto":
        return ascent
    return ascent.model_copy(update={"loss": "margin" if squared and _several(cell.data) else "cross_entropy"})


def _squared(cell: Cell, source: str) -> bool:
    """Whether the source was fitted with squared loss, as every kernel is."""
    return source != SELF or (isinstance(cell.training, Trained) and cell.training.loss == "mse")


def _several(data: Data) -> bool:
    """Whether each class has an output: two share one, and synthetic sets have two."""
    known = data.classes or (data.entry.classes if data.entry else ())
    return len(known) > 2
