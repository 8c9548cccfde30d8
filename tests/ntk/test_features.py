"""Families of spectral filters: against single predictors, one at a time, and against their own sums."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import apgd, architectures, attacks, balls, features, gram, infinite, jacobian, losses, regression
from ntkbench.ntk.activations import ReLU
from ntkbench.ntk.convolution import Conv, GlobalAvgPool
from ntkbench.ntk.features import Eigensystem
from ntkbench.ntk.layers import Dense, Flatten, Sequential
from tests.conftest import EXACT
from tests.ntk.predictors import drawn, uniform

GRADIENT = 1e-9
"""relative to the largest entry: the same gradient by another order of sums"""
OBJECTIVE = attacks.Objective(losses.cross_entropy)
STEP = attacks.FGSM(balls.Linf(), OBJECTIVE)
DESCENT = attacks.PGD(balls.Linf(), OBJECTIVE, 3)
ADAPTIVE = apgd.APGD(balls.Linf(), OBJECTIVE, 3, uniform_start=False)
N = 12
CONV = Sequential((Conv(1, b_std=0.1), ReLU(), Flatten(), Dense(1, b_std=0.1)))
POOLED = Sequential((Conv(1, b_std=0.1), ReLU(), GlobalAvgPool(), Dense(1, b_std=0.1)))


def infinite_system(recipe, outputs: int, shape=(4, 4, 2)) -> Eigensystem:
    kernel, X = infinite.InfiniteKernel(recipe), uniform(N, *shape)
    spectrum = regression.Spectrum.of(gram.matrix(np.asarray(gram.gram(kernel, X))))
    return features.InfiniteEigensystem.of(kernel, X, spectrum, targets(outputs))


def empirical_system(recipe, outputs: int, shape=(4, 4, 2)) -> Eigensystem:
    kernel, X = jacobian.JacobianKernel(drawn(recipe, shape)), uniform(N, *shape)
    spectrum = regression.Spectrum.of(gram.matrix(np.asarray(gram.gram(kernel, X))))
    return features.EmpiricalEigensystem.of(kernel, X, spectrum, targets(outputs))


def targets(outputs: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(3).standard_normal((N, outputs)))


SYSTEMS: dict[str, tuple[Callable[[], Eigensystem], int]] = {
    "fc": (lambda: infinite_system(architectures.fc(1, 1, depth=2, b_std=0.1), 1), 1),
    "fc, three classes": (lambda: infinite_system(architectures.fc(1, 3, depth=1, b_std=0.1), 3), 3),
    "conv": (lambda: infinite_system(CONV, 1), 1),
    "conv, pooled": (lambda: infinite_system(POOLED, 1), 1),
    "empirical": (lambda: empirical_system(architectures.fc(20, 1, depth=1, b_std=0.1), 1), 1),
    "empirical, three classes": (lambda: empirical_system(architectures.fc(20, 3, depth=1, b_std=0.1), 3), 3),
}


QUICK = ("conv", "empirical, three classes")


@pytest.fixture(params=[pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in SYSTEMS])
def case(request) -> tuple[Eigensystem, int]:
    build, outputs = SYSTEMS[request.param]
    return build(), outputs


def size(system: Eigensystem) -> int:
    return system.spectrum.eigenvalues.size


def ranges(*pairs: tuple[int, int]) -> np.ndarray:
    return np.array(pairs)


def singles(system: Eigensystem) -> np.ndarray:
    return ranges(*((i, i + 1) for i in range(size(system))))


def family(system: Eigensystem, which: np.ndarray) -> features.Family:
    return features.family(system, features.spans(system.spectrum.eigenvalues, which))


def outputs(of: features.Family, X) -> np.ndarray:
    """(m, n, c)"""
    return np.asarray(jax.jit(jax.vmap(lambda c: jax.vmap(of.member(c))(X)))(of.coefficients))


def definition(system: Eigensystem, i: int, X, c: int) -> np.ndarray:
    """lambda_i^-1 Theta(x, X) v_i v_i^T Y, word by word."""
    rows = np.asarray(gram.gram(system.kernel, X, system.X))
    V, values = np.asarray(system.spectrum.eigenvectors), np.asarray(system.spectrum.eigenvalues)
    return (gram.matrix(rows) @ V[:, i : i + 1] @ np.asarray(system.targets)[i : i + 1] / values[i]).reshape(-1, c)


def test_a_feature_is_what_its_definition_says(case):
    system, c = case
    X, index = uniform(5, 4, 4, 2, seed=1), [0, 3, size(system) - 1]
    found = outputs(family(system, ranges(*((i, i + 1) for i in index))), X)
    for i, of in zip(index, found, strict=True):
        np.testing.assert_allclose(of, definition(system, i, X, c), rtol=EXACT, atol=EXACT)


def test_features_sum_to_the_predictor(case):
    system, _ = case
    X = uniform(5, 4, 4, 2, seed=1)
    whole = outputs(family(system, ranges((0, size(system)))), X)[0]
    np.testing.assert_allclose(outputs(family(system, singles(system)), X).sum(axis=0), whole, rtol=EXACT, atol=EXACT)


@pytest.mark.slow
def test_the_whole_is_the_regression_that_interpolates():
    system = infinite_system(architectures.fc(1, 3, depth=1, b_std=0.1), 3)
    whole = family(system, ranges((0, N)))
    Y = system.spectrum.eigenvectors @ system.targets
    direct = regression.predictor(system.kernel, system.X, system.spectrum.coefficients(regression.flow(), Y))
    X = uniform(5, 4, 4, 2, seed=1)
    np.testing.assert_allclose(outputs(whole, X)[0], jax.vmap(direct)(X), rtol=EXACT, atol=EXACT)
    np.testing.assert_allclose(outputs(whole, system.X)[0], Y, rtol=1e-8, atol=1e-8)


def test_flow_is_a_weighted_sum_of_features(case):
    """f_t = sum_i (1 - exp(-lambda_i t)) f^(i), and a ridge leaves lambda_i / (lambda_i + r) of each."""
    system, _ = case
    X, values = uniform(5, 4, 4, 2, seed=1), system.spectrum.eigenvalues
    parts = outputs(family(system, singles(system)), X)
    filters = jnp.stack([regression.flow(0.3)(values), regression.flow(ridge=0.2)(values)])
    direct = outputs(features.family(system, filters), X)
    for weight, of in zip((1 - np.exp(-0.3 * values), values / (values + 0.2)), direct, strict=True):
        np.testing.assert_allclose(np.einsum("i,inc->nc", weight, parts), of, rtol=EXACT, atol=EXACT)


def test_all_truncations_at_once(case):
    system, c = case
    X, labels = uniform(9, 4, 4, 2, seed=1), jnp.arange(9) % max(c, 2)
    below = family(system, ranges(*((0, k) for k in range(1, size(system) + 1))))
    expected = np.asarray(features.correct(below, X, labels))
    found = np.asarray(features.truncations(system, X, labels))
    np.testing.assert_array_equal(found.T, expected)
    assert 0 < expected.mean() < 1


@pytest.mark.slow
def test_sums_do_not_depend_on_signs_and_on_the_basis_of_a_degenerate_space():
    system = infinite_system(architectures.fc(1, 1, depth=1, b_std=0.1), 1)
    values = system.spectrum.eigenvalues.at[3:6].set(system.spectrum.eigenvalues[4])
    V, Y = system.spectrum.eigenvectors, system.spectrum.eigenvectors @ system.targets
    execution = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    other = (V * jnp.where(jnp.arange(N) % 2 == 0, 1, -1)[None, :]).at[:, 3:6].set(V[:, 3:6] @ execution)
    one, two = (
        features.InfiniteEigensystem.of(system.kernel, system.X, regression.Spectrum(values, basis), Y)
        for basis in (V, other)
    )
    X, labels = uniform(9, 4, 4, 2, seed=1), jnp.arange(9) % 2
    sums = ranges((0, 3), (0, 6), (3, 6), (6, N), (0, N), (1, 2))
    np.testing.assert_allclose(outputs(family(one, sums), X), outputs(family(two, sums), X), rtol=EXACT, atol=EXACT)
    right = [np.asarray(features.truncations(each, X, labels)) for each in (one, two)]
    whole_spaces = [k for k in range(N) if k not in (3, 4)]
    np.testing.assert_array_equal(right[0][:, whole_spaces], right[1][:, whole_spaces])
    inside = ranges((3, 4))
    assert np.abs(outputs(family(one, inside), X) - outputs(family(two, inside), X)).max() > 1e-3


def test_gradients_are_those_of_each_member_alone(case):
    system, c = case
    X, labels = uniform(3, 4, 4, 2, seed=1), jnp.arange(3) % max(c, 2)
    of = family(system, singles(system)[:6])
    found = np.asarray(features.gradients(of, X, labels))
    alone = eqx.filter_jit(jax.vmap(jax.grad(lambda x, y, f: f(x)[0 if c == 1 else y]), (0, 0, None)))
    for i, member in enumerate(_members(of)):
        expected = np.asarray(alone(X, labels, member))
        np.testing.assert_allclose(found[i], expected, rtol=0, atol=GRADIENT * np.abs(expected).max())
        assert np.abs(expected).max() > 0


def _members(of: features.Family):
    """Each as a predictor by itself, compiled once for all."""
    count = len(jax.tree.leaves(of.coefficients)[0])
    return [of.member(jax.tree.map(lambda leaf, i=i: leaf[i], of.coefficients)) for i in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("attack", [STEP, DESCENT, ADAPTIVE], ids=["fgsm", "pgd", "apgd"])
def test_outcomes_are_those_of_each_member_attacked_alone(case, attack):
    system, c = case
    X, labels, eps, key = (
        uniform(5, 4, 4, 2, seed=1),
        jnp.arange(5) % max(c, 2),
        jnp.array([0.01, 0.3]),
        jax.random.key(0),
    )
    of = family(system, singles(system)[:4])
    found = features.outcome(of, attack, OBJECTIVE, X, labels, eps, key=key, batch_size=2)
    assert found.robust.shape == (4, 2, 5)
    each = jax.vmap(lambda f, x, y: -losses.margin(f(x), y), (None, 0, 0))
    margin = eqx.filter_jit(jax.vmap(each, (None, 0, None)))
    for i, member in enumerate(_members(of)):
        images = attacks.perturb(attack, member, X, labels, eps, key=key, batch_size=5)
        margins = np.asarray(margin(member, jnp.concatenate([X[None], images]), labels))
        np.testing.assert_allclose(found.margin[i], margins[0], rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(found.robust_margin[i], margins[1:], rtol=1e-6, atol=1e-8)
        np.testing.assert_array_equal(np.concatenate([found.clean[i][None], found.robust[i]]), margins > 0)
    assert not any(np.any(flag) for flag in (found.zero_gradient, found.not_finite, found.outside))


def test_an_outcome_is_what_it_says():
    """By hand: of a step along the sign of the gradient of f, which points where the margin falls."""
    system = infinite_system(architectures.fc(1, 1, depth=1, b_std=0.1), 1)
    X, labels, of = uniform(5, 4, 4, 2, seed=1), jnp.arange(5) % 2, family(system, ranges((0, 4), (4, N)))
    found = features.outcome(of, STEP, OBJECTIVE, X, labels, jnp.array([0.02]), key=jax.random.key(0), batch_size=2)
    sign = np.asarray(2 * labels - 1, float)
    moved = X[None] - sign[None, :, None, None, None] * 0.02 * jnp.sign(features.gradients(of, X, labels))
    images = jnp.concatenate([X[None], jnp.clip(moved, 0, 1)]).reshape(-1, *X.shape[1:])
    margins = sign * outputs(of, images)[:, :, 0].reshape(2, 3, 5)
    for i in range(2):
        np.testing.assert_allclose(found.margin[i], margins[i, 0], rtol=1e-9)
        np.testing.assert_allclose(found.robust_margin[i, 0], margins[i, 1 + i], rtol=1e-9)
        np.testing.assert_array_equal(found.robust[i, 0], margins[i, 1 + i] > 0)


def test_what_numbers_rest_on_is_noticed():
    system = infinite_system(architectures.fc(1, 1, depth=1, b_std=0.1), 1)
    X, labels = uniform(3, 4, 4, 2, seed=1), jnp.arange(3) % 2

    def found(system, attack):
        of = family(system, ranges((0, 2), (2, 2)))
        return features.outcome(of, attack, OBJECTIVE, X, labels, jnp.array([0.1]), key=jax.random.key(0), batch_size=3)

    honest = found(system, STEP)
    np.testing.assert_array_equal(honest.zero_gradient, [[False] * 3, [True] * 3])
    assert np.all(found(system, Beyond(balls.Linf())).outside)
    broken = jax.tree.map(lambda leaf: leaf * jnp.nan, system.targets)
    lost = found(features.InfiniteEigensystem(system.kernel, system.X, system.spectrum, broken), STEP)
    assert np.all(lost.not_finite)
    assert np.all(lost.outside)


class Beyond(attacks.Attack):
    """Twice as far as allowed."""

    ball: balls.Ball

    def __call__(self, predictor, x, label, eps, *, key):
        return x + 2 * eps


def test_gradients_of_two_families_are_compared_without_their_signs():
    system = infinite_system(architectures.fc(1, 1, depth=1, b_std=0.1), 1)
    X, labels = uniform(3, 4, 4, 2, seed=1), jnp.arange(3) % 2
    one, flipped = family(system, ranges((0, 1), (1, 2))), family(system, ranges((1, 2), (0, 1)))
    assert isinstance(one, features.KernelFamily)
    opposite = features.KernelFamily(predictor=one.predictor, coefficients=-one.coefficients)
    np.testing.assert_allclose(features.alignment(one, opposite, X, labels), np.ones((2, 3)), rtol=EXACT)
    g = np.asarray(features.gradients(one, X, labels)).reshape(2, 3, -1)
    expected = np.abs(np.sum(g[0] * g[1], -1)) / np.linalg.norm(g[0], axis=-1) / np.linalg.norm(g[1], axis=-1)
    np.testing.assert_allclose(features.alignment(one, flipped, X, labels), [expected] * 2, rtol=EXACT)
