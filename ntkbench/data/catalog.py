"""The catalog of named data sets: what each holds, known without opening it.

Specs are checked against it, so that it imports no NumPy. `load` verifies that the files hold what it says.

    entry("mnist").n_train    # 60000
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from ntkbench.errors import UsageError


@dataclass(frozen=True)
class DatasetInfo:
    """A named data set: its size, classes, licence, and the shape (rows, columns, channels) of its images."""

    name: str
    title: str
    """name for people, with the authors"""
    classes: tuple[str, ...]
    """names of the classes, in the order of their labels"""
    shape: tuple[int, int, int]
    """rows, columns, channels"""
    train_counts: tuple[int, ...]
    """training images of each class"""
    test_counts: tuple[int, ...]
    """test images of each class"""
    licence: str
    bundled: bool = False
    """true if it comes with the package"""

    @property
    def n_train(self) -> int:
        """Return the number of training images of all classes."""
        return sum(self.train_counts)

    @property
    def n_test(self) -> int:
        """Return the number of test images of all classes."""
        return sum(self.test_counts)


_CLOTHES = (
    "t_shirt_top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle_boot",
)
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_ENTRIES = (
    DatasetInfo(
        name="fashion_mnist_mini",
        title="Fashion-MNIST, 500 training and 100 test images of each class",
        classes=_CLOTHES,
        shape=(28, 28, 1),
        train_counts=(500,) * 10,
        test_counts=(100,) * 10,
        licence="MIT, (c) 2017 Zalando SE",
        bundled=True,
    ),
    DatasetInfo(
        name="fashion_mnist",
        title="Fashion-MNIST (Xiao, Rasul, Vollgraf 2017)",
        classes=_CLOTHES,
        shape=(28, 28, 1),
        train_counts=(6000,) * 10,
        test_counts=(1000,) * 10,
        licence="MIT, (c) 2017 Zalando SE",
    ),
    DatasetInfo(
        name="mnist",
        title="MNIST (LeCun, Cortes, Burges)",
        classes=_DIGITS,
        shape=(28, 28, 1),
        train_counts=(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
        test_counts=(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
        licence="CC BY-SA 3.0 (as Keras states it)",
    ),
    DatasetInfo(
        name="cifar10",
        title="CIFAR-10 (Krizhevsky 2009)",
        classes=_THINGS,
        shape=(32, 32, 3),
        train_counts=(5000,) * 10,
        test_counts=(1000,) * 10,
        licence="none stated",
    ),
)
CATALOG: Mapping[str, DatasetInfo] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
"""all named data sets by their names"""


def _nearest(word: str, words: Sequence[str]) -> str:
    """Return the end of a message about an unknown word: the most similar one, or all there are."""
    close = get_close_matches(word, words, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(words)}"


def entry(name: str) -> DatasetInfo:
    """Return the catalog's entry of a name; UsageError if there is none."""
    if name not in CATALOG:
        raise UsageError(f"no data set {name!r}; {_nearest(name, tuple(CATALOG))}")
    return CATALOG[name]


def class_numbers(entry: DatasetInfo, classes: Sequence[str | int] | None) -> tuple[int, ...]:
    """Return the labels of classes given by name or number (also `"7"`), in the order given; of all for None.

    ValueError for a class that does not exist or is named twice.
    """
    if classes is None:
        return tuple(range(len(entry.classes)))
    numbers = tuple(_number(entry, word) for word in classes)
    for position, number in enumerate(numbers):
        if number in numbers[:position]:
            raise ValueError(f"class {entry.classes[number]!r} stands here twice")
    return numbers


def _number(entry: DatasetInfo, word: str | int) -> int:
    """Return the label of a class given by name or number; ValueError if there is none."""
    text = str(word)
    if text in entry.classes:
        return entry.classes.index(text)
    if text.isascii() and text.isdecimal() and int(text) < len(entry.classes):
        return int(text)
    raise ValueError(f"{entry.name} has no class {word!r}; {_nearest(text, entry.classes)}")


def most(counts: Sequence[int], subset: str) -> int:
    """Return the largest number of examples that a subset can take from classes with these counts.

    `subset`: `first` (the first of the file) or `balanced` (one of each class in turn).
    """
    if subset == "first":
        return sum(counts)
    # Balanced takes one of each class in turn, so it ends at the first class that has run out.
    return len(counts) * min(counts) + counts.index(min(counts))


def available(entry: DatasetInfo, classes: Sequence[int], subset: str) -> tuple[int, int]:
    """Return the largest n_train and n_test that a spec can ask of these classes."""
    return (
        most([entry.train_counts[k] for k in classes], subset),
        most([entry.test_counts[k] for k in classes], subset),
    )
