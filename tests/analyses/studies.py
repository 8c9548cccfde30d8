"""A small kernel taken apart: twelve training and thirty test examples of two classes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ntkbench.analyses.crafting import BudgetedAttack
from ntkbench.analyses.spectral import SpectralStudy
from ntkbench.ntk import architectures, attacks, balls, features, gram, infinite, losses, regression
from tests.analyses.subjects import budgets

OBJECTIVE = attacks.Objective(losses.cross_entropy)
STEP = attacks.FGSM(balls.Linf(), OBJECTIVE)
N, TESTS, DIM = 12, 30, 4
EPS = ("1/50", "1/5")


def threat(source: str) -> BudgetedAttack:
    return BudgetedAttack("fgsm", source, budgets(*EPS), STEP, OBJECTIVE)


@functools.cache
def images(n: int, seed: int) -> tuple[jax.Array, np.ndarray]:
    """Two clouds that overlap, in the unit cube."""
    rng, labels = np.random.default_rng(seed), np.arange(n) % 2
    center = 0.5 + np.outer(2 * labels - 1, [0.1, 0.1, -0.1, -0.1])
    return jnp.asarray(np.clip(center + 0.12 * rng.standard_normal((n, DIM)), 0, 1)[:, None, None, :]), labels


@functools.cache
def system(depth: int = 1, b_std: float = 0.1) -> features.InfiniteEigensystem:
    kernel = infinite.InfiniteKernel(architectures.fc(1, 1, depth=depth, b_std=b_std))
    X, labels = images(N, 0)
    spectrum = regression.Spectrum.of(gram.matrix(np.asarray(gram.gram(kernel, X))))
    return features.InfiniteEigensystem.of(kernel, X, spectrum, jnp.asarray(2.0 * labels - 1)[:, None])


def study(name: str = "limit", depth: int = 1, together: int = 1000, attacked: bool = True, **how) -> SpectralStudy:
    X, labels = images(TESTS, 1)
    of = threat(name) if attacked else None
    return SpectralStudy(name, system(depth), X, jnp.asarray(labels), of, jax.random.key(0), together, 5e8, **how)


def accuracies(of: SpectralStudy, filters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By the definitions: right answers of one filter at each test point, clean, and under each budget."""
    V, targets = np.asarray(of.system.spectrum.eigenvectors), np.asarray(of.system.targets)
    alpha = jnp.asarray(V @ (filters[:, None] * targets))
    predictor = regression.predictor(of.system.kernel, of.system.X, alpha)

    def right(X):
        return (np.asarray(jax.vmap(predictor)(X))[:, 0] > 0) == np.asarray(of.labels)

    adv = attacks.perturb(
        STEP, predictor, of.X, of.labels, jnp.array(of.attack.radii), key=of.key, batch_size=len(of.X)
    )
    return right(of.X), np.stack([right(images) for images in adv])


def span(of: SpectralStudy, start: int, stop: int) -> np.ndarray:
    place = np.arange(N)
    return np.where((place >= start) & (place < stop), 1 / of.eigenvalues, 0)
