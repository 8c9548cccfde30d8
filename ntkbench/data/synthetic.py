"""Data sets whose answer is known: two Gaussians, and a polynomial teacher on the sphere."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int64

from ntkbench.data.dataset import Dataset, Split
from ntkbench.errors import DataError

CLASSES = ("minus", "plus")
_TRAIN, _TEST, _TEACHER = 0, 1, 2
"""keys of the random streams, beside the seed"""
_BLOCK = 1024

Labeler = Callable[[Float[np.ndarray, "n dim"]], Int64[np.ndarray, " n"]]


def two_gaussians(
    dim: int, distance: float, sd: float, n_train: int, n_test: int, seed: int, test_seed: int | None = None
) -> Dataset:
    """x = 1/2 -+ distance/2 e_1 + sd z, z ~ N(0, I), clipped to the unit cube; classes in turn.

    Along one axis the clipping costs nothing: the best classifier is the sign of x_1 - 1/2, which no clipping changes.
    `test_seed`: draws the test points in place of `seed`.
    """

    seeds = seed, seed if test_seed is None else test_seed

    def split(key: int, n: int) -> Split:
        labels = np.arange(n) % 2
        points = 0.5 + sd * np.random.default_rng([seeds[key], key]).standard_normal((n, dim))
        points[:, 0] += distance * (labels - 0.5)
        return _split(np.clip(points, 0, 1), labels)

    return Dataset(split(_TRAIN, n_train), split(_TEST, n_test), CLASSES)


def bayes_accuracy(distance: float, sd: float, eps: float = 0.0) -> float:
    """Best accuracy on `two_gaussians` under any shift of norm eps (l_inf or l_2): Phi(max(distance/2 - eps, 0)/sd)."""
    return 0.5 * math.erfc(-max(distance / 2 - eps, 0.0) / (sd * math.sqrt(2)))


def sphere_teacher(
    dim: int, degree: int, n_train: int, n_test: int, seed: int, test_seed: int | None = None
) -> Dataset:
    """Uniform points on the sphere of center 1/2 and radius 1/2 with the labels of `teacher`; classes in turn.

    `test_seed`: draws the test points and the teacher in place of `seed`, which then draws the training points alone.
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
    """The labels 1[P(w . (2x - 1)) > 0] of points x in the unit cube: w a random unit vector, P from `legendre`."""
    if dim == 1 and degree > 1:
        raise DataError(f"a sphere teacher of degree {degree} needs dim of 2 or more: in one dimension it is zero")
    direction = np.random.default_rng([seed, _TEACHER]).standard_normal(dim)
    direction /= np.linalg.norm(direction)
    return lambda points: (legendre((2 * points - 1) @ direction, dim, degree) > 0).astype(np.int64)


def legendre(t: Float[np.ndarray, " n"], dim: int, degree: int) -> Float[np.ndarray, " n"]:
    """The Legendre polynomial in `dim` dimensions, degree 1 to 3, P(1) = 1 (Mueller 1966).

    As a function of w . x on the sphere it is orthogonal to all polynomials of lower degree: no simpler kernel sees it.
    """
    if degree == 1:
        return t
    return (dim * t**2 - 1) / (dim - 1) if degree == 2 else ((dim + 2) * t**3 - 3 * t) / (dim - 1)


def _sphere(rng: np.random.Generator, dim: int) -> Float[np.ndarray, "block dim"]:
    points = rng.standard_normal((_BLOCK, dim))
    return 0.5 + 0.5 * points / np.linalg.norm(points, axis=1, keepdims=True)


def _split(points: np.ndarray, labels: np.ndarray) -> Split:
    return Split(points[:, None, None, :], labels, np.arange(len(labels)))
