"""The data section of a spec: named sets, synthetic ones, and those of other packages."""

import abc
import os
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from ntkbench.data.catalog import CATALOG, DatasetInfo
from ntkbench.spec.extensions import Kinds
from ntkbench.spec.notation import Classes, Count, Expects, Positive, Seed
from ntkbench.spec.section import Section

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
    def entry(self) -> DatasetInfo:
        """Classes, shape and counts of the data set, known without opening it."""


class Data(Section):
    """The examples: a data set, its classes, how many, and how they are chosen."""

    dataset: Annotated[
        Annotated[NamedDataset | TwoGaussians | SphereTeacher, Kinds("datasets", ExtensionDataset)],
        BeforeValidator(_named_or_synthetic),
        Expects("the name of a data set, or a mapping with the kind of a synthetic one", (".",)),
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
    def entry(self) -> DatasetInfo | None:
        """Classes, shape and counts of a set of images; None of a synthetic set, and of an unknown name."""
        match self.dataset:
            case NamedDataset(name=name):
                return CATALOG.get(name)
            case ExtensionDataset() as extension:
                return extension.entry
        return None
