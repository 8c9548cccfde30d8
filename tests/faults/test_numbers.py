"""Numbers that are ok are right: kernel regression against NumPy alone, or a refusal.

The reference shares no line with the package: covariances layer by layer in float64, closed forms or dense sums over
the plane, and the pseudo-inverse by eigenvectors.
"""

import functools
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy import special

from ntkbench.errors import NumericsError
from ntkbench.ntk import gram, regression
from ntkbench.run.build import kernels
from ntkbench.spec.cell import Cell
from ntkbench.spec.kernels import InfiniteKernel

STATED = 1e-6
"""of the largest target: errors of kernels that are far from singular, and of filters that leave round-off out"""
N, TESTS = 6, 3


@dataclass(frozen=True)
class Case:
    kind: str
    depth: int
    activation: str
    W_std: float
    b_std: float
    dtype: str
    time: float
    ridge: float
    copies: int
    """training images that are there twice"""
    seed: int

    @property
    def cell(self) -> Cell:
        architecture = {name: getattr(self, name) for name in ("kind", "depth", "activation", "W_std", "b_std")}
        return Cell.model_validate(
            {
                "data": {"dataset": {"kind": "two_gaussians"}, "n_train": N, "n_test": TESTS},
                "architecture": architecture,
                "kernels": {"limit": {"kind": "infinite", "time": self.time, "ridge": self.ridge}},
                "analyses": {"clean": {"kind": "accuracy", "target": "limit"}},
                "numerics": {"kernel": self.dtype},
            }
        )

    @property
    def images(self) -> np.ndarray:
        """Training images, then test images; exact in float32."""
        X = np.random.default_rng(self.seed).random((N + TESTS, 3, 2, 1)).astype(np.float32)
        X[: self.copies] = X[N - self.copies : N]
        return X.astype(float)

    @property
    def targets(self) -> np.ndarray:
        return np.resize([1.0, -1.0, -1.0, 1.0, 1.0], (N, 1))


# ---- the reference -----------------------------------------------------------------------------------


@functools.cache
def _plane(activation, q1, q2, K):
    """E[f(u) f(v)] and E[f'(u) f'(v)] as sums over a grid that resolves f and the density; a line if u = v."""
    gap = max(q1 * q2 - K**2, 0.0)
    if gap < 1e-9 * q1 * q2:
        u = np.linspace(-9, 9, 40_001) * np.sqrt(q1)
        weight = np.exp(-(u**2) / (2 * q1)) * (u[1] - u[0]) / np.sqrt(2 * np.pi * q1)
        return tuple(f(u) ** 2 @ weight for f in FUNCTIONS[activation])
    sizes = (2 * int(8.5 * np.sqrt(q) / min(0.2, np.sqrt(gap / max(q1, q2)) / 1.8)) + 9 for q in (q1, q2))
    u, v = (np.linspace(-8.5, 8.5, size) * np.sqrt(q) for size, q in zip(sizes, (q1, q2), strict=True))
    density = np.exp(-(q2 * u[:, None] ** 2 - 2 * K * np.outer(u, v) + q1 * v**2) / (2 * gap)) / np.sqrt(gap)
    density *= (u[1] - u[0]) * (v[1] - v[0]) / (2 * np.pi)
    return tuple(f(u) @ density @ f(v) for f in FUNCTIONS[activation])


FUNCTIONS = {
    "tanh": (np.tanh, lambda x: 1 / np.cosh(np.clip(x, -300, 300)) ** 2),
    "silu": (lambda x: x * special.expit(x), lambda x: special.expit(x) * (1 + x * special.expit(-x))),
}


def _limits(activation, K, q1, q2):
    if activation == "relu":
        cosine = K / np.sqrt(q1 * q2)
        angle = np.arccos(np.where(1 - cosine < 1e-13, 1, cosine))
        both = np.sqrt(q1 * q2) * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
        return both, (np.pi - angle) / (2 * np.pi)
    if activation == "erf":
        root = np.sqrt(1 + 2 * q1 + 2 * q2 + 4 * np.maximum(q1 * q2 - K**2, 0))
        return 2 / np.pi * np.arctan2(2 * K, root), 4 / np.pi / root
    pairs = [_plane(activation, *sorted((a, b)), k) for k, a, b in zip(K.ravel(), q1.ravel(), q2.ravel(), strict=True)]
    return tuple(np.reshape(values, K.shape) for values in zip(*pairs, strict=True))


def _window(k: np.ndarray) -> np.ndarray:
    """The mean over 3 x 3 positions, zero outside."""
    k = np.pad(k, [(1, 1), (1, 1), (0, 0), (0, 0)])
    return np.sum([k[i : i + 3, j : j + 2] for i in range(3) for j in range(3)], axis=0) / 9


def reference(case: Case) -> np.ndarray:
    """The kernel of all images."""
    X = case.images
    K: np.ndarray = np.einsum("ahwc,bhwc->hwab", X, X) / X.shape[-1]
    fc = case.kind == "fc"
    K = K.mean((0, 1), keepdims=True) if fc else K
    T = 0 * K
    for layer in range(case.depth + 1):
        if layer == case.depth:
            K, T = K.mean((0, 1), keepdims=True), T.mean((0, 1), keepdims=True)
        elif not fc:
            K, T = _window(K), _window(T)
        K = case.W_std**2 * K + case.b_std**2
        T = K + case.W_std**2 * T
        if layer < case.depth:
            q = np.diagonal(K, axis1=2, axis2=3)
            K, slope = _limits(case.activation, K, q[..., :, None] + 0 * K, q[..., None, :] + 0 * K)
            T = T * slope
    return T[0, 0]


# ---- the comparison ----------------------------------------------------------------------------------


@eqx.filter_jit
def _outputs(predictor, X):
    return jax.vmap(predictor)(X)


def predictions(case: Case) -> np.ndarray:
    cell = case.cell
    words = cell.kernels["limit"]
    assert isinstance(words, InfiniteKernel)
    kernel, X = kernels.infinite_kernel(cell, words, 1), jnp.asarray(case.images, case.dtype)
    spectrum = regression.Spectrum.of(gram.matrix(np.asarray(gram.gram(kernel, X[:N]))))
    kernels.require_positive(spectrum, "limit", case.dtype)
    alpha = kernels.coefficients(spectrum, words, jnp.asarray(case.targets)).astype(X.dtype)
    return np.asarray(_outputs(regression.predictor(kernel, X[:N], alpha), X[N:]), float)


def check(case: Case) -> None:
    K = reference(case)
    values, V = np.linalg.eigh(K[:N, :N])
    top, eps = values[-1], np.finfo(case.dtype).eps
    floor = 64 * np.finfo(float).eps * top
    between = (values > floor / 30) & (values < 30 * floor)
    assert not np.any(between), "who is round-off would be a matter of taste"
    values = np.where(values > floor, values, 0)
    with np.errstate(divide="ignore", over="ignore"):
        rate = np.maximum(values + case.ridge, 1e-300)
        g = -np.expm1(-rate * case.time) / rate
    kept = values > 0
    expected = K[N:, :N] @ V[:, kept] @ (g[kept, None] * (V[:, kept].T @ case.targets))
    try:
        found = predictions(case)
    except NumericsError:
        lost = (values < 200 * eps * top) & (g * 100 * eps * top > 1)
        if not np.any(lost):
            raise
        return
    assert np.all(np.isfinite(found))
    error = STATED + 100 * eps * top * g[kept].max()
    np.testing.assert_allclose(found, expected, atol=error * max(1.0, np.abs(expected).max()), rtol=0)


def cases(*activations: str) -> st.SearchStrategy[Case]:
    return st.builds(
        Case,
        kind=st.sampled_from(["fc", "conv"]),
        depth=st.integers(1, 2),
        activation=st.sampled_from(activations),
        W_std=st.sampled_from([0.1, 1.0, 1.5, 5.0]),
        b_std=st.sampled_from([0.0, 0.1, 1.0]),
        dtype=st.sampled_from(["float64", "float32"]),
        time=st.sampled_from([1e-3, 1.0, 1e3, 1e8, 1e13, 1e15, 1e20, 1e30, np.inf]),
        ridge=st.sampled_from([0.0, 1e-12, 1e-4, 1.0]),
        copies=st.integers(0, 2),
        seed=st.integers(0, 5),
    )


@given(case=cases("relu", "erf"))
@settings(derandomize=True, max_examples=8, database=None, phases=[Phase.generate])
def test_what_is_not_refused_is_right(case: Case):
    check(case)


@pytest.mark.slow
@given(case=cases("relu", "erf", "tanh", "silu"))
@settings(derandomize=True, max_examples=16, database=None, phases=[Phase.generate])
def test_what_is_not_refused_is_right_with_quadrature(case: Case):
    check(case)


@pytest.mark.slow
@pytest.mark.nightly
@given(case=cases("relu", "erf", "tanh", "silu"))
@settings(max_examples=100, phases=[Phase.generate])
def test_what_is_not_refused_is_right_everywhere(case: Case):
    check(case)


@pytest.mark.parametrize("time", [1e10, 1e15, 1e30])
def test_late_times_on_duplicates(time):
    check(Case("fc", 1, "relu", 1.5, 0.1, "float64", time, 0.0, 2, 0))


def test_tanh_far_in_the_chaotic_regime():
    check(Case("fc", 2, "tanh", 5.0, 0.1, "float64", np.inf, 0.0, 0, 0))


@pytest.mark.parametrize(("W_std", "depth", "dtype", "message"), [
    (1e6, 4, "float32", "kernel limit: the kernel is not finite.*float64"),
    (1e6, 26, "float64", "kernel limit: the kernel is not finite.*another W_std"),
    (1e-6, 4, "float32", "kernel limit: the kernel is zero"),
    (1e-6, 30, "float64", "the kernel is (zero|singular)|coefficients of the regression are not finite"),
])  # fmt: skip
def test_scales_that_no_number_holds_are_refused(W_std, depth, dtype, message):
    """Scales that specs allow, of so many layers that their product leaves the range of the precision."""
    with pytest.raises(NumericsError, match=message):
        predictions(Case("fc", depth, "relu", W_std, 0.0, dtype, np.inf, 0.0, 0, 0))
