"""Losses against their formulas, and their curvature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkbench.ntk import losses
from tests.conftest import EXACT

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, 50)
OUTPUTS = 3 * RNG.standard_normal((50, 4))
F, Y = 3 * RNG.standard_normal((50, 1)), RNG.integers(0, 2, 50)
SIGNS = 2 * Y - 1


def each(loss, outputs, labels):
    return np.asarray(jax.jit(jax.vmap(loss))(jnp.asarray(outputs), jnp.asarray(labels)))


def test_cross_entropy_is_the_surprise_at_the_label():
    p = np.exp(OUTPUTS) / np.exp(OUTPUTS).sum(1, keepdims=True)
    expected = -np.log(p[np.arange(50), LABELS])
    np.testing.assert_allclose(each(losses.cross_entropy, OUTPUTS, LABELS), expected, rtol=EXACT)
    slopes = each(jax.grad(losses.cross_entropy), OUTPUTS, LABELS)
    np.testing.assert_allclose(slopes, p - np.eye(4)[LABELS], rtol=EXACT, atol=EXACT)


def test_cross_entropy_of_one_output_is_logistic():
    expected = np.log1p(np.exp(-SIGNS * F[:, 0]))
    np.testing.assert_allclose(each(losses.cross_entropy, F, Y), expected, rtol=EXACT)
    slopes = each(jax.grad(losses.cross_entropy), F, Y)[:, 0]
    np.testing.assert_allclose(slopes, -SIGNS / (1 + np.exp(SIGNS * F[:, 0])), rtol=EXACT)


def test_one_output_is_two_of_difference_f():
    two = np.concatenate([np.zeros_like(F), F], axis=1)
    for loss in (losses.cross_entropy, losses.margin):
        np.testing.assert_allclose(each(loss, F, Y), each(loss, two, Y), rtol=EXACT)


@pytest.mark.parametrize("outputs", [np.array([[900.0], [-900.0]]), np.array([[900.0, -900.0], [-900.0, 900.0]])])
def test_cross_entropy_far_out_is_linear(outputs):
    far = 900.0 * outputs.shape[1]
    np.testing.assert_allclose(
        each(losses.cross_entropy, outputs, [0, 0]), [far, 0] if outputs.shape[1] == 1 else [0, far]
    )
    assert np.all(np.isfinite(each(jax.grad(losses.cross_entropy), outputs, [0, 0])))


@pytest.mark.parametrize("centered", [False, True])
def test_squared(centered):
    loss = lambda f, y: losses.squared(f, y, centered=centered)  # noqa: E731
    targets = np.eye(4)[LABELS] - 0.25 * centered
    np.testing.assert_allclose(each(loss, OUTPUTS, LABELS), ((OUTPUTS - targets) ** 2).sum(1) / 2, rtol=EXACT)
    np.testing.assert_allclose(each(loss, F, Y), (F[:, 0] - SIGNS) ** 2 / 2, rtol=EXACT)


def test_margin_is_positive_where_the_prediction_is_wrong():
    for outputs, labels in ((OUTPUTS, LABELS), (F, Y)):
        wrong = each(lambda f, _: losses.predict(f), outputs, labels) != labels
        assert 0 < wrong.sum() < len(wrong)
        np.testing.assert_array_equal(each(losses.margin, outputs, labels) > 0, wrong)
    np.testing.assert_allclose(losses.margin(jnp.array([1.0, 5.0, 2.0]), jnp.array(1)), -3.0)


def test_ties_are_the_first_label():
    assert losses.predict(jnp.array([0.0])) == 0
    assert losses.predict(jnp.array([1e-300])) == 1
    assert losses.predict(jnp.array([1.0, 2.0, 2.0])) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_targets(dtype):
    def targets(labels, **how):
        return np.stack([losses.encode(jnp.array(y), dtype=dtype, **how) for y in labels])

    assert targets([0], c=1).dtype == dtype
    np.testing.assert_array_equal(targets([0, 1], c=1), [[-1], [1]])
    np.testing.assert_array_equal(targets([2, 0], c=3), [[0, 0, 1], [1, 0, 0]])
    np.testing.assert_allclose(targets([2, 0], c=3, centered=True), np.eye(3)[[2, 0]] - 1 / 3, rtol=1e-6)


@pytest.mark.parametrize(
    ("loss", "outputs", "largest"),
    [
        (losses.squared, F, 1),
        (losses.squared, OUTPUTS, 1),
        (losses.cross_entropy, F, 0.25),
        (losses.cross_entropy, OUTPUTS, 0.5),
    ],
)
def test_curvature_bounds_that_the_automatic_learning_rate_rests_on(loss, outputs, largest):
    """Reached between two equal outputs that outdo all others."""
    peak = np.zeros((1, outputs.shape[1])) - 50.0 * (np.arange(outputs.shape[1]) > 1)
    hessians = each(jax.hessian(loss), np.concatenate([outputs, peak]), np.zeros(51, int))
    eigenvalues = np.linalg.eigvalsh(hessians)[:, -1]
    assert np.all(eigenvalues <= largest * (1 + EXACT))
    np.testing.assert_allclose(eigenvalues[-1], largest, rtol=EXACT)


def ratio(outputs, labels):
    """Croce & Hein 2020, eq. 6."""
    ordered, own = -np.sort(-outputs, axis=1), outputs[np.arange(len(outputs)), labels]
    other = np.where(np.eye(outputs.shape[1], dtype=bool)[labels], -np.inf, outputs).max(1)
    return -(own - other) / (ordered[:, 0] - ordered[:, 2])


def targeted_ratio(outputs, labels, targets):
    """Croce & Hein 2020, eq. 7."""
    ordered, rows = -np.sort(-outputs, axis=1), np.arange(len(outputs))
    return -(outputs[rows, labels] - outputs[rows, targets]) / (ordered[:, 0] - (ordered[:, 2] + ordered[:, 3]) / 2)


def test_the_difference_of_logits_ratio():
    np.testing.assert_allclose(each(losses.dlr, OUTPUTS, LABELS), ratio(OUTPUTS, LABELS), rtol=EXACT)
    three = OUTPUTS[:, :3]
    np.testing.assert_allclose(each(losses.dlr, three, LABELS % 3), ratio(three, LABELS % 3), rtol=EXACT)
    targets = (LABELS + 1 + np.arange(50) % 3) % 4
    found = jax.jit(jax.vmap(losses.dlr_toward))(jnp.asarray(OUTPUTS), jnp.asarray(LABELS), jnp.asarray(targets))
    np.testing.assert_allclose(found, targeted_ratio(OUTPUTS, LABELS, targets), rtol=EXACT)


def test_the_ratio_knows_neither_scale_nor_shift():
    np.testing.assert_allclose(
        each(losses.dlr, 1000 * OUTPUTS - 7, LABELS), each(losses.dlr, OUTPUTS, LABELS), rtol=EXACT
    )


@pytest.mark.parametrize(("loss", "outputs"), [(losses.dlr, 2), (losses.dlr, 1), (losses.dlr_toward, 3)])
def test_a_ratio_of_too_few_outputs_is_refused(loss, outputs):
    with pytest.raises(ValueError, match=f"needs [34] outputs, and there are {outputs}"):
        loss(jnp.zeros(outputs), *[jnp.array(0)] * (2 if loss is losses.dlr_toward else 1))


FEW = st.sampled_from([0.0, 1.0, 1.0 + 1e-7, -1.0, 1e-30, -1e-30, 1e10, -1e10])
"""outputs that are often equal, or nearly so"""
EVERY = {
    "cross_entropy": losses.cross_entropy,
    "margin": losses.margin,
    "squared": losses.squared,
    "dlr": losses.dlr,
    "dlr_toward": lambda f, y: losses.dlr_toward(f, y, (y + 1) % 5),
    "toward": lambda f, y: losses.toward(f, y, (y + 1) % 5, loss=losses.cross_entropy),
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float64, marks=pytest.mark.slow)])
def test_losses_and_their_gradients_are_finite_at_ties(name, dtype):
    value = jax.jit(jax.value_and_grad(EVERY[name]))

    @settings(max_examples=60)
    @given(outputs=st.lists(FEW, min_size=5, max_size=5), label=st.integers(0, 4))
    def finite(outputs, label):
        loss, gradient = value(jnp.asarray(outputs, dtype), jnp.asarray(label))
        assert np.isfinite(loss)
        assert np.all(np.isfinite(gradient))

    finite()


def test_toward_is_away_from_nothing_but_the_rest():
    outputs, label, target = jnp.array([3.0, 1.0, 2.0]), jnp.array(0), jnp.array(2)
    assert losses.toward(outputs, label, target, loss=losses.margin) == -1
    slope = jax.grad(losses.toward)(outputs, label, target, loss=losses.cross_entropy)
    assert np.argmax(slope) == 2
    assert np.sum(np.asarray(slope) > 0) == 1


def test_others_are_in_the_order_of_their_outputs():
    outputs = jnp.array([3.0, 5.0, 4.0, -1.0])
    np.testing.assert_array_equal(losses.others(outputs, jnp.array(1), 3), [2, 0, 3])
    np.testing.assert_array_equal(losses.others(outputs, jnp.array(2), 2), [1, 0])
    np.testing.assert_array_equal(losses.others(outputs, jnp.array(3), 1), [1])


def test_the_divergence_is_that_of_the_probabilities():
    one, other = np.array([[0.3, -1.0, 2.0], [0.0, 0.0, 0.0]]), np.array([[1.0, 0.5, -0.2], [0.0, 0.0, 0.0]])
    p, q = (np.exp(f) / np.exp(f).sum(axis=1, keepdims=True) for f in (one, other))
    expected = np.sum(p * np.log(p / q), axis=1)
    np.testing.assert_allclose(each(losses.divergence, one, other), expected, rtol=EXACT, atol=1e-15)
    two = np.stack([np.zeros(2), np.array([0.7, -3.0])], axis=1), np.stack([np.zeros(2), np.array([-0.4, 5.0])], axis=1)
    single = each(losses.divergence, two[0][:, 1:], two[1][:, 1:])
    np.testing.assert_allclose(single, each(losses.divergence, *two), rtol=EXACT)
