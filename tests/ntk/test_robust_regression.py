"""Kernel regression against perturbations in feature space, against a general convex solver."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from ntkbench.ntk import regression, robust_regression


def problem(seed: int, n: int = 10):
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 1, (n, 3))
    K = np.exp(-np.square(points[:, None] - points[None]).sum(axis=-1)) + 0.05 * np.eye(n)
    return K, np.sign(rng.standard_normal(n)) + 0.1 * rng.standard_normal(n)


def least(K: np.ndarray, y: np.ndarray, delta: float) -> float:
    """The minimum, by sequential quadratic programs in beta, t, s: f(X) = L beta, t >= |y - f|, s >= |beta|."""
    n, L = len(y), np.linalg.cholesky(K)

    def value(z):
        return np.mean(np.square(z[n : 2 * n] + delta * z[-1]))

    def slope(z):
        total = 2 / n * (z[n : 2 * n] + delta * z[-1])
        return np.concatenate([np.zeros(n), total, [delta * total.sum()]])

    signs = [np.hstack([sign * L, np.eye(n), np.zeros((n, 1))]) for sign in (1, -1)]
    limits = [
        *(
            {"type": "ineq", "fun": lambda z, A=A, s=s: A @ z - s * y, "jac": lambda z, A=A: A}
            for A, s in zip(signs, (1, -1), strict=True)
        ),
        {
            "type": "ineq",
            "fun": lambda z: z[-1] ** 2 - z[:n] @ z[:n],
            "jac": lambda z: np.concatenate([-2 * z[:n], np.zeros(n), [2 * z[-1]]]),
        },
    ]
    start = np.concatenate([np.full(n, 0.1), np.abs(y) + 1, [1.0]])
    bounds = [(None, None)] * n + [(0, None)] * (n + 1)
    found = optimize.minimize(
        value,
        start,
        jac=slope,
        constraints=limits,
        bounds=bounds,
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 2000},
    )
    return found.fun


@pytest.mark.parametrize("delta", [0.01, 0.05, 0.15])
def test_the_objective_is_that_of_a_general_convex_solver(delta: float):
    for seed in (0, 1):
        K, y = problem(seed)
        alpha = robust_regression.coefficients(regression.Spectrum.of(K), jnp.asarray(y)[:, None], delta)[:, 0]
        found = float(robust_regression.objective(jnp.asarray(K), jnp.asarray(y), alpha, jnp.asarray(delta)))
        exact = least(K, y, delta)
        assert found == pytest.approx(exact, rel=1e-6)


def test_small_perturbations_leave_interpolation_and_large_ones_the_zero_predictor():
    K, y = problem(2)
    Y, spectrum = jnp.asarray(np.stack([y, -2 * y], axis=1)), regression.Spectrum.of(K)
    small = robust_regression.coefficients(spectrum, Y, 1e-6)
    np.testing.assert_allclose(K @ small, Y, atol=1e-4)
    large = robust_regression.coefficients(spectrum, Y, 100.0)
    np.testing.assert_allclose(large, 0, atol=1e-6)


def test_outputs_are_fitted_each_for_itself():
    K, y = problem(3)
    spectrum, Y = regression.Spectrum.of(K), jnp.asarray(np.stack([y, y[::-1]], axis=1))
    both = robust_regression.coefficients(spectrum, Y, 0.2)
    for i in range(2):
        alone = robust_regression.coefficients(spectrum, Y[:, i : i + 1], 0.2)
        np.testing.assert_allclose(both[:, i : i + 1], alone, rtol=1e-8)
