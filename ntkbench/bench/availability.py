"""Whether the data that a spec asks for exist: the set, its classes, enough examples of them."""

from collections.abc import Iterator

from ntkbench.bench.document import Path
from ntkbench.bench.spec import Data, NamedDataset
from ntkbench.bench.suggest import did_you_mean
from ntkbench.bench.validate import Draft
from ntkbench.data.catalog import CATALOG, Entry, available, class_numbers
from ntkbench.errors import Problem


def problems(draft: Draft) -> Iterator[Problem]:
    data = draft.sections["data"]
    if data is None:
        return
    if not isinstance(data.dataset, NamedDataset):
        yield from _synthetic(draft, data)
    elif data.dataset.name not in CATALOG:
        message = f"no data set {data.dataset.name}{did_you_mean(data.dataset.name, CATALOG)}"
        yield _at(draft, ("dataset", "name"), message)
    else:
        yield from _named(draft, data, CATALOG[data.dataset.name])


def _at(draft: Draft, path: Path, message: str) -> Problem:
    return draft.root.at(("data", *path)).place.problem(("data", *path), message)


def _synthetic(draft: Draft, data: Data) -> Iterator[Problem]:
    if data.classes is not None:
        yield _at(draft, ("classes",), "a synthetic set has its two classes and takes no `classes`; delete it")
    yield from _centered(draft, data, 2)


def _named(draft: Draft, data: Data, entry: Entry) -> Iterator[Problem]:
    numbers: list[int] = []
    for i, word in enumerate(data.classes or range(len(entry.classes))):
        try:
            number = class_numbers(entry, (word,))[0]
        except ValueError:
            known = entry.classes if isinstance(word, str) else ()
            near = (
                did_you_mean(str(word), known)
                or f"; its classes are {', '.join(entry.classes)}, or 0 to {len(entry.classes) - 1}"
            )
            yield _at(draft, ("classes", i), f"{entry.name} has no class {word}{near}")
            continue
        if number in numbers:
            yield _at(draft, ("classes", i), f"the class {entry.classes[number]} stands here twice")
        numbers.append(number)
    whole = data.classes is None or len(set(numbers)) == len(data.classes)
    if whole:
        yield from _enough(draft, data, entry, numbers)
        yield from _centered(draft, data, len(numbers))


def _enough(draft: Draft, data: Data, entry: Entry, numbers: list[int]) -> Iterator[Problem]:
    most = dict(zip(("n_train", "n_test"), available(entry, numbers, data.subset), strict=True))
    asked = {"n_train": data.n_train, "n_test": data.n_test}
    for name, limit in most.items():
        if asked[name] > limit:
            what = "training" if name == "n_train" else "test"
            of = f"these {len(numbers)} classes" if data.classes is not None else "its classes"
            message = (
                f"{entry.name} has {limit} {what} examples of {of} (subset: {data.subset}), fewer than {asked[name]}"
            )
            yield _at(draft, (name,), message)


def _centered(draft: Draft, data: Data, classes: int) -> Iterator[Problem]:
    if data.targets == "centered" and classes == 2:
        yield _at(
            draft, ("targets",), "two classes have the targets -1 and +1, which are centered already; delete this"
        )
