"""How far a network was trained, by hand; whether a kernel and a network stand at one time."""

import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.analyses.evaluator import Evaluator
from ntkbench.analyses.fit import Fit, equal_time, fit, loss_reached
from ntkbench.ntk import losses
from tests.conftest import EXACT

X = jnp.array([[-2.0], [-0.5], [1.0], [3.0]])
LABELS = jnp.array([0, 1, 1, 1])


def identity(x):
    return x


def shifted(x):
    return jnp.concatenate([x, 1 - x])


def measured(predictor, loss, targets, probabilities, flow_time: float | None = 2.0):
    evaluator = Evaluator("self", predictor, X, LABELS, 3)
    rates = np.array([3.0, 0.6, 0.4])
    found, measurement = fit(
        evaluator,
        loss,
        np.asarray(targets, float),
        probabilities=probabilities,
        epochs=7,
        flow_time=flow_time,
        eigenvalues=rates,
    )
    return found, {scalar.metric: scalar for scalar in measurement.scalars}


def test_squared_loss_by_hand():
    targets = np.array([-1.0, 1, 1, 1])[:, None]
    found, numbers = measured(identity, losses.squared, targets, False)
    squares = np.square(np.array([-2, -0.5, 1, 3]) - targets[:, 0])
    assert numbers["training_loss"].value == pytest.approx(squares.mean() / 2, rel=EXACT)
    np.testing.assert_allclose(found.residual, squares.sum() / 4, rtol=EXACT)
    assert (numbers["training_accuracy"].k, numbers["training_accuracy"].n) == (3, 4)
    assert numbers["epochs_trained"].value == 7
    assert numbers["flow_time"].value == found.flow_time == 2.0
    assert (numbers["learned_features"].value, numbers["learned_features"].n) == (2.0, 3)


def test_of_cross_entropy_the_probabilities_are_to_be_the_targets():
    targets = np.eye(2)[np.asarray(LABELS)]
    outputs = np.stack([np.asarray(shifted(x)) for x in X])
    probabilities = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    found, _ = measured(shifted, losses.cross_entropy, targets, True)
    np.testing.assert_allclose(found.residual, np.square(probabilities - targets).sum() / 4, rtol=EXACT)
    signs = np.array([-1.0, 1, 1, 1])[:, None]
    one, _ = measured(identity, losses.cross_entropy, signs, True)
    of_one = 2 / (1 + np.exp(-np.array([-2, -0.5, 1, 3]))) - 1
    np.testing.assert_allclose(one.residual, np.square(of_one - signs[:, 0]).sum() / 4, rtol=EXACT)


def test_without_a_gradient_flow_there_is_no_time_and_it_says_why():
    _, numbers = measured(identity, losses.squared, np.ones((4, 1)), False, None)
    assert numbers["flow_time"].value is numbers["learned_features"].value is None
    assert "no gradient flow" in str(numbers["flow_time"].reason)


@pytest.mark.parametrize(
    ("time", "ridge", "network", "ok"),
    [
        (2.0, 0.0, Fit(1, 2.0, 0.5), True),
        (2.0, 0.0, Fit(1, 1.0, 0.5), True),
        (2.0, 0.0, Fit(1, 4.01, 0.5), False),
        (2.0, 0.0, Fit(1, 0.99, 0.0), False),
        (2.0, 0.0, Fit(1, None, 0.0), False),
        (np.inf, 0.0, Fit(1, 2.0, 0.01), True),
        (np.inf, 0.0, Fit(1, None, 0.01), True),
        (np.inf, 0.0, Fit(1, 1e9, 0.011), False),
        (np.inf, 0.0, Fit(0, 0.0, np.nan), False),
        (np.inf, 0.25, Fit(1, 4.0, 0.5), True),
        (np.inf, 0.25, Fit(1, 40.0, 0.0), False),
    ],
)
def test_equal_times(time, ridge, network, ok):
    check = equal_time("ntk", "limit", time, ridge, network)
    assert check.code == "source_and_target_at_equal_time"
    assert check.ok is ok


def test_a_loss_that_was_not_reached():
    assert loss_reached(0.1, 0.1).ok
    assert not loss_reached(0.11, 0.1).ok
    assert not loss_reached(float("nan"), 0.1).ok
