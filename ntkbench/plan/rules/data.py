"""Rules for the `data` section: the set, its classes, and enough examples of them must exist.

They read the YAML document, not the validated section, so that a mistake in one field of `data` hides no other. Only
the catalog is asked, and what `plan.user_files` has filled in; `data.places.absent` tells which sets are not
on this machine.
"""

from collections.abc import Iterator, Sequence
from typing import get_args

from pydantic import ValidationError

from ntkbench.data.catalog import CATALOG, DatasetInfo, available, class_numbers
from ntkbench.errors import Problem
from ntkbench.spec.data import ExtensionDataset, FileDataset
from ntkbench.spec.document import Node, plain
from ntkbench.spec.extensions import installed
from ntkbench.text import did_you_mean, nearest

_SYNTHETIC = ("two_gaussians", "sphere_teacher")
"""kinds of data sets that are drawn, with two classes"""


def problems(root: Node) -> Iterator[Problem]:
    """Yield the mistakes in the `data` section of a document, each at its line and column."""
    data = root.at(("data",))
    dataset = data.child("dataset")
    if dataset is None:
        return
    name = dataset.child("name") or dataset
    if isinstance(name.value, str):
        path = "data.dataset.name" if dataset.entries else "data.dataset"
        if name.value in CATALOG:
            yield from _named(data, CATALOG[name.value])
        else:
            yield name.place.problem(path, f"no data set {name.value}{did_you_mean(name.value, CATALOG)}")
    elif plain(dataset.child("kind") or dataset) in _SYNTHETIC:
        yield from _synthetic(data)
    elif known := _described(dataset):
        yield from _named(data, known)


def _described(dataset: Node) -> DatasetInfo | None:
    """Return what the catalog would say of a data set in files, or of another package's.

    Return None if the spec's mapping is no valid one, or the files could not be read.
    """
    kind = dataset.at(("kind",)).value
    models = (*FileDataset.__subclasses__(), *(each.model for each in installed("datasets")))
    model = next((each for each in models if get_args(each.model_fields["kind"].annotation) == (kind,)), None)
    if model is None or not issubclass(model, FileDataset | ExtensionDataset):
        return None
    try:
        return model.model_validate(plain(dataset)).entry
    except ValidationError:
        return None


def _synthetic(data: Node) -> Iterator[Problem]:
    """Yield the mistakes about a synthetic set, whose two classes cannot be chosen."""
    classes = data.child("classes")
    if classes is not None and classes.value is not None:
        yield classes.place.problem("data.classes", "a synthetic set has its own two classes; write null")
    yield from _centered(data, 2)


def _named(data: Node, entry: DatasetInfo) -> Iterator[Problem]:
    """Yield the mistakes about a named set: unknown or repeated classes, then too few examples of these classes."""
    classes = data.child("classes")
    every = classes is None or classes.value is None
    numbers = list(range(len(entry.classes))) if every else []
    asked = classes.items if classes else ()
    for i, item in enumerate(asked):
        number = _number(item, entry)
        path = ("data", "classes", i)
        if number in numbers:
            yield item.place.problem(path, f"the class {entry.classes[number]} stands here twice")
        elif number is not None:
            numbers.append(number)
        elif isinstance(item.value, (str, int)) and not isinstance(item.value, bool):
            yield item.place.problem(
                path, f"{entry.name} has no class {item.value}; {_classes(str(item.value), entry)}"
            )
    if every or (asked and len(numbers) == len(asked)):
        yield from _enough(data, entry, numbers)
        yield from _centered(data, len(numbers))


def _number(item: Node, entry: DatasetInfo) -> int | None:
    """Return the label of a class given by name or number; None if the set has no such class."""
    if not isinstance(item.value, (str, int)) or isinstance(item.value, bool):
        return None
    try:
        return class_numbers(entry, (item.value,))[0]
    except ValueError:
        return None


def _classes(word: str, entry: DatasetInfo) -> str:
    """Return a hint for an unknown class: the nearest name, or all names."""
    if near := nearest(word, entry.classes):
        return f"did you mean {near}?"
    return f"its classes are {', '.join(entry.classes)} (or 0 to {len(entry.classes) - 1})"


def _enough(data: Node, entry: DatasetInfo, numbers: Sequence[int]) -> Iterator[Problem]:
    """Yield a problem where `n_train` or `n_test` is more than the set has of these classes, or where too few training
    examples are left to validate a poison."""
    said = data.child("subset")
    subset = str(said.value) if said else "balanced"
    for name, limit in zip(("n_train", "n_test"), available(entry, numbers, subset), strict=True):
        asked = data.child(name)
        if asked is not None and isinstance(asked.value, int) and asked.value > limit:
            what = "training" if name == "n_train" else "test"
            message = (
                f"{entry.name} has only {limit} {what} examples of these {len(numbers)} classes (subset: {subset})"
            )
            yield asked.place.problem(("data", name), message)
    yield from _validation(data, entry, available(entry, numbers, subset)[0])


def _validation(data: Node, entry: DatasetInfo, pool: int) -> Iterator[Problem]:
    """Yield a problem where a poison wants more validation examples than are left of a pool of training examples."""
    asked, n_train = data.at(("poison",)).child("n_validation"), data.at(("n_train",)).value
    if asked is not None and isinstance(asked.value, int) and isinstance(n_train, int):
        left = pool - n_train
        if 0 <= left < asked.value:
            message = f"{entry.name} has {pool} training examples of these classes, and n_train takes {n_train}"
            path = ("data", "poison", "n_validation")
            yield asked.place.problem(path, f"{message}: {left} are left to validate on")


def _centered(data: Node, classes: int) -> Iterator[Problem]:
    """Yield a problem where `targets: centered` is asked of two classes."""
    targets = data.child("targets")
    if classes == 2 and targets is not None and targets.value == "centered":
        message = "two classes have the targets -1 and +1, which are centered already; delete this"
        yield targets.place.problem("data.targets", message)
