"""Turn the kernels of a spec into kernels, and their spectra into regression coefficients."""

import warnings
from collections.abc import Mapping
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from ntkbench.errors import NumericsError
from ntkbench.ntk import adv_ntk, infinite, regression, robust_regression
from ntkbench.ntk import attacks as ntk_attacks
from ntkbench.ntk.sharded import Matrix
from ntkbench.plan import sizes
from ntkbench.run.build.attacks import BALLS, budgets, gradient_attack
from ntkbench.run.build.losses import loss
from ntkbench.run.build.networks import stateless, stream
from ntkbench.spec import attacks, identity, kernels
from ntkbench.spec.cell import Cell

T = TypeVar("T")


SCALE = "a kernel of such a scale cannot be inverted; change W_std, b_std or depth"
"""advice of messages about coefficients that are not finite"""


def require_finite(values: T, what: str, advice: str) -> T:
    """Return the values; NumericsError with `what` and `advice` if one of them is not finite."""
    if not np.all(np.isfinite(np.asarray(values))):
        raise NumericsError(f"{what} are not finite: {advice}")
    return values


def require_positive(spectrum: regression.Spectrum, name: str, dtype: str) -> None:
    """Raise NumericsError if the spectrum of the kernel `name` is not finite, or has no positive eigenvalue."""
    other = "float64 or " if dtype == "float32" else ""
    advice = f"; try numerics.kernel: {other}another W_std" if other else "; try another W_std"
    try:
        regression.require_sound(spectrum, f"{advice}, b_std or depth")
    except NumericsError as error:
        raise NumericsError(f"kernel {name}: {error}") from None


def infinite_kernel(cell: Cell, kernel: kernels.InfiniteKernel, outputs: int) -> infinite.InfiniteKernel:
    """Return the infinite kernel; its width, by default the cell's, matters in the standard parameterization alone."""
    width = kernel.width or cell.width or 1
    return infinite.InfiniteKernel(stateless(kernel.architecture or cell.architecture, width, outputs), kernel.type)


def coefficients(spectrum: regression.Spectrum, kernel: kernels.Kernel, Y: jax.Array) -> jax.Array:
    """Return alpha of f(x) = Theta(x, X) alpha at the kernel's time and ridge.

    Raise NumericsError if the kernel is not regular. A singular float64 kernel passes at a finite time: its null
    directions are left out. float32 does not know them.
    """
    g = regression.flow(float(kernel.time), kernel.ridge)
    if kernel.time == float("inf") or spectrum.precision > regression.round_off(jnp.float64):
        regression.require_regular(spectrum, g)
    return require_finite(spectrum.coefficients(g, Y), "the coefficients of the regression", SCALE)


def fitted(
    cell: Cell, name: str, kernel: infinite.InfiniteKernel, X: jax.Array, spectrum: regression.Spectrum, Y: jax.Array,
    labels: np.ndarray, tile_bytes: float,
) -> jax.Array:  # fmt: skip
    """Return alpha of f(x) = Theta(x, X) alpha by the `fit` of the kernel `name`; NumericsError if it is not regular.

    `labels` are those of X, `spectrum` is the kernel's on X, and `Y` are the targets.
    """
    regression.require_regular(spectrum)
    words = identity.with_auto_losses(cell).kernels[name]
    assert isinstance(words, kernels.InfiniteKernel)
    if isinstance(words.fit, kernels.AdvNtk):
        alpha = _timed(cell, name, words.fit, kernel, X, spectrum, Y, jnp.asarray(labels), tile_bytes)
    else:
        assert words.fit
        alpha = robust_regression.coefficients(spectrum, Y, words.fit.delta)
    return require_finite(alpha, "the coefficients of the regression", SCALE)


def _timed(cell, name, fit, kernel, X, spectrum, Y, labels, tile_bytes) -> jax.Array:
    """Return alpha with a training time for each example: 0 for the last ones, which are held out."""
    n = len(X) - fit.n_validation
    V = spectrum.eigenvectors[:n]
    part = regression.Spectrum.of((V * jnp.maximum(spectrum.eigenvalues, 0)[None, :]) @ V.T, spectrum.precision)
    objective = ntk_attacks.Objective(loss(fit.attack.loss, cell.data.targets == "centered"))
    (eps,) = budgets(cell, [fit.attack.eps])
    batch = batch_size(min(fit.batch_size, fit.n_validation), example_bytes(cell, name, n, 0, 1), tile_bytes)
    w = adv_ntk.search(
        kernel,
        X[:n],
        part,
        Y[:n],
        adv_ntk.HeldOut(X[n:], labels[n:], Y[n:]),
        gradient_attack(fit.attack, BALLS[fit.attack.norm], objective),
        jnp.asarray(eps.radius, X.dtype),
        steps=fit.steps,
        minibatch=fit.batch_size,
        rate=fit.rate,
        key=stream(fit.seed, "adv_ntk"),
        batch_size=batch,
        tile_bytes=tile_bytes,
    )
    return jnp.concatenate([adv_ntk.coefficients(part, Y[:n], w), jnp.zeros_like(Y[n:])])


def decomposed(K: np.ndarray, name: str, dtype: str) -> regression.Spectrum:
    """Return the spectrum of the kernel matrix K; NumericsError if it is not finite, or has no positive eigenvalue."""
    found = regression.Spectrum.of(K)
    require_positive(found, name, dtype)
    return found


def spectrum(arrays: Mapping[str, np.ndarray], name: str, dtype: str) -> regression.Spectrum:
    """Return the spectrum of the kernel `name` as it was stored; NumericsError as in `decomposed`."""
    found = regression.Spectrum(
        jnp.asarray(arrays["eigenvalues"]), jnp.asarray(arrays["eigenvectors"]), regression.round_off(dtype)
    )
    require_positive(found, name, dtype)  # older versions may have stored another
    return found


def leading(K: Matrix, top: int, name: str, dtype: str) -> regression.Spectrum | None:
    """Return the first `top` eigenpairs alone of the kernel matrix K, whose entries have the precision `dtype`.

    Return None, with a warning, where they fail their check, or do not tell whether the kernel is singular.
    """
    found = regression.Spectrum.leading(K, top, regression.round_off(dtype))
    if found is None:
        warnings.warn(
            f"kernel {name}: its first {top} eigenpairs alone are not accurate enough, or do not tell whether it is "
            f"singular; all {len(K)} are computed",
            stacklevel=1,
        )
    return found


def solved(K: Matrix, words: kernels.Kernel, Y: np.ndarray, name: str, dtype: str) -> np.ndarray:
    """Return alpha = (K + ridge)^-1 Y of the kernel matrix K, which is overwritten; `dtype` is that of its entries.

    Where an eigenvalue may be round-off, the spectrum decides: raise its NumericsError, or leave null directions out.
    """
    precision = regression.round_off(dtype)
    alpha = regression.solve(K, Y, float(words.ridge), precision)
    if alpha is None:
        spectrum = regression.Spectrum.of(K, precision)
        require_positive(spectrum, name, dtype)
        return np.asarray(coefficients(spectrum, words, jnp.asarray(Y)))
    return require_finite(alpha, "the coefficients of the regression", SCALE)


def example_bytes(cell: Cell, evaluator: str, n_train: int, kept: int, budgets: int | None = None) -> int:
    """Return the bytes that the gradient at one test example takes: covariances, or activations, at each layer.

    `kept`: the number of values that a backward pass through the cell's network keeps of an example.
    """
    kernel = cell.kernels.get(evaluator)
    # Gradients at all budgets of an iterated attack are taken together.
    iterated = (1 + len(attack.eps) for attack in cell.attacks.values() if isinstance(attack, attacks.Iterated))
    budgets = budgets or max(iterated, default=1)
    if isinstance(kernel, kernels.InfiniteKernel):
        itemsize = jnp.dtype(cell.numerics.kernel).itemsize
        return 16 * budgets * n_train * sizes.row_entries(cell, kernel) * itemsize
    return 16 * budgets * kept * 8


def batch_size(n: int, example_bytes: int, tile_bytes: float) -> int:
    """Return the size of equal batches of n examples that fit into `tile_bytes`; at least one example."""
    batches = -(-n * example_bytes // tile_bytes)
    return int(-(-n // max(1, batches)))
