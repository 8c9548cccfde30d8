"""The analyses of a spec: one model a kind, told apart by `kind`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ntkbench.spec.attacks import SELF, Budgets
from ntkbench.spec.extensions import Kinds
from ntkbench.spec.notation import (
    Count,
    Counts,
    Expects,
    Indices,
    Moments,
    Names,
    Ranges,
    Ridges,
    Several,
    Splits,
    Times,
)
from ntkbench.spec.section import Section
from ntkbench.vocabulary import Metric

ROLES = ("attack", "ceiling", "floor", "adversarial_probe")
"""fields of analyses that name one attack"""

# The words of a spec for what is measured along a training: the analysis `drift`, and its probe.


class Probe(Section):
    """The examples on which kernels are taken: equally many of each class, the first ones of the data."""

    n: Count = 100
    """number of examples, of all classes together"""
    split: Literal["train", "test"] = "train"
    """the split that they are taken from"""


class Drift(Section):
    """Measure how far the kernel of the network moves along its training, until when, and in which directions."""

    kind: Literal["drift"]
    target: Literal["self"] = "self"
    """always the run's own network"""
    snapshots: Annotated[
        Several | Moments, Expects("a number of snapshots, or a list of epochs such as [0, 1/4, 1]")
    ] = 20
    """a number: so many whole epochs, evenly spaced up to the end, and 0; a list: these epochs, and 0 and the end"""
    probe: Probe = Probe()
    """the examples of the kernels, the same for all snapshots"""
    layout: Literal["full", "trace"] = "full"
    """full: every pair of outputs; trace: the mean over outputs, as small as the kernel of one output"""
    top: Counts = (10, 20)
    """numbers of leading eigenvectors to compare with all others; a number that leaves no others is skipped"""
    keep_kernels: Literal["none", "ends", "all"] = "none"
    """which kernels are kept beside the record, in float32"""
    accuracy_on: Splits = ("test",)
    """the splits on which accuracies are measured"""
    accuracy_at: Literal["all", "ends", "final"] = "all"
    """the snapshots at which accuracies are measured"""
    attack: str | None = None
    """a gradient attack on self, for robust accuracies; null: none"""
    adversarial_probe: str | None = None
    """a gradient attack on self with one budget, made anew on the probe at each snapshot; null: only the clean one"""


class EvaluatedAnalysis(Section):
    """Base of the analyses that judge a predictor, clean and under attacks."""

    target: str = SELF
    """the predictor that is judged: self, or the id of a kernel or of a further network"""
    attacks: Names = ()
    """attacks under which robust accuracy is measured; of several with one norm, also the worst case over all"""


class Accuracy(EvaluatedAnalysis):
    """Clean accuracy of a predictor, and its robust accuracy under each attack."""

    kind: Literal["accuracy"]
    gradient_norm: Annotated[bool, Field(json_schema_extra={"as_before": False}, exclude_if=lambda it: not it)] = False
    """also the mean norm of the gradient in the image (Dohmatob & Bietti 2022), of the output or, with several classes,
    of the margin: how steep the predictor is, whatever an attack finds"""


class ExtensionAnalysis(EvaluatedAnalysis):
    """Base of the analyses of other packages."""

    builder: ClassVar[str]
    """`package.module:function`, which takes this model, the target and what attacks made, and returns a
    `Measurement`"""
    metrics: ClassVar[tuple[Metric, ...]] = ()
    """metrics of the package's own that the numbers of the `Measurement` may name, beside those of ntkbench"""


class Transfer(Section):
    """Transfer of an attack: how well the examples made on one predictor fool another."""

    kind: Literal["transfer"]
    attack: str
    """the attack that is transferred"""
    target: str = SELF
    """the predictor that is judged: self, or the id of a kernel or of a further network"""
    ceiling: str | None = None
    """a white-box attack on the target with the same budgets"""
    floor: str | None = None
    """a random attack with the same budgets"""


class TransferMatrix(Section):
    """Transfer of one attack between every two of several predictors: made on each source, shown to each target."""

    kind: Literal["transfer_matrix"]
    attack: str
    """a gradient attack, of which norm, budgets and steps count; each source takes the place of its own, and a loss
    `auto` suits each source"""
    sources: Names = ()
    """the predictors that it is made on: self, or ids of kernels or of further networks; empty: all of the cell"""
    targets: Names = ()
    """the predictors that are judged; empty: all of the cell"""
    floor: str | None = None
    """a random attack with the same budgets"""


Features = Annotated[
    Several | Literal["all"] | Indices, Expects("a number of features, all, or a list of their indices from 0 on")
]


class Pictures(Section):
    """Gradients of features in test images: what each feature sees there."""

    features: Indices = (0, 1, 2)
    """indices of features; 0 has the largest eigenvalue"""
    groups: Annotated[bool, Field(json_schema_extra={"as_before": False})] = False
    """also the gradient of the sum of each of the groups"""
    tests: Indices = (0, 1)
    """test images, by their place from 0 on"""


class Eigenspace(Section):
    """Usefulness and robustness of a kernel's features, and the robustness that its top eigenspaces keep."""

    kind: Literal["eigenspace"]
    target: str
    """the id of a kernel"""
    attack: str
    """a gradient attack with the target as its source; each feature is attacked through its own gradient"""
    features: Features = 64
    """features to measure alone: all, indices (0 has the largest eigenvalue), or how many, spaced evenly in the
    logarithm"""
    truncations: Annotated[
        Several | Literal["all"] | Counts, Expects("a number of truncations, all, or a list of numbers of features")
    ] = 20
    """numbers k of features: the sum of the first k and that of the rest; also 1, 2, 5, 10, 20, 50, ..., k90 and all"""
    groups: Annotated[
        Several | Ranges, Expects("a number of groups, or a list of [first index, index after the last]")
    ] = 3
    """sums of consecutive features: so many of equal size, or these"""
    pictures: Pictures | None = None
    """which gradients to keep; null: none"""


class TimeCourse(Section):
    """Clean and robust accuracy of kernel regression along training time, and along the ridge."""

    kind: Literal["time"]
    target: str
    """the id of a kernel"""
    attack: str
    """a gradient attack with the target as its source; each time is attacked through its own gradient"""
    times: Annotated[Several | Times, Expects("a number of times, or a list of numbers above 0")] = 25
    """times of gradient flow, or how many, spaced evenly in the logarithm; infinity is always added"""
    ridges: Annotated[Several | Ridges, Expects("a number of ridges, or a list of numbers, 0 or more")] = 25
    """ridges at infinite time, or how many, spaced evenly in the logarithm"""


class Consistency(Section):
    """Agreement of the features of several kernels: eigenspaces, gradients, usefulness and robustness.

    The eigenspaces of each are compared with those of the linear kernel <x, x'>, too: what all have in common with it
    is the data's.
    """

    kind: Literal["consistency"]
    target: str
    """the id of an infinite kernel"""
    against: Annotated[Names, Field(min_length=1)]
    """ids of the infinite kernels that it is compared with"""
    top: Counts = (1, 5, 10, 20, 50, 100)
    """dimensions of the eigenspaces that are compared; more than there are examples are left out"""
    features: Features = 20
    """features to match by their index: all, indices, or how many, spaced evenly in the logarithm"""
    attack: str | None = None
    """a gradient attack with the target as its source, used on the features of all; null: no robustness"""


class LabelFlips(Section):
    """Compute exactly how many wrong training labels the predictions of a kernel withstand, whichever they are."""

    kind: Literal["label_flips"]
    target: str
    """the id of an infinite kernel, with any time and ridge"""
    flips: Counts = (1, 2, 5, 10, 20, 50)
    """numbers of wrong labels at which the certified accuracy is given"""


class Certificate(Section):
    """The radius up to which nobody can turn the prediction of a kernel: a lower bound of its true robust accuracy.

    Three bounds, of which the best counts for each example: by the distance in the kernel's Hilbert space, by the
    extremes of each kernel entry, and by a linear relaxation, which is by far the strongest and is known for ReLU and
    leaky ReLU without biases between hidden layers.
    """

    kind: Literal["certificate"]
    target: str
    """the id of an infinite kernel of a fully connected network with ReLU, leaky ReLU or erf; any time and ridge"""
    eps: Budgets
    """budgets at which the certified accuracy is given, in pixel units ([0, 1])"""
    norm: Literal["linf", "l2"] = "linf"
    """norm of the threat set, as in attacks"""
    attack: str | None = None
    """a gradient attack on the target with the same norm and budgets: its robust accuracy is an upper bound of what is
    true, and stands beside the certified one; null: none"""


Certified = Certificate | LabelFlips
"""analyses of what is certain of the regression with one infinite kernel"""

Spectral = Eigenspace | TimeCourse | Consistency
"""analyses of the features of a kernel"""

Analysis = Annotated[
    Accuracy | Transfer | TransferMatrix | Eigenspace | TimeCourse | Consistency | Certificate | LabelFlips | Drift,
    Kinds("analyses", ExtensionAnalysis),
]
