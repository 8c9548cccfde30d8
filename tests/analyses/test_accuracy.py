"""Accuracy, clean and robust; and all of it together on data whose best accuracy is known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.analyses.accuracy import accuracy
from ntkbench.analyses.evaluator import Evaluator
from ntkbench.data import synthetic
from ntkbench.ntk import architectures, attacks, balls, gram, infinite, regression
from ntkbench.ntk.layers import Dense, Flatten, Sequential
from tests.analyses.subjects import LABELS, OBJECTIVE, Brighter, attacked, brighter, evaluator, source, target
from tests.conftest import EXACT, STATISTICAL
from tests.ntk.predictors import drawn, linear


def test_shares_by_hand():
    goal = target()
    found = accuracy(goal, [attacked("step", source(), eps=("0.01", "0.1")), attacked("white", goal), brighter(goal)])
    assert [(s.metric, s.k, s.n, s.where) for s in found.scalars] == [
        ("accuracy", 7, 8, {"target": "target"}),
        ("robust_accuracy", 7, 8, {"target": "target", "attack": "step", "source": "source", "eps": "1/100"}),
        ("robust_accuracy", 3, 8, {"target": "target", "attack": "step", "source": "source", "eps": "1/10"}),
        ("robust_accuracy", 1, 8, {"target": "target", "attack": "white", "source": "target", "eps": "1/10"}),
        ("robust_accuracy", 7, 8, {"target": "target", "attack": "brighter", "source": "target", "eps": "1/10"}),
        ("robust_accuracy", 1, 8, {"target": "target", "attack": "worst", "eps": "1/10"}),
        ("majority_rate", 6, 8, {}),
    ]
    assert list(found.samples) == ["clean", "step@1/100", "step@1/10", "white@1/10", "brighter@1/10", "worst@1/10"]
    assert found.samples["clean"].sum() == 7
    assert len(found.checks) == 3 * 3 + 2 * 2 + 3
    assert all(check.ok for check in found.checks)


def norms_of(goal: Evaluator) -> dict[str, np.ndarray]:
    """The samples of the gradient's norms, which the numbers are the means of."""
    found = accuracy(goal, [], gradient_norm=True)
    numbers = {s.where["norm"]: s for s in found.scalars if s.metric == "gradient_norm"}
    samples = {norm: found.samples[f"gradient_{norm}"] for norm in ("l2", "l1")}
    for norm, values in samples.items():
        assert numbers[norm].where["target"] == goal.name
        assert numbers[norm].value == pytest.approx(values.mean(), rel=EXACT)
        assert numbers[norm].sd == pytest.approx(values.std(ddof=1), rel=EXACT, abs=EXACT)
    assert [check.code for check in found.checks] == ["gradients_finite"]
    return samples


def test_the_gradient_of_a_linear_predictor_has_the_norm_of_its_weights():
    """Of one output f it is |w|; of several it is that of f_y - f_j, j the largest other."""
    found = norms_of(evaluator("line", [3.0, -4.0]))
    np.testing.assert_allclose(found["l2"], np.full(8, 5.0), rtol=EXACT)
    np.testing.assert_allclose(found["l1"], np.full(8, 7.0), rtol=EXACT)
    W = np.array([[0, 0], [3, -4], [1, 8]])
    several = dataclasses.replace(evaluator("line", [0.0, 0.0]), predictor=linear(W))
    outputs = np.asarray(several.X).reshape(8, 2) @ W.T
    rival = np.argmax(np.where(np.eye(3, dtype=bool)[LABELS], -np.inf, outputs), axis=1)
    np.testing.assert_allclose(norms_of(several)["l1"], np.abs(W[LABELS] - W[rival]).sum(axis=1), rtol=EXACT)


def test_the_gradient_of_the_regression_with_a_linear_kernel_in_closed_form():
    """f(x) = <x, X^T alpha> / d, for <x, x'> / d is the kernel of one dense layer without bias."""
    data = synthetic.two_gaussians(4, 0.5, 0.15, 3, 8, seed=0)
    kernel = infinite.InfiniteKernel(Sequential((Flatten(), Dense(1, W_std=1.0, b_std=None))))
    X = jnp.asarray(data.train.unit())
    alpha = jnp.array([[1.0], [-2.0], [0.5]])
    predictor = regression.predictor(kernel, X, alpha)
    goal = Evaluator("limit", predictor, jnp.asarray(data.test.unit()), jnp.asarray(data.test.labels), 3)
    w = (X.reshape(3, -1).T @ alpha)[:, 0] / 4
    found = norms_of(goal)
    np.testing.assert_allclose(found["l2"], np.full(8, np.linalg.norm(w)), rtol=EXACT)
    np.testing.assert_allclose(found["l1"], np.full(8, np.abs(w).sum()), rtol=EXACT)


def test_the_gradient_of_a_network_is_that_of_jax():
    network, X = drawn(architectures.fc(5, 3, depth=2), (1, 1, 2)), target().X
    goal = Evaluator("net", network, X, jnp.asarray(LABELS), 3)

    def slope(x, y):
        j = next(j for j in np.argsort(-np.asarray(network(x))).tolist() if j != y)
        return jax.grad(lambda image: network(image)[y] - network(image)[j])(x).ravel()

    by_hand = np.array([slope(x, int(y)) for x, y in zip(X, LABELS, strict=True)])
    found = norms_of(goal)
    np.testing.assert_allclose(found["l2"], np.sqrt((by_hand**2).sum(axis=1)), rtol=EXACT)
    np.testing.assert_allclose(found["l1"], np.abs(by_hand).sum(axis=1), rtol=EXACT)


class Darker(attacks.Attack):
    """Moves the first pixel down by eps."""

    ball: balls.Ball = balls.Linf()

    def __call__(self, predictor, x, label, eps, *, key):
        return self.ball.project(x.at[..., 0].add(-eps), x, eps)


def test_the_worst_case_is_that_of_each_point():
    """Up fools G and H, down A C D and F; E was wrong. Nobody but B stays right under both."""
    goal, eps = target(), ("0", "0.2")
    up, down = attacked("up", goal, Brighter(), None, ("0.1", *eps)), attacked("down", goal, Darker(), None, eps)
    found = accuracy(goal, [up, down])
    assert points(found, "up@1/5") == "ABCDEF"
    assert points(found, "down@1/5") == "BGH"
    assert points(found, "worst@1/5") == "B"
    assert points(found, "worst@0") == points(found, "clean")
    worst = [s for s in found.scalars if s.where.get("attack") == "worst"]
    assert [(s.where["eps"], s.k, s.n) for s in worst] == [("0", 7, 8), ("1/5", 1, 8)]


def points(measured, sample):
    return "".join(np.array([*"ABCDEFGH"])[measured.samples[sample]])


def test_a_worst_case_is_of_one_threat_set():
    goal = target()
    balls_differ = [attacked("one", goal), attacked("two", goal, attacks.FGSM(balls.L2(), OBJECTIVE))]
    budgets_differ = [attacked("one", goal), attacked("two", goal, eps=("0.2",))]
    for several in (balls_differ, budgets_differ, [attacked("one", goal)]):
        assert "worst" not in {s.where.get("attack") for s in accuracy(goal, several).scalars}


def test_without_attacks():
    found = accuracy(target(), [])
    assert [s.metric for s in found.scalars] == ["accuracy", "majority_rate"]
    assert found.checks == ()


@pytest.fixture(scope="module")
def gaussians():
    """Kernel regression on two Gaussians, a ridge against their noise."""
    data = synthetic.two_gaussians(4, 0.5, 0.15, 256, 1000, seed=0)
    kernel = infinite.InfiniteKernel(architectures.fc(1, 1, depth=1, b_std=0.1))
    X = jnp.asarray(data.train.unit())
    spectrum = regression.Spectrum.of(gram.matrix(np.asarray(gram.gram(kernel, X))))
    alpha = spectrum.coefficients(regression.flow(ridge=1.0), jnp.asarray(2.0 * data.train.labels - 1)[:, None])
    predictor = regression.predictor(kernel, X, alpha)
    return Evaluator("limit", predictor, jnp.asarray(data.test.unit()), jnp.asarray(data.test.labels), 500)


@pytest.mark.parametrize("ball", [balls.Linf(), pytest.param(balls.L2(), marks=pytest.mark.slow)])
def test_two_gaussians_end_to_end(gaussians, ball):
    """The kernel is nearly as good as the best classifier, and no classifier is more robust than the bound."""
    eps = ("0.05", "0.15")
    found = accuracy(gaussians, [attacked("pgd", gaussians, attacks.PGD(ball, OBJECTIVE, 10), eps=eps)])
    clean, *robust, _ = [s.value or 0 for s in found.scalars]
    best = [synthetic.bayes_accuracy(0.5, 0.15, float(e)) for e in (0, *eps)]
    error = [(p * (1 - p) / 1000) ** 0.5 for p in best]
    assert best[0] - 0.02 - STATISTICAL * error[0] < clean < best[0] + STATISTICAL * error[0]
    for value, bound, sd in zip(robust, best[1:], error[1:], strict=True):
        assert 0.5 * bound < value < bound + STATISTICAL * sd
    assert clean > robust[0] > robust[1]
    assert all(check.ok for check in found.checks)


@pytest.mark.slow
def test_more_steps_do_not_help_the_target(gaussians):
    weak = attacked("fgsm", gaussians, attacks.FGSM(balls.L2(), OBJECTIVE))
    strong = attacked("pgd", gaussians, attacks.PGD(balls.L2(), OBJECTIVE, 10))
    _, one, other, *_ = accuracy(gaussians, [weak, strong]).scalars
    assert other.k is not None
    assert one.k is not None
    assert other.k <= one.k + 2


def test_random_signs_hurt_less_than_the_gradient(gaussians):
    """Along the one axis that tells the classes apart, they help as often as they hurt."""
    signs = attacked("signs", gaussians, attacks.RandomSigns(balls.Linf()), None)
    step = attacked("fgsm", gaussians, attacks.FGSM(balls.Linf(), OBJECTIVE))
    _, random, gradient, *_ = (s.value or 0 for s in accuracy(gaussians, [signs, step]).scalars)
    expected = np.mean([synthetic.bayes_accuracy(0.5, 0.15, eps) for eps in (0.1, -0.1)])
    assert abs(random - expected) < 0.02 + STATISTICAL * (expected * (1 - expected) / 1000) ** 0.5
    assert gradient < random - 0.05
