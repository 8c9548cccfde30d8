import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkbench.data.dataset import Dataset, Split, balanced, select
from ntkbench.errors import DataError


def split(labels: list[int], start: int) -> Split:
    n = len(labels)
    images = np.arange(n, dtype=np.uint8).reshape(n, 1, 1, 1)
    return Split(images, np.array(labels, np.int64), start + np.arange(n))


@st.composite
def shuffled_labels(draw) -> list[int]:
    """One to seven labels of each of four classes."""
    counts = draw(st.lists(st.integers(1, 7), min_size=4, max_size=4))
    return draw(st.permutations([label for label, count in enumerate(counts) for _ in range(count)]))


def four_classes(train: list[int], test: list[int]) -> Dataset:
    return Dataset(split(train, 100), split(test, 500), ("a", "b", "c", "d"))


def limits(dataset: Dataset, classes: list[int], subset: str) -> tuple[int, int]:
    """The largest n_train and n_test, found by trying."""

    def largest(labels: np.ndarray) -> int:
        counts = [int((labels == k).sum()) for k in classes]
        if subset == "first":
            return sum(counts)
        turns = itertools.cycle(range(len(counts)))
        return next(n for n, k in enumerate(turns) if counts[k] == n // len(counts))

    return largest(dataset.train.labels), largest(dataset.test.labels)


some_classes = st.lists(st.integers(0, 3), min_size=2, max_size=4, unique=True)
label_lists = shuffled_labels()
subsets = st.sampled_from(["balanced", "first"])


@given(
    train=shuffled_labels(),
    test=shuffled_labels(),
    classes=some_classes,
    subset=subsets,
    seed=st.integers(0, 9),
    data=st.data(),
)
def test_selection(train, test, classes, subset, seed, data):
    dataset = four_classes(train, test)
    n_train, n_test = (data.draw(st.integers(1, limit)) for limit in limits(dataset, classes, subset))
    chosen = select(dataset, classes, n_train, n_test, subset, seed)
    assert chosen.classes == tuple(dataset.classes[k] for k in classes)
    for whole, part, n, start in (
        (dataset.train, chosen.train, n_train, 100),
        (dataset.test, chosen.test, n_test, 500),
    ):
        assert len(part) == n == len(set(part.index))
        at = part.index - start
        np.testing.assert_array_equal(part.images, whole.images[at])
        np.testing.assert_array_equal(np.array(classes)[part.labels], whole.labels[at])
        if subset == "first":
            np.testing.assert_array_equal(at, np.flatnonzero(np.isin(whole.labels, classes))[:n])
        else:
            np.testing.assert_array_equal(part.labels, np.arange(n) % len(classes))


@given(train=label_lists, test=label_lists, classes=some_classes, subset=subsets, seed=st.integers(0, 9))
def test_asking_for_more_extends(train, test, classes, subset, seed):
    dataset = four_classes(train, test)
    n_train, n_test = limits(dataset, classes, subset)
    most_of_it = select(dataset, classes, n_train, n_test, subset, seed)
    for n in range(1, n_train):
        less = select(dataset, classes, n, 1, subset, seed)
        np.testing.assert_array_equal(less.train.index, most_of_it.train.index[:n])
        assert less.test.index[0] == most_of_it.test.index[0]


@given(train=label_lists, test=label_lists, classes=some_classes, subset=subsets)
def test_more_than_there_is(train, test, classes, subset):
    dataset = four_classes(train, test)
    n_train, n_test = limits(dataset, classes, subset)
    with pytest.raises(DataError, match=f"^{n_train + 1} training examples asked for"):
        select(dataset, classes, n_train + 1, n_test, subset, 0)
    with pytest.raises(DataError, match=f"^{n_test + 1} test examples asked for"):
        select(dataset, classes, n_train, n_test + 1, subset, 0)


def test_message_counts_the_classes():
    dataset = Dataset(split([0, 0, 0, 1, 1, 2], 0), split([0, 1, 2], 0), ("bag", "coat", "dress"))
    with pytest.raises(DataError) as caught:
        select(dataset, (1, 0), 6, 2, "balanced", 0)
    assert str(caught.value) == (
        "6 training examples asked for, but a balanced subset can have 1 to 4 (coat 2, bag 3); "
        "ask for fewer or choose other classes"
    )


def test_the_draw_depends_on_seed_split_and_class_alone():
    labels = [k % 3 for k in range(90)]
    dataset = Dataset(split(labels, 0), split(labels, 0), ("a", "b", "c"))
    two, three = select(dataset, (0, 2), 20, 20, "balanced", 0), select(dataset, (2, 1, 0), 30, 30, "balanced", 0)
    np.testing.assert_array_equal(two.train.index[two.train.labels == 1], three.train.index[three.train.labels == 0])
    assert not np.array_equal(two.train.index, two.test.index)
    assert not np.array_equal(two.train.index, select(dataset, (0, 2), 20, 20, "balanced", 1).train.index)


def test_the_draw_is_pinned():
    """Cached results and run ids rest on it."""
    labels = [k % 2 for k in range(20)]
    dataset = Dataset(split(labels, 0), split(labels, 0), ("a", "b"))
    chosen = select(dataset, (0, 1), 6, 4, "balanced", 7)
    assert (chosen.train.index.tolist(), chosen.test.index.tolist()) == ([16, 17, 0, 5, 14, 9], [18, 15, 0, 5])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unit(dtype):
    pixels = np.array([0, 1, 128, 255], np.uint8).reshape(4, 1, 1, 1)
    unit = Split(pixels, np.zeros(4, np.int64), np.arange(4)).unit(dtype)
    assert unit.dtype == dtype
    np.testing.assert_array_equal(unit.ravel(), np.array([0, 1, 128, 255], dtype) / dtype(255))
    floats = np.array([0.0, 0.1, 1.0]).reshape(3, 1, 1, 1)
    np.testing.assert_array_equal(Split(floats, np.zeros(3, np.int64), np.arange(3)).unit(dtype), floats.astype(dtype))


@given(shuffled_labels(), st.integers(1, 7))
def test_a_balanced_part_has_the_first_of_each_class_in_turn(labels: list[int], each: int):
    whole = split(labels, 100)
    fewest = min(labels.count(label) for label in range(4))
    if each > fewest:
        with pytest.raises(DataError, match=f"{each} examples of each of 4 classes asked for, but of one .* {fewest};"):
            balanced(whole, 4, 4 * each)
        return
    part = balanced(whole, 4, 4 * each)
    assert part.labels.tolist() == [0, 1, 2, 3] * each
    np.testing.assert_array_equal(part.images.ravel() + 100, part.index)
    for label in range(4):
        firsts = [100 + i for i, found in enumerate(labels) if found == label][:each]
        assert part.index[part.labels == label].tolist() == firsts
