"""Models of a spec's `training`: the loss, the optimizer and its schedule, and the attack on each batch.

`run/build/` turns these words into what `ntk.training` takes.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from ntkbench.spec.attacks import InnerFGSM, InnerPGD
from ntkbench.spec.notation import BelowOne, Count, Counts, Expects, NonNegative, OneOrSeveral, Positive, listed, many
from ntkbench.spec.section import FilePath, Section, ToldApart

# ---- schedules: shares of the learning rate, in epochs of the whole training, linearized or not --------------


class CosineDecay(Section):
    """Base of the schedules along a cosine."""

    epochs: Count | None = None
    """epochs until the end is reached, where the rate then stays; null: those of the training"""
    end: BelowOne = 0.0
    """share of the learning rate that is left at the end"""


class Cosine(CosineDecay):
    """The rate falls along half a cosine (Loshchilov & Hutter 2017)."""

    kind: Literal["cosine"]


class WarmupCosine(CosineDecay):
    """The rate rises from 0 in a straight line, then falls along half a cosine."""

    kind: Literal["warmup_cosine"]
    warm_up: Count
    """epochs on the way up; they are among `epochs`"""


class Exponential(Section):
    """The rate is multiplied by the same factor again and again."""

    kind: Literal["exponential"]
    factor: Positive
    """share of the rate that is left after `every` epochs"""
    every: Count = 1
    """epochs in which the rate changes by the factor"""
    staircase: bool = False
    """change the rate at once at the end of these epochs, not a little at each step"""


class Piecewise(Section):
    """The rate is multiplied by a factor at given epochs."""

    kind: Literal["piecewise"]
    at: Counts
    """epochs, counted from 0, at whose beginning the rate changes"""
    factor: Positive = 0.1
    """share of the rate that is left after each of them"""


Schedule = Annotated[Cosine | WarmupCosine | Exponential | Piecewise, ToldApart("kind")]


# ---- optimizers ------------------------------------------------------------------------------------


class Optimizer(Section):
    """Base of the optimizers."""

    schedule: Annotated[Schedule | None, Field(json_schema_extra={"as_before": None})] = None
    """how the learning rate changes as epochs go by; null: it stays the same"""


class SGD(Optimizer):
    """Gradient descent, with momentum if asked for."""

    kind: Literal["sgd"]
    learning_rate: Positive | Literal["auto"] = "auto"
    """auto: from the largest eigenvalue of the network's own kernel; the record says what it became"""
    momentum: BelowOne = 0.0
    """share of the last step that is taken again"""
    nesterov: bool = False
    """take the gradient at the point that momentum leads to"""


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015)."""

    kind: Literal["adam"]
    learning_rate: Positive = 1e-3
    """size of a step"""
    b1: BelowOne = 0.9
    """decay of the mean of gradients"""
    b2: BelowOne = 0.999
    """decay of the mean of their squares"""
    eps: Positive = 1e-8
    """added to the root of the mean of squares"""


# ---- modes -----------------------------------------------------------------------------------------


class Untrained(Section):
    """No training: the network, if the cell has a width, stays as it was drawn."""

    mode: Literal["none"]


_Means = Annotated[
    tuple[NonNegative, ...],
    Field(min_length=1),
    BeforeValidator(many),
    OneOrSeveral(),
    Expects("a number, 0 or more, or a list of such numbers"),
]
_Deviations = Annotated[
    tuple[Positive, ...],
    Field(min_length=1),
    BeforeValidator(many),
    OneOrSeveral(),
    Expects("a number above 0 or a list of such numbers"),
]


class Standardization(Section):
    """Standardize the pixels inside the network: (x - mean) / std in each channel."""

    mean: _Means
    """of each channel, or one number for all of them"""
    std: _Deviations
    """of each channel, or one number for all of them"""


class Pretrained(Section):
    """No training: the network has the weights of a file, and no history.

    The file is of the format safetensors, with the names that `ntkbench weights` gives to arrays.
    """

    mode: Literal["pretrained"]
    weights: FilePath
    """the safetensors file"""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$"), Expects("64 hexadecimal digits")] | None = None
    """SHA-256 of the file, filled in when a spec is read; where it is written, another file is refused"""
    inputs: Standardization | None = None
    """what the network was trained on; budgets of attacks stay in pixel units. null: pixels in [0, 1]"""

    @property
    def paths(self) -> tuple[str, ...]:
        """The file."""
        return (self.weights,)

    @property
    def content(self) -> str | None:
        """The digest of the file's content."""
        return self.sha256


class Until(Section):
    """Train until the network is fitted, not for a given time."""

    loss: Positive
    """the training ends after the first epoch whose mean loss, as its batches are met, is at most this"""


class Trained(Section):
    """Base of the trainings, of one mode or of several phases."""


class Descent(Section):
    """Base of trainings and of their phases: what is minimized, how, and for how long."""

    loss: Literal["mse", "cross_entropy"] = "mse"
    """mse: (1/2) sum over outputs of (f - y)^2; both are means over the batch"""
    optimizer: Annotated[SGD | Adam, ToldApart("kind")] = SGD(kind="sgd")
    """how the weights move along the gradient"""
    epochs: Count
    """passes over the training set; with `until`, the most there may be"""
    until: Annotated[Until | None, Field(json_schema_extra={"as_before": None})] = None
    """when to stop before the last epoch, each seed for itself; null: never"""
    batch_size: Count | None = None
    """examples of a batch; null: the whole training set"""


class InOneMode(Descent, Trained):
    """Base of the trainings in one mode, which the network's first-order model may end."""

    linearize_at: Annotated[int, Field(ge=0)] | None = None
    """from this epoch on train the first-order model at the weights then reached; null: never"""
    centered: bool = False
    """train the first-order model without its constant, J(theta_0)(theta - theta_0) alone"""


class Standard(InOneMode):
    """Minimize the mean loss over the training set."""

    mode: Annotated[Literal["standard"], WithJsonSchema({"enum": ["standard", "linearized"]})]
    """`linearized` is short for `standard` with `linearize_at: 0`"""


class OnAttackedBatches(Section):
    """Base of adversarial training in one mode and of phases of it."""

    attack: Annotated[
        InnerFGSM | InnerPGD,
        ToldApart("kind"),
        Field(examples=["{kind: pgd, eps: 8/255, steps: 7, step_size: 2/255}"]),
    ]
    """the attack on each batch; from `linearize_at` on, it is the first-order model that is attacked"""
    warm_up: Annotated[int, Field(ge=0)] = 0
    """epochs without the attack, which come first; the optimizer goes on"""
    trades: Annotated[
        Positive | None, Field(json_schema_extra={"as_before": None}, exclude_if=lambda weight: weight is None)
    ] = None
    """the weight of TRADES (Zhang et al. 2019): the loss is that of the clean batch plus the weight times the
    Kullback-Leibler divergence of attacked outputs from clean ones, which the attack ascends; null: the loss is that of
    the attacked batch"""


class Adversarial(OnAttackedBatches, InOneMode):
    """Minimize the mean loss over batches that are attacked before each step (Madry et al. 2018)."""

    mode: Literal["adversarial"]


# ---- phases ----


class PhaseOfTraining(Descent):
    """Base of the phases of a training. Each begins where the one before it ended, with a new optimizer."""

    linearize: Literal["full", "centered"] | None = None
    """train the first-order model at the weights where the phase begins: full, or centered, without its constant,
    J(theta_0)(theta - theta_0) alone; null: the network itself. Phases after such a one go on with its model"""


class StandardPhase(PhaseOfTraining):
    """Minimize the mean loss over the training set, as one phase of a training."""

    mode: Literal["standard"]


class AdversarialPhase(OnAttackedBatches, PhaseOfTraining):
    """Minimize the mean loss over batches that are attacked before each step, as one phase of a training."""

    mode: Literal["adversarial"]


Phase = Annotated[StandardPhase | AdversarialPhase, ToldApart("mode")]


class Phased(Trained):
    """Train in phases, one after the other, each with a mode, a loss and an optimizer of its own (Loo et al. 2022)."""

    mode: Literal["phased"]
    """may be left out: `phases` says it"""
    phases: Annotated[
        tuple[Phase, ...],
        Field(min_length=1),
        BeforeValidator(listed),
        Expects("a list of phases such as [{mode: adversarial, ...}, {mode: standard, linearize: centered, ...}]"),
    ]
    """the phases in their order"""

    @property
    def epochs(self) -> int:
        """Return the number of epochs of all phases together."""
        return sum(phase.epochs for phase in self.phases)


def _completed(value: Any) -> Any:
    """Return a training with the mode that it leaves unsaid or abbreviates, so that both are one experiment.

    `mode: linearized` is `standard` with `linearize_at: 0`, and `phases` alone is `mode: phased`.
    """
    if isinstance(value, dict) and "phases" in value and "mode" not in value:
        if name := next((name for name in value if name != "phases"), None):
            message = f"beside phases nothing is said of the whole training; write {name} in each phase"
            raise PydanticCustomError("mode", "{message}", {"message": message, "at": (name,)})
        return {"mode": "phased", **value}
    if isinstance(value, dict) and value.get("mode") == "linearized":
        if value.get("linearize_at", 0) != 0:
            message = "mode linearized means linearize_at: 0; for another epoch (or null) write mode: standard"
            raise PydanticCustomError("mode", "{message}", {"message": message, "at": ("linearize_at",)})
        return {**value, "mode": "standard", "linearize_at": 0}
    return value


Training = Annotated[
    Untrained | Pretrained | Standard | Adversarial | Phased, ToldApart("mode"), BeforeValidator(_completed)
]
"""the models of all modes, told apart by `mode`"""
