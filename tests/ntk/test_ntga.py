"""Images that climb the validation loss of a kernel, against finite differences and the definition of the flow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.errors import NumericsError
from ntkbench.ntk import architectures, balls, gram, infinite, losses, ntga, regression

KERNEL = infinite.InfiniteKernel(architectures.fc(1, 1, depth=1, b_std=0.1))
TIMES = (0.3, 30.0, float("inf"))


def clouds(seed: int, n: int, classes: int = 2) -> tuple[jax.Array, jax.Array]:
    labels = np.arange(n) % classes
    centers = np.random.default_rng(9).uniform(0.3, 0.7, (classes, 4))
    X = np.clip(centers[labels] + 0.1 * np.random.default_rng(seed).standard_normal((n, 4)), 0, 1)
    return jnp.asarray(X), jnp.asarray(labels)


def problem(classes: int = 2):
    X, labels = clouds(0, 10, classes)
    c = 1 if classes == 2 else classes
    Y = jax.vmap(lambda label: losses.encode(label, c, dtype=jnp.float64))(labels)
    return X, Y, ntga.Validation(*clouds(5, 6, classes))


def loss_of(X, Y, validation, time: float):
    """The loss by its definition, through a matrix exponential."""
    K, across = (gram.matrix(np.asarray(gram.gram(KERNEL, *pair))) for pair in ((X, None), (validation.X, X)))
    left = np.zeros_like(K) if time == float("inf") else np.asarray(jax.scipy.linalg.expm(-time * K))
    grown = np.eye(len(K)) - left
    outputs = across @ np.linalg.solve(K, grown @ Y)
    return float(jnp.mean(jax.vmap(losses.cross_entropy)(jnp.asarray(outputs), validation.labels)))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("time", TIMES)
def test_loss_and_gradient_are_those_of_the_definition(time, classes):
    X, Y, validation = problem(classes)
    found = ntga.value_and_gradient(KERNEL, X, Y, validation, losses.cross_entropy, time=time, batch_size=4)
    assert float(found.loss) == pytest.approx(loss_of(X, Y, validation, time), rel=1e-8)
    for place in ((0, 0), (3, 2), (9, 3)):
        step = jnp.zeros_like(X).at[place].set(1e-5)
        slope = (loss_of(X + step, Y, validation, time) - loss_of(X - step, Y, validation, time)) / 2e-5
        assert float(found.gradient[place]) == pytest.approx(slope, rel=1e-4, abs=1e-7)


def test_the_gradient_does_not_depend_on_how_much_is_computed_at_once():
    X, Y, validation = problem()
    several = [
        ntga.value_and_gradient(
            KERNEL, X, Y, validation, losses.cross_entropy, time=3.0, batch_size=size, tile_bytes=tile
        ).gradient
        for size, tile in ((10, 5e8), (3, 600.0))
    ]
    np.testing.assert_allclose(several[0], several[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("time", [2.0, float("inf")])
def test_divided_differences_are_quotients_and_derivatives(time):
    values = jnp.array([5.0, 5.0, 0.7, 1e-2, 2e-4, 1e-5])
    g = regression.flow(time)
    slope = jax.vmap(jax.grad(lambda value: g(value[None])[0]))(values)
    found, at, a, b = ntga.differences(values, time), np.asarray(g(values)), values[:, None], values[None, :]
    with np.errstate(invalid="ignore"):
        quotients = np.where(a == b, slope[:, None], (at[:, None] - at[None, :]) / np.asarray(a - b))
    np.testing.assert_allclose(found, quotients, rtol=1e-6)


def test_no_time_has_no_slope_and_a_zero_eigenvalue_a_finite_one():
    found = ntga.differences(jnp.array([1.0, 0.0, -1e-17]), 2.0)
    assert np.all(np.isfinite(found))
    np.testing.assert_allclose(found[1:, 1:], -2.0, rtol=1e-12)


@pytest.mark.parametrize("time", [30.0, float("inf")])
def test_the_loss_rises_within_the_ball_and_the_box(time):
    X, Y, validation = problem()
    eps = 0.1
    moved, course = ntga.climb(
        KERNEL, X, Y, validation, losses.cross_entropy, balls.Linf(), eps,
        time=time, steps=8, step_size=0.1, batch_size=10,
    )  # fmt: skip
    assert course.shape == (9,)
    assert np.all(np.diff(course) >= 0)
    assert course[-1] > course[1] > course[0]
    assert course[0] == pytest.approx(loss_of(X, Y, validation, time), rel=1e-8)
    assert course[-1] == pytest.approx(loss_of(moved, Y, validation, time), rel=1e-8)
    assert np.all(np.abs(moved - X) <= eps)
    assert np.all((moved >= 0) & (moved <= 1))


def test_more_steps_of_one_size_begin_with_fewer():
    X, Y, validation = problem()
    few, many = (
        ntga.climb(
            KERNEL, X, Y, validation, losses.cross_entropy, balls.Linf(), 0.1,
            time=30.0, steps=steps, step_size=0.02, batch_size=10,
        )[1]
        for steps in (2, 6)
    )  # fmt: skip
    np.testing.assert_array_equal(many[:3], few)
    assert many[-1] > few[-1]


def test_a_singular_kernel_is_refused_at_infinite_time_alone():
    X, Y, validation = problem()
    twice = X.at[2].set(X[0])

    def climbed(time: float) -> np.ndarray:
        return ntga.climb(
            KERNEL, twice, Y, validation, losses.cross_entropy, balls.Linf(), 0.1,
            time=time, steps=1, step_size=0.05, batch_size=10,
        )[1]  # fmt: skip

    with pytest.raises(NumericsError, match="singular"):
        climbed(float("inf"))
    assert np.all(np.isfinite(climbed(3.0)))
