"""The data section of a spec: named sets, synthetic ones, and those of other packages."""

import abc
import os
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from ntkbench.data.catalog import CATALOG, DatasetInfo
from ntkbench.spec.extensions import Kinds
from ntkbench.spec.notation import (
    Classes,
    Count,
    Expects,
    Id,
    Positive,
    Seed,
    Several,
    Step,
    Texts,
    Time,
    listed,
)
from ntkbench.spec.section import Budget, FilePath, FileSection, Section, ToldApart

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


def _interval(value: Any) -> tuple[float, float]:
    """Return a list of two numbers, the smaller first, as floats; ValueError for any other value."""
    numbers = [each for each in value if _is_number(each)] if isinstance(value, (list, tuple)) else []
    if len(numbers) != 2 or len(value) != 2 or not numbers[0] < numbers[1]:
        raise ValueError
    return float(numbers[0]), float(numbers[1])


def _is_number(value: Any) -> bool:
    """Return whether a value is a number of a size that floats have."""
    return isinstance(value, (int, float, Fraction)) and not isinstance(value, bool) and abs(value) < 10**300


def _named_or_synthetic(value: Any) -> Any:
    """Return the mapping that the bare name of a data set stands for; any other value as it is."""
    return {"kind": "named", "name": value} if isinstance(value, str) else value


class NamedDataset(Section):
    """A data set on disk (or bundled), by the name that `ntkbench list datasets` shows."""

    kind: Literal["named"]
    name: str
    """a name from the list"""


_Counts = Annotated[
    tuple[Count, ...], Field(min_length=2, max_length=1000), BeforeValidator(listed), Expects("a list of whole numbers")
]
_Shape = Annotated[
    tuple[Count, Count, Count], BeforeValidator(listed), Expects("rows, columns and channels, such as [32, 32, 3]")
]


class FileContents(Section):
    """Hold the classes, shape and counts that the files of a data set have."""

    classes: Annotated[Texts, Field(min_length=2, max_length=1000)]
    """names of the classes, in the order of their labels"""
    shape: _Shape
    """rows, columns and channels of an image; a vector has its features as channels"""
    train_counts: _Counts
    """training examples of each class"""
    test_counts: _Counts
    """test examples of each class"""

    @model_validator(mode="after")
    def _one_count_a_class(self) -> "FileContents":
        if not len(self.classes) == len(self.train_counts) == len(self.test_counts):
            raise ValueError
        return self


class FileDataset(FileSection):
    """Base of the data sets in a user's own files."""

    holds: Annotated[FileContents | None, Field(json_schema_extra={"identity": False})] = None
    """what the files hold, filled in when a spec is read; with content and holds a spec is planned without the files"""

    @property
    def entry(self) -> DatasetInfo | None:
        """Classes, shape and counts of the data set; None before its files were looked at."""
        if self.holds is None:
            return None
        return DatasetInfo(name=os.path.basename(self.paths[0]), title="", licence="", **dict(self.holds))


class NpzDataset(FileDataset):
    """An npz file with the arrays x_train, y_train, x_test and y_test, and class_names where classes have names.

    Images are bytes (uint8) or floats in [0, 1]: (n, h, w, c), (n, h, w), or (n, d) for vectors. Labels are whole
    numbers from 0 on.
    """

    kind: Literal["npz"]
    path: FilePath
    """the file"""


class FolderDataset(FileDataset):
    """A folder of images (.png, .jpg), which lie in train/CLASS and in test/CLASS; Pillow reads them.

    Classes are sorted by name.
    """

    kind: Literal["folder"]
    path: FilePath
    """the folder that has train and test"""
    shape: Annotated[
        tuple[Several, Several, Literal[1, 3]],
        BeforeValidator(listed),
        Expects("rows, columns and channels (1 for gray, 3 for colors), such as [32, 32, 3]"),
    ]
    """rows, columns and channels to which every image is resized (bilinear) and converted"""


class CsvDataset(FileDataset):
    """Vectors in two CSV files with the same columns, whose first line has the names of the columns."""

    kind: Literal["csv"]
    train: FilePath
    """the file of training examples"""
    test: FilePath
    """the file of test examples"""
    label: str
    """the column of labels, which are texts or numbers; all other columns are features"""
    range: Annotated[
        tuple[float, float],
        BeforeValidator(_interval),
        Expects("two numbers, the smaller first, such as [0, 255]"),
    ] = (0.0, 1.0)
    """the least and the largest value that a feature can have, which become 0 and 1; other values are refused"""


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
    def entry(self) -> DatasetInfo:
        """Classes, shape and counts of the data set, known without opening it."""


class Poisoning(Section):
    """Training images that are moved; their labels and the test images stay as they are."""

    eps: Budget
    """no pixel moves farther than this from the clean image, in pixel units ([0, 1])"""


class NTGA(Poisoning):
    """Images that make a kernel generalize badly when it is fitted to them (Yuan & Wu 2021).

    They climb the cross-entropy of gradient flow with the kernel on validation images, which are drawn from the same
    pool as the training images and are none of them. Each step goes along the sign of the gradient. One that does not
    raise the loss is not taken, and halves those that follow.
    """

    kind: Literal["ntga"]
    kernel: Id
    """the infinite kernel of this id in `kernels`; its own time, ridge and fit do not count"""
    time: Time = float("inf")
    """time of gradient flow on (1/2) sum (f - y)^2, to which the kernel is fitted"""
    n_validation: Count
    """number of validation images, which are clean and no training images"""
    steps: Annotated[int, Field(gt=0, le=100_000)] = 10
    """number of steps, each with one decomposition of the kernel and one gradient"""
    step_size: Step | None = None
    """length of the first step, in pixel units; null: 2.5 eps / steps"""
    block: Count = 512
    """most training images that move together; the kernel is fitted to them alone. Larger sets are divided into blocks
    of nearly equal size"""


class RandomSignPoisoning(Poisoning):
    """Each pixel moves by eps up or down at random: the control."""

    kind: Literal["random_sign"]
    seed: Seed = 0
    """draws the signs"""


Poison = Annotated[NTGA | RandomSignPoisoning, ToldApart("kind")]
"""ways to move the training images"""


class Data(Section):
    """The examples: a data set, its classes, how many, and how they are chosen."""

    dataset: Annotated[
        Annotated[
            NamedDataset | TwoGaussians | SphereTeacher | NpzDataset | FolderDataset | CsvDataset,
            Kinds("datasets", ExtensionDataset),
        ],
        BeforeValidator(_named_or_synthetic),
        Expects("the name of a data set, or a mapping with the kind of a synthetic one or of files", (".",)),
    ]
    """a name from `ntkbench list datasets`, or a synthetic set or one in files with its `kind`"""
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
    poison: Annotated[
        Poison | None, Field(json_schema_extra={"as_before": None}, exclude_if=lambda poison: poison is None)
    ] = None
    """what moves the training images before anything is fitted to them; null: they are clean"""

    @property
    def entry(self) -> DatasetInfo | None:
        """Classes, shape and counts of a set of images; None of a synthetic set, and of an unknown name."""
        match self.dataset:
            case NamedDataset(name=name):
                return CATALOG.get(name)
            case ExtensionDataset() | FileDataset() as other:
                return other.entry
        return None
