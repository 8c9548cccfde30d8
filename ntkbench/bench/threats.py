"""Attacks, in words: a threat set (norm and budgets), what is ascended, and in which steps."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ntkbench.bench.extensions import Kinds
from ntkbench.bench.notation import Budgets, Count, Seed, Step
from ntkbench.bench.section import Section

SELF = "self"
"""How attacks and analyses refer to the network of the run itself."""


class Norm(Section):
    """Of a threat set."""

    norm: Literal["linf", "l2"] = "linf"
    """linf: no pixel moves by more than eps; l2: the root of the sum of squares over all pixels is at most eps"""


class Ascent(Norm):
    """Along the gradient of a loss."""

    loss: Literal["auto", "cross_entropy", "margin", "squared", "dlr"] = "auto"
    """what is ascended; auto: margin where several classes were fitted with squared loss (by a kernel, or training.loss
    mse), else cross_entropy; dlr, the difference of logits ratio, needs three classes"""


class Steps(Section):
    """Of projected gradient ascent."""

    steps: Annotated[int, Field(gt=0, le=100_000)] = 10
    """each with one gradient"""
    step_size: Step | None = None
    """in pixel units; null: 2.5 eps / steps"""
    start: Literal["zero", "uniform"] = "zero"
    """zero: at the example itself; uniform: drawn in the ball"""


class Attack(Norm):
    """What all attacks share."""

    eps: Budgets
    """one budget or several, in pixel units ([0, 1])"""


class GradientAttack(Ascent, Attack):
    """An attack that follows the gradient of a loss of its source."""

    source: str = SELF
    """whose gradient: self, or the id of a kernel"""
    labels: Literal["true", "predicted"] = "true"
    """predicted: the source's own clean prediction takes the place of the label"""


Restarts = Annotated[int, Field(gt=0, le=10_000)]


class FGSM(GradientAttack):
    """One full step along the sign of the gradient (l2: along the gradient)."""

    kind: Literal["fgsm"]


class PGD(Steps, GradientAttack):
    """Projected gradient ascent."""

    kind: Literal["pgd"]
    restarts: Annotated[Restarts, Field(json_schema_extra={"as_before": 1})] = 1
    """runs from starts of their own; the worst is kept of each example: misclassified first, then the highest loss"""
    seed: Seed = 0
    """draws the start"""


class APGD(GradientAttack):
    """Ascent with momentum that halves its own step, and keeps the best image (Croce & Hein 2020)."""

    kind: Literal["apgd"]
    steps: Annotated[int, Field(gt=0, le=100_000)] = 100
    """each with one gradient"""
    start: Literal["zero", "uniform"] = "uniform"
    """zero: at the example itself; uniform: drawn in the ball"""
    restarts: Restarts = 1
    """runs from starts of their own; the worst is kept of each example: misclassified first, then the highest loss"""
    targeted: Count | None = None
    """a run towards each of so many other classes, those with the largest outputs; null: away from the label"""
    seed: Seed = 0
    """draws the start"""


Iterated = PGD | APGD
"""Attacks of many steps."""


class RandomSign(Attack):
    """The control: random signs of the same norm, no gradient."""

    kind: Literal["random_sign"]
    seed: Seed = 0
    """draws the signs"""


class ExtensionAttack(GradientAttack):
    """What other packages' attacks build on."""

    builder: ClassVar[str]
    """`package.module:function`, which gives an `ntk.attacks.Attack` from the words, the ball, and the objective"""


AnyAttack = Annotated[FGSM | PGD | APGD | RandomSign, Kinds("attacks", ExtensionAttack)]
