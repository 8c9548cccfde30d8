import math

import numpy as np
import pytest

from ntkbench.data import synthetic
from ntkbench.data.dataset import Dataset
from ntkbench.errors import DataError
from tests.conftest import STATISTICAL

DRAWS = {
    "gaussians": lambda n, seed: synthetic.two_gaussians(5, 0.5, 0.3, n, 7, seed),
    "sphere 1": lambda n, seed: synthetic.sphere_teacher(2, 1, n, 7, seed),
    "sphere 2": lambda n, seed: synthetic.sphere_teacher(4, 2, n, 7, seed),
    "sphere 3": lambda n, seed: synthetic.sphere_teacher(20, 3, n, 7, seed),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
class TestContract:
    def test_shape_range_and_balance(self, draw):
        dataset: Dataset = draw(3001, 0)
        train = dataset.train
        assert train.images.shape[:3] == (3001, 1, 1)
        assert len(dataset.test) == 7
        assert train.images.min() >= 0
        assert train.images.max() <= 1
        assert np.bincount(train.labels).tolist() == [1501, 1500]
        assert dataset.classes == ("minus", "plus")

    def test_more_examples_extend(self, draw):
        np.testing.assert_array_equal(draw(50, 3).train.images, draw(2100, 3).train.images[:50])

    def test_seeds_and_splits_differ(self, draw):
        one, two = draw(64, 0), draw(64, 1)
        assert not np.array_equal(one.train.images, two.train.images)
        assert not np.array_equal(one.train.images[:7], one.test.images)
        np.testing.assert_array_equal(one.train.images, draw(64, 0).train.images)


@pytest.mark.parametrize(("distance", "sd"), [(0.5, 0.125), (0.5, 0.6), (3.0, 1.0)])
@pytest.mark.parametrize("eps", [0.0, 8 / 255, 0.1])
def test_bayes_accuracy_is_reached_and_clipping_costs_nothing(distance, sd, eps):
    n = 40_000
    test = synthetic.two_gaussians(3, distance, sd, 2, n, 0).test
    margin = (test.images[:, 0, 0, 0] - 0.5) * (2 * test.labels - 1)
    right = float((margin > eps).mean())
    known = synthetic.bayes_accuracy(distance, sd, eps)
    assert abs(right - known) < STATISTICAL * math.sqrt(known * (1 - known) / n)


def test_bayes_accuracy_of_known_quantiles():
    assert synthetic.bayes_accuracy(2.0, 1.0) == pytest.approx(0.8413447460685429, rel=1e-12)
    assert synthetic.bayes_accuracy(0.5, 0.125, eps=0.25) == 0.5
    assert synthetic.bayes_accuracy(0.5, 0.125, eps=0.9) == 0.5, "a constant guess is right half the time"


def test_gaussian_moments():
    train = synthetic.two_gaussians(4, 0.3, 0.02, 20_000, 2, 5).train
    points, labels = train.images[:, 0, 0], train.labels
    for label, center in ((0, 0.35), (1, 0.65)):
        own = points[labels == label]
        error = 0.02 / math.sqrt(len(own))
        assert np.abs(own.mean(0) - [center, 0.5, 0.5, 0.5]).max() < STATISTICAL * error
        assert np.abs(own.std(0) - 0.02).max() < STATISTICAL * error / math.sqrt(2)


@pytest.mark.parametrize(("dim", "degree"), [(1, 1), (2, 2), (2, 3), (20, 1), (20, 2), (20, 3)])
def test_labels_are_the_teachers(dim, degree):
    dataset = synthetic.sphere_teacher(dim, degree, 300, 100, 4)
    label = synthetic.teacher(dim, degree, 4)
    for split in (dataset.train, dataset.test):
        points = split.images[:, 0, 0]
        np.testing.assert_array_equal(label(points), split.labels)
        np.testing.assert_allclose(np.linalg.norm(points - 0.5, axis=1), 0.5, rtol=1e-12)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_parity_of_the_teacher(degree):
    """x -> 1 - x is the antipode: odd teachers change sign there, even ones do not."""
    points = synthetic.sphere_teacher(6, degree, 500, 2, 0).train.images[:, 0, 0]
    label = synthetic.teacher(6, degree, 0)
    same = label(1 - points) == label(points)
    assert same.all() if degree == 2 else not same.any()


def test_the_linear_teacher_is_one_half_space():
    train = synthetic.sphere_teacher(8, 1, 4000, 2, 1).train
    points, signs = 2 * train.images[:, 0, 0] - 1, 2 * train.labels - 1
    mean = (points * signs[:, None]).mean(0)
    assert ((points @ mean > 0) == (signs > 0)).mean() > 0.97


@pytest.mark.parametrize("dim", [2, 4, 8, 20])
def test_legendre_polynomials_are_orthogonal_on_the_sphere(dim):
    """The density of w . x on the sphere is (1 - t^2)^((dim - 3)/2); in angles, for an even dim, the sum is exact."""
    angles = (np.arange(400) + 0.5) * np.pi / 400
    t, density = np.cos(angles), np.sin(angles) ** (dim - 2)
    polynomials = np.stack([np.ones_like(t), *(synthetic.legendre(t, dim, degree) for degree in (1, 2, 3))])
    products = polynomials * density @ polynomials.T
    np.testing.assert_allclose(products / products[0, 0], np.diag(np.diag(products)) / products[0, 0], atol=1e-10)
    assert all(synthetic.legendre(np.ones(1), dim, degree) == pytest.approx(1) for degree in (1, 2, 3))


def test_in_two_dimensions_degree_two_is_the_double_angle():
    """P_2 is cos(2 angle) there, so the labels of quarter turns are opposite."""
    angles = np.linspace(0, 2 * np.pi, 101)
    circle = lambda execution: 0.5 + 0.5 * np.stack([np.cos(angles + execution), np.sin(angles + execution)], axis=1)  # noqa: E731
    label = synthetic.teacher(2, 2, 9)
    np.testing.assert_array_equal(label(circle(0)), 1 - label(circle(np.pi / 2)))
    np.testing.assert_array_equal(label(circle(0)), label(circle(np.pi)))


def test_a_teacher_that_vanishes():
    with pytest.raises(DataError, match="a sphere teacher of degree 2 needs dim of 2 or more"):
        synthetic.sphere_teacher(1, 2, 10, 10, 0)
