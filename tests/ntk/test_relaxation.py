"""Bounds of kernel predictors over balls of images, against closed forms, grids and attacks."""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import (
    activations,
    apgd,
    architectures,
    attacks,
    balls,
    gram,
    infinite,
    losses,
    regression,
    relaxation,
)
from ntkbench.ntk.layers import Dense, Flatten, Sequential

LINF, L2 = balls.Linf(), balls.L2()
RECIPES = {
    "relu": architectures.fc(1, 1, depth=1, b_std=0.1),
    "deep": architectures.fc(1, 1, depth=3, b_std=None),
    "leaky": architectures.fc(1, 1, depth=2, activation=activations.ReLU(0.2)),
    "erf": architectures.fc(1, 1, depth=2, activation=activations.Erf(), b_std=0.3),
    "biased": architectures.fc(1, 1, depth=2, b_std=0.3),
    "standard": architectures.fc(8, 1, depth=1, b_std=None, parameterization="standard"),
    "linear": Sequential((Flatten(), Dense(1, 1.5, 0.2))),
}
LINEAR = ("relu", "deep", "leaky", "standard", "linear")
"""recipes for which the linear bound is known"""
RADII = jnp.array([0.0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2])
"""budgets, the same for all tests, which share what is compiled"""


def clouds(seed: int, n: int, dim: int, classes: int) -> tuple[jax.Array, np.ndarray]:
    labels = np.arange(n) % classes
    centers = np.random.default_rng(3).uniform(0.2, 0.8, (classes, dim))
    noise = 0.1 * np.random.default_rng(seed).standard_normal((n, dim))
    return jnp.asarray(np.clip(centers[labels] + noise, 0.02, 0.98)), labels


@functools.cache
def fitted(name: str, kind: Literal["ntk", "nngp"] = "ntk", dim: int = 2, classes: int = 2, ridge: float = 0.05):
    """Margins, the predictor, and labelled test examples."""
    (X, train), (tests, labels) = clouds(0, 12, dim, classes), clouds(1, 10, dim, classes)
    kernel = infinite.InfiniteKernel(RECIPES[name], kind)
    spectrum = regression.Spectrum.of(gram.matrix(np.asarray(gram.gram(kernel, X))))
    Y = jnp.asarray(2.0 * train - 1)[:, None] if classes == 2 else jax.nn.one_hot(train, classes, dtype=X.dtype)
    alpha = spectrum.coefficients(regression.flow(ridge=ridge), Y)
    margins = relaxation.Margins.of(kernel, X, alpha, spectrum)
    return margins, regression.predictor(kernel, X, alpha), tests, jnp.asarray(labels)


def margin(predictor, X, labels) -> jax.Array:
    outputs = jax.vmap(predictor)(X)
    return -jax.vmap(losses.margin)(outputs, labels)


def grid(x: np.ndarray, ball: balls.Ball, eps: float) -> np.ndarray:
    """Points of the ball around x in two dimensions, within the box, its corners and rim among them."""
    if isinstance(ball, balls.Linf):
        line = np.linspace(-eps, eps, 21)
        moves = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    else:
        angle, length = np.meshgrid(np.linspace(0, 2 * np.pi, 63), np.linspace(0, eps, 7))
        moves = np.stack([length * np.cos(angle), length * np.sin(angle)], axis=-1).reshape(-1, 2)
    return np.clip(x + moves, 0, 1)


@pytest.mark.parametrize(
    ("name", "kind", "ball"),
    [
        ("relu", "ntk", LINF),
        ("erf", "ntk", LINF),
        *(
            pytest.param(name, "ntk", LINF, marks=pytest.mark.slow)
            for name in ("deep", "leaky", "biased", "standard", "linear")
        ),
        *(pytest.param("relu", kind, L2, marks=pytest.mark.slow) for kind in ("ntk", "nngp")),
        *(pytest.param(name, "nngp", L2, marks=pytest.mark.slow) for name in ("biased", "erf")),
    ],
)
def test_no_point_of_a_grid_is_below_a_bound(name: str, kind: Literal["ntk", "nngp"], ball: balls.Ball):
    margins, predictor, tests, labels = fitted(name, kind)
    found = relaxation.bounds(margins, ball, tests, labels, RADII, batch_size=10)
    points = np.stack([[grid(x, ball, radius) for radius in np.asarray(RADII)] for x in np.asarray(tests)])
    outputs = jax.vmap(predictor)(jnp.asarray(points.reshape(-1, 2))).reshape(points.shape[:3])
    least = (np.asarray(outputs) * (2 * np.asarray(labels) - 1)[:, None, None]).min(axis=2)
    for bound in found:
        assert np.all(np.asarray(bound) <= least)
    assert np.isfinite(np.asarray(found.linear)).all() == (name in LINEAR)
    assert np.all(least[:, 0] - found.intervals[:, 0] < 1e-3), "without a perturbation nothing is lost"


@pytest.mark.parametrize(
    ("name", "classes", "ball"),
    [
        ("relu", 2, LINF),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("relu", 3, L2), ("deep", 3, LINF), ("erf", 2, LINF))
        ),
    ],
)
def test_no_attack_breaks_what_is_certified(name: str, classes: int, ball: balls.Ball):
    margins, predictor, tests, labels = fitted(name, dim=6, classes=classes)
    reached = relaxation.certified_radius(margins, ball, tests, labels, batch_size=10)
    assert np.all(np.asarray(reached.rkhs) >= 0)
    radius = reached.best
    objective = attacks.Objective(losses.margin)
    strong = (
        attacks.Restarts(ball, objective, attacks.PGD(ball, objective, 50, None, True), 5),
        apgd.APGD(ball, objective, 50, True),
    )
    assert np.any(radius > 0)
    sure = np.asarray(radius > 0)
    for attack in strong:
        made = attacks.perturb(
            attack, predictor, tests, labels, radius[None], key=jax.random.key(0), batch_size=len(tests)
        )
        assert np.all(np.asarray(margin(predictor, made[0], labels))[sure] > 0)
    right = np.asarray(margin(predictor, tests, labels) > 0)
    assert not np.any(sure & ~right)


def test_a_linear_network_is_certified_as_far_as_it_holds():
    margins, predictor, tests, labels = fitted("linear", dim=6, ridge=0.5)
    signed = margin(predictor, tests, labels)
    slope = jax.lax.map(jax.grad(lambda x: predictor(x)[0]), tests)
    for ball, order in ((LINF, 1), (L2, 2)):
        exact = np.asarray(signed / jnp.linalg.norm(slope, ord=order, axis=1))
        inside = (exact > 0) & (exact < 0.02)  # where the box of images is not met
        bounds = relaxation.bounds(margins, ball, tests, labels, RADII, batch_size=10)
        np.testing.assert_allclose(
            bounds.linear[:, 4], signed - 0.005 * jnp.linalg.norm(slope, ord=order, axis=1), atol=1e-9
        )
        reached = relaxation.certified_radius(margins, ball, tests, labels, batch_size=10)
        for bound, radius in zip(bounds, reached, strict=True):
            sure, far = np.asarray(bound > 0), np.asarray(radius)[:, None] >= np.asarray(RADII)
            assert np.all(sure[:, 1:][far[:, 1:]])
            assert np.all(np.asarray(radius)[:, None] >= np.where(sure, RADII, 0) / 1.003)
        found = np.asarray(reached.best)
        assert np.all(found[inside] <= exact[inside])
        np.testing.assert_allclose(found[inside], exact[inside], rtol=3e-2)
        assert not found[exact <= 0].any()


@pytest.mark.parametrize("name", ["relu", pytest.param("erf", marks=pytest.mark.slow)])
def test_bounds_fall_with_the_radius_and_keep_their_order(name: str):
    margins, predictor, tests, labels = fitted(name)
    found = relaxation.bounds(margins, LINF, tests, labels, RADII, batch_size=10)
    for which, bound in found._asdict().items():
        known = which != "linear" or name == "relu"
        assert np.isfinite(np.asarray(bound)).all() == known
        assert not known or np.diff(np.asarray(bound), axis=1).max() <= 1e-9
    if name == "relu":
        small = found.linear[:, 1:8]
        assert np.all(small >= found.intervals[:, 1:8]), "what cancels between training examples still cancels"
        np.testing.assert_allclose(found.linear[:, 0], margin(predictor, tests, labels), atol=1e-6)


def test_an_example_that_is_black_or_a_training_example_has_bounds():
    margins, predictor, _, _ = fitted("relu")
    X = jnp.concatenate([jnp.zeros((1, 2)), margins.X[:9]])
    labels = jnp.asarray((jax.lax.map(predictor, X)[:, 0] > 0).astype(int))
    found = relaxation.bounds(margins, LINF, X, labels, RADII, batch_size=10)
    assert not np.isnan(np.asarray(found.best)).any()
    assert np.all(found.best[:, 0] > 0)


def test_other_layers_are_refused():
    margins, _, _, _ = fitted("relu")
    kernel = infinite.InfiniteKernel(architectures.fc(1, 1, depth=1, activation=activations.GELU()))
    spectrum = regression.Spectrum.of(np.eye(12))
    with pytest.raises(ValueError, match="bounds exist for"):
        relaxation.Margins.of(kernel, margins.X, margins.alpha, spectrum)
