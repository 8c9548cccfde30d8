"""Pydantic classes for the attacks of a spec: the threat set (norm and budgets), the loss, and the steps.

`build.threat` turns them into attacks of `ntkbench.ntk`. The docstrings and the texts below the fields are the
reference of the attacks in `docs/spec.md`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from ntkbench import budgets
from ntkbench.memo import by_identity
from ntkbench.spec.extensions import Kinds
from ntkbench.spec.notation import (
    BelowOne,
    Count,
    Expects,
    OneOrSeveral,
    Seed,
    Step,
    ascending,
    many,
)
from ntkbench.spec.section import Budget, FilePath, FileSection, Section

SELF = "self"
"""name by which attacks and analyses refer to the network of the run itself"""


# ---- budgets ----


def _spread(value: Any) -> Any:
    """Return budgets as a tuple; a relative one with a list of values is one for each of them."""
    if isinstance(value, Mapping) and isinstance(value.get("value"), list | tuple):
        return tuple({**value, "value": each} for each in value["value"])
    return many(value)


def _of_one_kind(values: tuple[budgets.Budget, ...]) -> tuple[budgets.Budget, ...]:
    if len({value.relative for value in values}) > 1:
        message = "some of these budgets are relative to the dimension and some are not; write two attacks"
        raise PydanticCustomError("budget", "{message}", {"message": message})
    return values


Budgets = Annotated[
    tuple[Budget, ...],
    Field(min_length=1),
    BeforeValidator(_spread),
    AfterValidator(_of_one_kind),
    AfterValidator(ascending),
    OneOrSeveral(),
    Expects("a number, 0 or more, a fraction such as 8/255, or a list of them"),
]


# ---- attacks ----


class PerturbationNorm(Section):
    """The norm of a threat set."""

    norm: Literal["linf", "l2"] = "linf"
    """linf: no pixel moves by more than eps; l2: the root of the sum of squares over all pixels is at most eps"""


class LossAscent(PerturbationNorm):
    """The loss that an attack increases, in a threat set."""

    loss: Literal["auto", "cross_entropy", "margin", "squared", "dlr"] = "auto"
    """loss that is increased; auto: margin where several classes were fitted with squared loss (by a kernel, or
    training.loss mse), else cross_entropy; dlr, the difference of logits ratio (Croce & Hein 2020), needs three
    classes"""


A = TypeVar("A", bound=LossAscent)


@by_identity
def with_loss(ascent: A, margin: bool) -> A:
    """Return the ascent with its loss chosen; `margin`: whether it has several outputs, fitted with squared loss."""
    return (
        ascent.model_copy(update={"loss": "margin" if margin else "cross_entropy"}) if ascent.loss == "auto" else ascent
    )


class Steps(Section):
    """The steps of projected gradient ascent."""

    steps: Annotated[int, Field(gt=0, le=100_000)] = 10
    """number of steps, each with one gradient"""
    step_size: Step | None = None
    """length of a step, in pixel units; null: 2.5 eps / steps"""
    start: Literal["zero", "uniform"] = "zero"
    """where the ascent begins; zero: at the example itself; uniform: at a point drawn in the ball of radius eps"""


class Attack(PerturbationNorm):
    """The norm and the budgets, which every attack has."""

    eps: Budgets
    """one budget or several, in pixel units ([0, 1])"""


class GradientAttack(Attack):
    """An attack that looks at a predictor, its source, and by default follows its gradient."""

    source: str = SELF
    """predictor whose gradient is followed: self, or the id of a kernel or of a further network"""
    labels: Literal["true", "predicted"] = "true"
    """true: the label of the example; predicted: the source's own clean prediction in its place"""


class _RaisesLoss(LossAscent, Attack):
    """An attack with a loss: a class of its own, so that records keep `loss` before `source`."""


class AscendingAttack(GradientAttack, _RaisesLoss):
    """An attack that follows the gradient of a loss of its source."""


class InnerAttack(LossAscent):
    """An attack on a model while it is fitted, as it is at each step, at true labels."""

    eps: Budget
    """one budget, in pixel units ([0, 1])"""


class InnerFGSM(InnerAttack):
    """One full step along the sign of the gradient (l2: along the gradient)."""

    kind: Literal["fgsm"]


class InnerPGD(InnerAttack, Steps):
    """Projected gradient ascent; a uniform start is drawn anew for each example and epoch."""

    kind: Literal["pgd"]


Restarts = Annotated[int, Field(gt=0, le=10_000)]


class FGSM(AscendingAttack):
    """One full step along the sign of the gradient (l2: along the gradient)."""

    kind: Literal["fgsm"]


class PGD(Steps, AscendingAttack):
    """Projected gradient ascent."""

    kind: Literal["pgd"]
    restarts: Annotated[Restarts, Field(json_schema_extra={"as_before": 1})] = 1
    """number of runs, each from a start of its own; the worst is kept of each example: misclassified first, then the
    highest loss"""
    seed: Seed = 0
    """draws the starts"""


class APGD(AscendingAttack):
    """Gradient ascent with momentum that halves its own step and keeps the best image (Croce & Hein 2020)."""

    kind: Literal["apgd"]
    steps: Annotated[int, Field(gt=0, le=100_000)] = 100
    """number of steps, each with one gradient"""
    start: Literal["zero", "uniform"] = "uniform"
    """where the ascent begins; zero: at the example itself; uniform: at a point drawn in the ball of radius eps"""
    restarts: Restarts = 1
    """number of runs, each from a start of its own; the worst is kept of each example: misclassified first, then the
    highest loss"""
    targeted: Count | None = None
    """number of other classes, those with the largest outputs, towards each of which there is a run; null: one run
    away from the label"""
    seed: Seed = 0
    """draws the starts"""


class Square(AscendingAttack):
    """Random search with squares of pixels (Andriushchenko et al. 2020): it needs no gradient of its source.

    So it breaks networks whose gradients are zero or point nowhere. It is for the norm linf.
    """

    kind: Literal["square"]
    steps: Annotated[int, Field(gt=0, le=100_000)] = 5000
    """number of images that are shown to the source"""
    area: BelowOne = 0.8
    """share of the pixels that the first squares cover; it is halved nine times on the way"""
    restarts: Restarts = 1
    """number of runs, each with squares of its own; the worst is kept of each example: misclassified first, then the
    highest loss"""
    seed: Seed = 0
    """draws the squares"""


class FAB(GradientAttack):
    """Search for the nearest image of another class, whatever the budget (Croce & Hein 2020, FAB).

    It follows the gradients of differences of outputs, and has no loss to choose. Test points whose nearest image is
    farther away than eps stay as they are, and one search serves all budgets. An image may be .5 % farther away than
    the boundary of a linear function.
    """

    kind: Literal["fab"]
    steps: Annotated[int, Field(gt=0, le=100_000)] = 100
    """number of steps, each with one gradient for each other class, or with a single one where `targeted` is set"""
    restarts: Restarts = 1
    """number of rounds; later ones begin at a random point half as far as the nearest image found so far"""
    targeted: Count | None = None
    """number of other classes, those with the largest outputs, towards each of which there is a run in each round
    (FAB-T); null: one run, in each step towards the nearest boundary"""
    seed: Seed = 0
    """draws the starts of later rounds"""


MOST_TARGETS = 9
"""number of classes that the targeted attacks of the standard set run towards, where there are so many others"""


class AutoAttack(GradientAttack):
    """The standard set of four attacks, each on the test points that are still right (Croce & Hein 2020, AutoAttack).

    They are APGD on cross-entropy, APGD towards classes on the difference of logits ratio, FAB towards classes, and
    Square on the margin. All losses are those of the published set, whatever the source was fitted with; only the
    ratio, which needs four classes, is replaced by the margin where there are fewer. With two classes there is one
    direction, and nothing is targeted. It is for the norm linf, as Square is.
    """

    kind: Literal["autoattack"]
    steps: Annotated[int, Field(gt=0, le=100_000)] = 100
    """number of steps of each run of APGD and FAB"""
    targeted: Count | None = None
    """number of other classes, those with the largest outputs, towards each of which there is a run of APGD and one of
    FAB; null: 9, or all where there are fewer"""
    queries: Annotated[int, Field(gt=0, le=100_000)] = 5000
    """number of images that Square shows to the source"""
    seed: Seed = 0
    """draws starts and squares"""

    def towards(self, outputs: int) -> int:
        """Return the number of classes towards which it runs on a source with so many outputs: 0 with a single one."""
        return min(self.targeted or MOST_TARGETS, outputs - 1)


Restarted = PGD | APGD | Square
"""attacks of which the worst of several runs is kept"""
Iterated = Restarted | FAB | AutoAttack
"""attacks that take many steps"""


class RandomSign(Attack):
    """The control without a gradient: random signs of the same norm."""

    kind: Literal["random_sign"]
    seed: Seed = 0
    """draws the signs"""


class GivenImages(FileSection, Attack):
    """Images that were made elsewhere, by any attack of any library: they are judged, and nothing is made.

    The npz file has the attacked images as x_adv and, at the same places, the clean ones as x_clean, by which they are
    found. All test images have to be there, within eps. `ntkbench images` writes such a file.
    """

    kind: Literal["images"]
    path: FilePath
    """the file"""


class ExtensionAttack(AscendingAttack):
    """The base class of attacks that other packages add."""

    builder: ClassVar[str]
    """`package.module:function` that makes an `ntk.attacks.Attack` from this section, the ball and the objective"""


AnyAttack = Annotated[
    FGSM | PGD | APGD | Square | FAB | AutoAttack | RandomSign | GivenImages, Kinds("attacks", ExtensionAttack)
]
"""every attack that a spec can name, those of installed packages included"""
