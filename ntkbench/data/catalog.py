"""The named data sets: what each holds, known without opening it (no NumPy here, so that specs are checked at once)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from ntkbench.errors import UsageError


@dataclass(frozen=True)
class Entry:
    """What is known of a data set: images of `shape` (h, w, channels), classes in the order of their labels."""

    name: str
    title: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    train_counts: tuple[int, ...]
    """training images of each class"""
    test_counts: tuple[int, ...]
    """test images of each class"""
    licence: str
    bundled: bool = False
    """comes with the package"""

    @property
    def n_train(self) -> int:
        return sum(self.train_counts)

    @property
    def n_test(self) -> int:
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
    Entry(
        name="fashion_mnist_mini",
        title="Fashion-MNIST, 500 training and 100 test images of each class",
        classes=_CLOTHES,
        shape=(28, 28, 1),
        train_counts=(500,) * 10,
        test_counts=(100,) * 10,
        licence="MIT, (c) 2017 Zalando SE",
        bundled=True,
    ),
    Entry(
        name="fashion_mnist",
        title="Fashion-MNIST (Xiao, Rasul, Vollgraf 2017)",
        classes=_CLOTHES,
        shape=(28, 28, 1),
        train_counts=(6000,) * 10,
        test_counts=(1000,) * 10,
        licence="MIT, (c) 2017 Zalando SE",
    ),
    Entry(
        name="mnist",
        title="MNIST (LeCun, Cortes, Burges)",
        classes=_DIGITS,
        shape=(28, 28, 1),
        train_counts=(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
        test_counts=(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
        licence="CC BY-SA 3.0 (as Keras states it)",
    ),
    Entry(
        name="cifar10",
        title="CIFAR-10 (Krizhevsky 2009)",
        classes=_THINGS,
        shape=(32, 32, 3),
        train_counts=(5000,) * 10,
        test_counts=(1000,) * 10,
        licence="none stated",
    ),
)
CATALOG: Mapping[str, Entry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})


def _nearest(word: str, words: Sequence[str]) -> str:
    close = get_close_matches(word, words, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(words)}"


def entry(name: str) -> Entry:
    """The entry of that name; UsageError if there is none."""
    if name not in CATALOG:
        raise UsageError(f"no data set {name!r}; {_nearest(name, tuple(CATALOG))}")
    return CATALOG[name]


def class_numbers(entry: Entry, classes: Sequence[str | int] | None) -> tuple[int, ...]:
    """Labels of the classes, given by name or number (also `"7"`), in the order given; None is all of them.

    ValueError names a class that does not exist or stands there twice.
    """
    if classes is None:
        return tuple(range(len(entry.classes)))
    numbers = tuple(_number(entry, word) for word in classes)
    for position, number in enumerate(numbers):
        if number in numbers[:position]:
            raise ValueError(f"class {entry.classes[number]!r} stands here twice")
    return numbers


def _number(entry: Entry, word: str | int) -> int:
    text = str(word)
    if text in entry.classes:
        return entry.classes.index(text)
    if text.isascii() and text.isdecimal() and int(text) < len(entry.classes):
        return int(text)
    raise ValueError(f"{entry.name} has no class {word!r}; {_nearest(text, entry.classes)}")


def most(counts: Sequence[int], subset: str) -> int:
    """How many examples can be taken at most from classes with `counts` examples."""
    if subset == "first":
        return sum(counts)
    # Balanced takes one of each class in turn, so it ends at the first class that has run out.
    return len(counts) * min(counts) + counts.index(min(counts))


def available(entry: Entry, classes: Sequence[int], subset: str) -> tuple[int, int]:
    """The largest n_train and n_test that can be asked of these classes."""
    return (
        most([entry.train_counts[k] for k in classes], subset),
        most([entry.test_counts[k] for k in classes], subset),
    )
