"""Certificates of kernel predictors against exhaustive search."""

from itertools import combinations, product

import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import architectures, certificates, gram, infinite, regression
from ntkbench.ntk.regression import flow
from tests.conftest import EXACT

N, TESTS, DIM, MOST = 12, 20, 5, 4
KERNEL = infinite.InfiniteKernel(architectures.fc(1, 1, depth=1, b_std=0.1))
FILTERS = {"whole": flow(), "early": flow(time=2.0), "ridge": flow(ridge=0.3)}


def examples(seed: int, n: int, classes: int) -> tuple[jnp.ndarray, np.ndarray]:
    """Clouds in the unit cube, one a class."""
    labels = np.arange(n) % classes
    centers = np.random.default_rng(9).uniform(0.25, 0.75, (classes, DIM))
    noise = 0.12 * np.random.default_rng(seed).standard_normal((n, DIM))
    return jnp.asarray(np.clip(centers[labels] + noise, 0, 1)), labels


def fitted(name: str, classes: int):
    """Influences on the test examples with their labels and the training labels."""
    (X, train), (tests, labels) = examples(0, N, classes), examples(1, TESTS, classes)
    spectrum = regression.Spectrum.of(gram.matrix(np.asarray(gram.gram(KERNEL, X))))
    filtered = spectrum.filtered(FILTERS[name])
    return certificates.influence(KERNEL, X, spectrum.eigenvectors, filtered, tests), train, labels


def right(c: np.ndarray, train: np.ndarray, label: int, classes: int) -> bool:
    """Whether f = c Y has its largest output at the label."""
    outputs = np.array([c @ (train == k) for k in range(classes)])
    rest = np.delete(outputs, label)
    return bool(outputs[label] > rest.max())


def searched(c: np.ndarray, train: np.ndarray, label: int, classes: int) -> int:
    """The most flips that are withstood, up to MOST, by trying all relabelings of all subsets; -1: wrong already."""
    for r in range(MOST + 1):
        for chosen in combinations(range(N), r):
            for others in product(*([k for k in range(classes) if k != train[i]] for i in chosen)):
                changed = train.copy()
                changed[list(chosen)] = others
                if not right(c, changed, label, classes):
                    return r - 1
    return MOST


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("classes", [2, 3])
def test_no_subset_of_labels_does_more(name: str, classes: int):
    c, train, labels = fitted(name, classes)
    found = np.asarray(certificates.label_flips(c, jnp.asarray(train), jnp.asarray(labels), classes, batch_size=7))
    count = TESTS if classes == 2 else 8
    expected = [searched(np.asarray(c[i]), train, labels[i], classes) for i in range(count)]
    np.testing.assert_array_equal(np.minimum(found[:count], MOST), expected)
    assert len(set(expected)) > 1


def test_influences_give_the_regression():
    c, train, _ = fitted("ridge", 2)
    X, tests = examples(0, N, 2)[0], examples(1, TESTS, 2)[0]
    K = gram.matrix(np.asarray(gram.gram(KERNEL, X)))
    rows = gram.matrix(np.asarray(gram.gram(KERNEL, tests, X)))
    expected = rows @ np.linalg.solve(K + 0.3 * np.eye(N), 2.0 * train - 1)
    np.testing.assert_allclose(c @ (2.0 * train - 1), expected, rtol=0, atol=EXACT)


def test_labels_that_cannot_turn_it_are_all_withstood():
    c = jnp.ones((1, 3))
    train, label = jnp.array([1, 1, 1]), jnp.array([1])
    assert certificates.label_flips(c, train, label, 2)[0] == 1, "of three votes, two are the majority"
    assert certificates.label_flips(jnp.zeros((1, 3)), train, label, 2)[0] == -1, "a margin of 0 is not right"


def test_blocks_hold_every_example_once():
    parts = certificates.blocks(10, row_bytes=8, tile_bytes=24.0)
    assert [len(part) for part in parts] == [3, 3, 2, 2]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(10))
    assert len(certificates.blocks(3, row_bytes=100, tile_bytes=1.0)) == 3
