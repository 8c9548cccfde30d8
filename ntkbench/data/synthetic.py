"""Draw data sets whose answer is known: two Gaussians, and a polynomial teacher on the sphere.

Both have two classes and points in the unit cube, stored as images of one pixel with `dim` channels. A larger set
begins with the smaller one of the same seed.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int64

from ntkbench.data.dataset import Dataset, Split
from ntkbench.errors import DataError

CLASSES = ("minus", "plus")
"""names of the labels 0 and 1"""
_TRAIN, _TEST, _TEACHER = 0, 1, 2
"""keys that tell the random streams of one seed apart"""
_BLOCK = 1024
"""points that are drawn at a time"""

Labeler = Callable[[Float[np.ndarray, "n dim"]], Int64[np.ndarray, " n"]]
"""function from points in the unit cube to their labels"""


def two_gaussians(
    dim: int, distance: float, sd: float, n_train: int, n_test: int, seed: int, test_seed: int | None = None
) -> Dataset:
    """Return points x = 1/2 -+ distance/2 e_1 + sd z, z ~ N(0, I), clipped to the unit cube; classes take turns.

    Clipping costs nothing along one axis: the best classifier is the sign of x_1 - 1/2, which no clipping changes.
    `bayes_accuracy` gives its accuracy.

    Args:
        dim: the number of coordinates.
        distance: the distance between the two means.
        sd: the standard deviation of each coordinate.
        test_seed: draws the test points in place of `seed`; None for the same seed.
    """

    seeds = seed, seed if test_seed is None else test_seed

    def split(key: int, n: int) -> Split:
        labels = np.arange(n) % 2
        points = 0.5 + sd * np.random.default_rng([seeds[key], key]).standard_normal((n, dim))
        points[:, 0] += distance * (labels - 0.5)
        return _split(np.clip(points, 0, 1), labels)

    return Dataset(split(_TRAIN, n_train), split(_TEST, n_test), CLASSES)


def bayes_accuracy(distance: float, sd: float, eps: float = 0.0) -> float:
    """Return the best accuracy on `two_gaussians` if each point may be moved by norm `eps` (l_inf or l_2).

    It is Phi(max(distance/2 - eps, 0)/sd).
    """
    return 0.5 * math.erfc(-max(distance / 2 - eps, 0.0) / (sd * math.sqrt(2)))


def sphere_teacher(
    dim: int, degree: int, n_train: int, n_test: int, seed: int, test_seed: int | None = None
) -> Dataset:
    """Return uniform points on the sphere of center 1/2 and radius 1/2, labeled by `teacher`; classes take turns.

    Args:
        dim: the number of coordinates.
        degree: that of the teacher's polynomial, 1 to 3.
        test_seed: draws the test points and the teacher in place of `seed`, which then draws the training points alone.
    """
    seeds = seed, seed if test_seed is None else test_seed
    label = teacher(dim, degree, seeds[_TEST])

    def split(key: int, n: int) -> Split:
        rng, wanted = np.random.default_rng([seeds[key], key]), np.array([(n + 1) // 2, n // 2])
        blocks, block_labels, found = [], [], np.zeros(2, np.int64)
        # Blocks of one size, so that a larger set begins with the smaller one.
        while (found < wanted).any():
            blocks.append(_sphere(rng, dim))
            block_labels.append(label(blocks[-1]))
            found += np.bincount(block_labels[-1], minlength=2)
        drawn, drawn_labels = np.concatenate(blocks), np.concatenate(block_labels)
        points, labels = np.empty((n, dim)), np.arange(n) % 2
        for k in range(2):
            points[labels == k] = drawn[drawn_labels == k][: wanted[k]]
        return _split(points, labels)

    return Dataset(split(_TRAIN, n_train), split(_TEST, n_test), CLASSES)


def teacher(dim: int, degree: int, seed: int) -> Labeler:
    """Return the function that labels points x (n, dim) of the unit cube by 1[P(w . (2x - 1)) > 0].

    w is a random unit vector and P the polynomial of `legendre`. DataError for dim 1 and degree above 1, where P is
    zero.
    """
    if dim == 1 and degree > 1:
        raise DataError(f"a sphere teacher of degree {degree} needs dim of 2 or more: in one dimension it is zero")
    direction = np.random.default_rng([seed, _TEACHER]).standard_normal(dim)
    direction /= np.linalg.norm(direction)
    return lambda points: (legendre((2 * points - 1) @ direction, dim, degree) > 0).astype(np.int64)


def legendre(t: Float[np.ndarray, " n"], dim: int, degree: int) -> Float[np.ndarray, " n"]:
    """Return the Legendre polynomial P of degree 1 to 3 in `dim` dimensions at `t`, with P(1) = 1 (Mueller 1966).

    As a function of w . x on the sphere, it is orthogonal to all polynomials of lower degree: no simpler kernel sees
    it.
    """
    if degree == 1:
        return t
    return (dim * t**2 - 1) / (dim - 1) if degree == 2 else ((dim + 2) * t**3 - 3 * t) / (dim - 1)


def _sphere(rng: np.random.Generator, dim: int) -> Float[np.ndarray, "block dim"]:
    """Return a block of uniform points on the sphere."""
    points = rng.standard_normal((_BLOCK, dim))
    return 0.5 + 0.5 * points / np.linalg.norm(points, axis=1, keepdims=True)


def _split(points: np.ndarray, labels: np.ndarray) -> Split:
    """Return points (n, dim) as images (n, 1, 1, dim)."""
    return Split(points[:, None, None, :], labels, np.arange(len(labels)))
