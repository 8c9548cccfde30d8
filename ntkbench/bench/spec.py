"""Models of a spec file: a header, and the cells that it spans, each one experiment.

The `Header` says what the file is called, which cells it spans and how to run them; nothing in it can change a number.
A `Cell` is one resolved experiment, and everything in it can: a run is identified by its cell and its seed. What is
cached together is nested together, so that sections are cache keys.

Models are strict, frozen, and refuse fields that they do not know. Notation is free, values are not: `8/255`, `16/510`
and `"8/255"` are one exact fraction, `0.1` and `1e-1` one number.
"""

import abc
import os
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_origin

from pydantic import BeforeValidator, Field

from ntkbench.bench.architecture import Architecture
from ntkbench.bench.extensions import Kinds
from ntkbench.bench.measures import Drift
from ntkbench.bench.notation import (
    FRACTION,
    Bytes,
    Classes,
    Count,
    Counts,
    Id,
    Indices,
    KernelTime,
    Moment,
    Name,
    Names,
    NonNegative,
    Positive,
    Ranges,
    Ridges,
    Says,
    Seconds,
    Seed,
    Seeds,
    Several,
    Texts,
    Times,
)
from ntkbench.bench.regimes import Training, Untrained
from ntkbench.bench.section import Section
from ntkbench.bench.threats import SELF, AnyAttack
from ntkbench.data.catalog import CATALOG, Entry

# ---- the cell: all that can change a number ------------------------------------------------------


class TwoGaussians(Section):
    """Two spherical Gaussian classes in the unit cube, clipped to it; the best accuracy is known."""

    kind: Literal["two_gaussians"]
    dim: Count = 20
    """number of features"""
    distance: Positive = 0.5
    """distance between the class means, in pixel units"""
    sd: Positive = 0.125
    """standard deviation of each feature"""


class SphereTeacher(Section):
    """Points on a sphere inside the unit cube, labeled by the sign of a known polynomial teacher."""

    kind: Literal["sphere_teacher"]
    dim: Count = 20
    """number of features"""
    degree: Annotated[int, Field(ge=1, le=3)] = 1
    """degree of the teacher: 1 is a linear classifier"""


Synthetic = TwoGaussians | SphereTeacher
"""data sets of two classes that are drawn, with as many examples as are asked for"""


def _named_or_synthetic(value: Any) -> Any:
    """Return the mapping that the bare name of a data set stands for; any other value as it is."""
    return {"kind": "named", "name": value} if isinstance(value, str) else value


class NamedDataset(Section):
    """A data set on disk (or bundled), by the name that `ntkbench list datasets` shows."""

    kind: Literal["named"]
    name: str
    """a name from the list"""


class ExtensionDataset(Section, abc.ABC):
    """Base of the data sets of other packages."""

    content: Annotated[str, Field(max_length=100)] | None = Field(default=None, json_schema_extra={"as_before": None})
    """digest of what its builder reads from disk, filled in when a spec is read; null: it reads nothing"""

    builder: ClassVar[str]
    """`package.module:function`, which takes this model and the folders of data sets, and returns a
    `data.dataset.Dataset`"""

    @property
    def files(self) -> tuple[Path, ...]:
        """Files and folders that the builder reads: what they hold is part of a run's identity.

        By default they are the files that the model's fields name; a model may say otherwise.
        """
        named = (getattr(self, name) for name in type(self).model_fields)
        return tuple(Path(value) for value in named if isinstance(value, str) and os.path.isfile(value))

    @property
    @abc.abstractmethod
    def entry(self) -> Entry:
        """Classes, shape and counts of the data set, known without opening it."""


class Data(Section):
    """The examples: a data set, its classes, how many, and how they are chosen."""

    dataset: Annotated[
        Annotated[NamedDataset | TwoGaussians | SphereTeacher, Kinds("datasets", ExtensionDataset)],
        BeforeValidator(_named_or_synthetic),
        Says("the name of a data set, or a mapping with the kind of a synthetic one", (".",)),
    ]
    """a name from `ntkbench list datasets`, or a synthetic set with its `kind`"""
    classes: Classes | None = None
    """names or numbers of the classes to keep, in the order of their labels; null keeps all"""
    n_train: Count
    """number of training examples"""
    n_test: Count
    """number of test examples"""
    subset: Literal["balanced", "first"] = "balanced"
    """balanced: equal counts a class, drawn with `seed`; first: the first ones in the file's order"""
    seed: Seed = 0
    """draws the subset; apart from the seeds of the runs, so that all see the same data"""
    test_seed: Annotated[Seed | None, Field(json_schema_extra={"as_before": None})] = None
    """draws the test points; null: `seed` does. `seed_of: data` sets it, so that subsets share their test points"""
    targets: Literal["one_hot", "centered"] = "one_hot"
    """targets of more than two classes; centered subtracts 1/c. Two classes are -1 and +1"""

    @property
    def entry(self) -> Entry | None:
        """Classes, shape and counts of a set of images; None of a synthetic set, and of an unknown name."""
        match self.dataset:
            case NamedDataset(name=name):
                return CATALOG.get(name)
            case ExtensionDataset() as extension:
                return extension.entry
        return None


class InfiniteKernel(Section):
    """Regression with the kernel of the infinitely wide network."""

    kind: Literal["infinite"]
    type: Literal["ntk", "nngp"] = "ntk"
    """ntk: kernel of gradient flow on all weights; nngp: covariance of the outputs at init, if the last layer alone
    learns"""
    architecture: Architecture | None = None
    """the network whose limit is taken; null: the cell's own"""
    width: Count | None = None
    """reference width of the standard parameterization, whose kernel depends on it; null: the cell's width"""
    time: KernelTime = float("inf")
    """time of gradient flow on (1/2) sum (f - y)^2; matched: that of the run's own network when its training ends"""
    ridge: NonNegative = 0.0
    """added to every eigenvalue of the kernel"""


class EmpiricalKernel(Section):
    """Regression with the kernel of the run's own finite network, f_0(x) included."""

    kind: Literal["empirical"]
    at: Annotated[Literal["init", "final"] | Moment, Says("init, final, or an epoch such as 3 or 1/2", (FRACTION,))] = (
        "init"
    )
    """the weights at which the kernel is taken: those drawn, those in the end, or those after so many epochs"""
    time: KernelTime = float("inf")
    """time of gradient flow on (1/2) sum (f - y)^2; matched: that of the run's own network when its training ends"""
    ridge: NonNegative = 0.0
    """added to every eigenvalue of the kernel"""


Kernel = Annotated[InfiniteKernel | EmpiricalKernel, Field(discriminator="kind")]


class Judged(Section):
    """Base of the analyses that judge a predictor, clean and under attacks."""

    target: str = SELF
    """the predictor that is judged: self, or the id of a kernel"""
    attacks: Names = ()
    """attacks under which robust accuracy is measured; of several with one norm, also the worst case over all"""


class Accuracy(Judged):
    """Clean accuracy of a predictor, and its robust accuracy under each attack."""

    kind: Literal["accuracy"]


class ExtensionAnalysis(Judged):
    """Base of the analyses of other packages."""

    builder: ClassVar[str]
    """`package.module:function`, which takes this model, the target and what attacks made, and returns a
    `Measurement`"""


class Transfer(Section):
    """Transfer of an attack: how well the examples made on one predictor fool another."""

    kind: Literal["transfer"]
    attack: str
    """the attack that is transferred"""
    target: str = SELF
    """the predictor that is judged: self, or the id of a kernel"""
    ceiling: str | None = None
    """a white-box attack on the target with the same budgets"""
    floor: str | None = None
    """a random attack with the same budgets"""


Features = Annotated[
    Several | Literal["all"] | Indices, Says("a number of features, all, or a list of their indices from 0 on")
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
        Several | Literal["all"] | Counts, Says("a number of truncations, all, or a list of numbers of features")
    ] = 20
    """numbers k of features: the sum of the first k and that of the rest; also 1, 2, 5, 10, 20, 50, ..., k90 and all"""
    groups: Annotated[
        Several | Ranges, Says("a number of groups, or a list of [first index, index after the last]")
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
    times: Annotated[Several | Times, Says("a number of times, or a list of numbers above 0")] = 25
    """times of gradient flow, or how many, spaced evenly in the logarithm; infinity is always added"""
    ridges: Annotated[Several | Ridges, Says("a number of ridges, or a list of numbers, 0 or more")] = 25
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


Spectral = Eigenspace | TimeCourse | Consistency
"""analyses of the features of a kernel"""

Analysis = Annotated[
    Accuracy | Transfer | Eigenspace | TimeCourse | Consistency | Drift, Kinds("analyses", ExtensionAnalysis)
]


class Numerics(Section):
    """Precision of the computation. Solves and eigendecompositions are always float64."""

    kernel: Literal["float64", "float32"] = "float64"
    """precision of kernels and of attacks on them"""
    network: Literal["float64", "float32"] = "float32"
    """precision of networks, their training and attacks on them"""


class Cell(Section):
    """One resolved experiment."""

    data: Data
    """which examples, and how many"""
    architecture: Architecture
    """the network without its width: a recipe for a finite one and for its limit"""
    width: Count | None = None
    """units of the hidden layers; null when the cell has no finite network"""
    training: Training = Untrained(mode="none")
    """how the network is fitted; mode none leaves it as it was drawn"""
    kernels: dict[Id, Kernel] = Field(default={})
    """predictors by kernel regression, by id"""
    attacks: dict[Id, AnyAttack] = Field(default={})
    """ways to perturb test points, by id"""
    analyses: Annotated[dict[Id, Analysis], Field(min_length=1)]
    """what is measured, by id; one at least"""
    numerics: Numerics = Numerics()
    """precision of the computation"""


BY_ID = tuple(name for name, field in Cell.model_fields.items() if get_origin(field.annotation) is dict)
"""sections of a cell that are mappings by id"""

# ---- the header: names, and how to run -----------------------------------------------------------


class Resources(Section):
    """The share of a machine that a unit of work takes, for executors that share machines out."""

    cpu: Positive = 1.0
    """cores; a part of one is possible"""
    gpu: NonNegative | None = None
    """accelerators; a part of one is possible; null: one where there are any"""
    memory: Bytes | None = None
    """memory of the machine; null: no claim on it"""


class RunOptions(Section):
    """Options of running: speed alone, recorded and never part of a run's identity."""

    tile_bytes: Bytes | None = None
    """memory of one tile of a Gram matrix or of one batch of an attack; null: from the memory of the device"""
    checkpoint_every: Count = 50
    """epochs between checkpoints of the training"""
    timeout: Seconds | None = None
    """longest time of one run (of a training that n runs share, n times as long); null: no limit"""
    resources: Resources = Resources()
    """what `--executor ray` reserves for runs that share a training"""


class Header(Section):
    """Names and ways of running; nothing here can change the numbers of a cell."""

    ntkbench: Annotated[Literal[1], Says("1, the version of the format that this program reads")]
    """version of the format"""
    name: Name
    """what tables and records call it"""
    title: str = ""
    """what the spec is about, in a line"""
    about: str = ""
    """the question, and why it is asked"""
    references: Texts = ()
    """publications, such as arXiv:2210.05577"""
    tags: Texts = ()
    """words to find it by"""
    track: (
        Annotated[
            str, Field(pattern=r"^[a-z0-9-]+@[0-9]+$"), Says("a track and its version, such as transfer-fashion@1")
        ]
        | None
    ) = None
    """the leaderboard that entries from this spec are meant for"""
    extends: Names = ()
    """files that this one builds on, relative to it; later ones win, this file wins over all"""
    matrix: dict[str, Any] = Field(default={})
    """axes: a path with its values, or a name whose labels each set several paths; exclude: cells to leave out"""
    seeds: Annotated[
        Annotated[int, Field(gt=0, le=10_000)] | Seeds, Says("the number of seeds (1 to 10000) or a list of them")
    ] = 1
    """how many seeds, or a list of them"""
    seed_of: Literal["run", "data"] = "run"
    """run: seeds draw networks and batches; data: they also draw the training subset, on the same test points"""
    run: RunOptions = RunOptions()
    """how to run: speed alone, never part of a run's identity"""
    smoke: dict[str, Any] = Field(default={})
    """overrides that `--smoke` applies: the same experiment, small enough to try"""

    @property
    def seed_values(self) -> tuple[int, ...]:
        """The seeds themselves; a number n of seeds stands for 0 to n - 1."""
        return self.seeds if isinstance(self.seeds, tuple) else tuple(range(self.seeds))


NOT_IN_THE_CELL = frozenset(Header.model_fields)
"""top-level keys of a spec file that belong to the header"""
