"""Labeled images as NumPy arrays, and the choice of some of them.

`load` and `synthetic` return a `Dataset`, and `build.examples` takes the part that a spec asks for with `select`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int64, UInt8

from ntkbench.data.catalog import most
from ntkbench.errors import DataError


@dataclass(frozen=True)
class Split:
    """`n` labeled images: bytes from 0 to 255 as in the file, or floats in [0, 1]."""

    images: UInt8[np.ndarray, "n h w channels"] | Float[np.ndarray, "n h w channels"]
    labels: Int64[np.ndarray, " n"]
    index: Int64[np.ndarray, " n"]
    """position of each image in the original file"""

    def unit(self, dtype: Any = np.float64) -> Float[np.ndarray, "n h w channels"]:
        """Return the images as floats of `dtype` in [0, 1]: bytes are divided by 255."""
        pixels = self.images.astype(dtype)
        return pixels / pixels.dtype.type(255) if self.images.dtype == np.uint8 else pixels

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """Training and test examples of one data set."""

    train: Split
    test: Split
    classes: tuple[str, ...]
    """names of the labels 0, 1, ..."""


def select(
    dataset: Dataset,
    classes: Sequence[int],
    n_train: int,
    n_test: int,
    subset: str,
    seed: int,
    test_seed: int | None = None,
) -> Dataset:
    """Return examples of some classes, which get the labels 0, 1, ... in the order given.

    Args:
        dataset: the data set that they are taken from.
        classes: labels of the classes in `dataset`.
        n_train: the number of training examples.
        n_test: the number of test examples.
        subset: `first` takes examples in the order of the file. `balanced` takes one of each class in turn, from an
            order
            of each class that depends on seed, split and class alone: a larger subset begins with the smaller one, and
            the examples of a class do not depend on the other classes.
        seed: draws the order for `balanced`.
        test_seed: draws the test examples in place of `seed`; None for the same seed.

    Raises:
        DataError: the classes have fewer examples.
    """
    names = tuple(dataset.classes[k] for k in classes)
    numbers = np.full(len(dataset.classes), -1)
    numbers[list(classes)] = np.arange(len(classes))
    splits = []
    seeds = seed, seed if test_seed is None else test_seed
    for key, (what, split, n) in enumerate((("training", dataset.train, n_train), ("test", dataset.test, n_test))):
        labels = numbers[split.labels]
        members = [np.flatnonzero(labels == label) for label in range(len(classes))]
        _check(what, n, subset, dict(zip(names, map(len, members), strict=True)))
        if subset == "first":
            chosen = np.flatnonzero(labels >= 0)[:n]
        else:
            shuffled = [
                np.random.default_rng([seeds[key], key, k]).permutation(own)
                for k, own in zip(classes, members, strict=True)
            ]
            chosen = _in_turn(shuffled, n)
        splits.append(Split(split.images[chosen], labels[chosen], split.index[chosen]))
    return Dataset(*splits, classes=names)


def balanced(split: Split, classes: int, n: int) -> Split:
    """Return the first `n` examples of a split in which classes take turns, `n` / `classes` of each.

    `n` is a multiple of `classes`, the number of labels. DataError if a class has too few examples.
    """
    members = [np.flatnonzero(split.labels == label)[: n // classes] for label in range(classes)]
    fewest = min(map(len, members))
    if fewest < n // classes:
        raise DataError(
            f"{n // classes} examples of each of {classes} classes asked for, but of one there are only {fewest}; "
            "ask for fewer, or take subset: balanced"
        )
    chosen = _in_turn(members, n)
    return Split(split.images[chosen], split.labels[chosen], split.index[chosen])


def _in_turn(members: Sequence[np.ndarray], n: int) -> np.ndarray:
    """Return the first `n` of: the first of each class, the second of each, ..."""
    rounds = -(-n // len(members))
    # A class may lack its turn in the last, broken round; what resize puts there is cut off again.
    return np.stack([np.resize(own, rounds) for own in members], axis=1).reshape(-1)[:n]


def _check(what: str, n: int, subset: str, counts: dict[str, int]) -> None:
    """Raise a DataError if a subset of `n` examples needs more than the classes have."""
    limit = most(list(counts.values()), subset)
    if not 0 < n <= limit:
        there = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise DataError(
            f"{n} {what} examples asked for, but a {subset} subset can have 1 to {limit} ({there}); "
            "ask for fewer or choose other classes"
        )
