"""Words become the numbers they say."""

from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkbench.data import dataset
from ntkbench.errors import DataError, NumericsError
from ntkbench.ntk import apgd, attacks, balls, fab, gram, in_turn, losses, regression, square
from ntkbench.plan import timeline
from ntkbench.run.build import attacks as build_attacks
from ntkbench.run.build import kernels, training
from ntkbench.run.build.data import examples, outputs, targets
from ntkbench.run.build.losses import curvature, loss, targeted_loss
from ntkbench.run.build.networks import networks, stream, unstack
from ntkbench.spec.cell import Cell
from ntkbench.spec.kernels import InfiniteKernel
from tests.examples.cells import FULL


def cell(**sections: Any) -> Cell:
    return Cell.model_validate({**FULL, **sections})


def bits(key: jax.Array) -> tuple[int, ...]:
    return tuple(jax.random.key_data(key).tolist())


def test_streams_differ_by_seed_and_purpose_and_stay_as_they_are():
    keys = {(seed, purpose): bits(stream(seed, purpose)) for seed in range(3) for purpose in ("init", "order")}
    assert len(set(keys.values())) == len(keys)
    assert keys[0, "init"] == (3020537540, 2946840664), "another stream is another experiment"


def test_targets_are_signs_of_two_classes_and_one_hot_of_more():
    labels = np.array([0, 1, 2])
    two = targets(cell().data, labels[:2], 1)
    assert two.tolist() == [[-1.0], [1.0]]
    assert targets(cell().data, labels, 3).tolist() == np.eye(3).tolist()
    centered = cell(data={**FULL["data"], "targets": "centered"}).data
    np.testing.assert_allclose(targets(centered, labels, 3), np.eye(3) - 1 / 3)


def test_a_missing_data_set_is_told(tmp_path):
    with pytest.raises(DataError, match="ntkbench data fetch fashion_mnist"):
        examples(cell().data, [tmp_path])


def test_classes_are_labeled_in_the_order_of_the_spec():
    data = {"dataset": "fashion_mnist_mini", "classes": ["sneaker", "bag"], "n_train": 10, "n_test": 4}
    found = examples(cell(data=data).data, ())
    assert found.classes == ("sneaker", "bag")
    assert isinstance(found, dataset.Dataset)
    assert outputs(found) == 1
    assert sorted(found.train.labels.tolist()) == [0] * 5 + [1] * 5


def test_networks_of_seeds_are_stacked_and_each_is_its_own():
    small = cell(width=4, architecture={"kind": "fc", "depth": 1})
    together, alone = networks(small, (0, 5), (2, 2, 1), 3), networks(small, (5,), (2, 2, 1), 3)
    assert jax.tree.leaves(together)[0].shape[0] == 2
    for one, two in zip(jax.tree.leaves(unstack(together, 1)), jax.tree.leaves(unstack(alone, 0)), strict=True):
        np.testing.assert_array_equal(one, two)
        assert one.dtype == np.float32


def trained(**fields: Any) -> Cell:
    return cell(training={**FULL["training"], "linearize_at": None, **fields})


def test_functions_that_are_compiled_for_are_the_same_ones():
    one, two = (trained(optimizer={"kind": "sgd", "learning_rate": r}) for r in (0.1, 0.2))
    later = trained(optimizer={"kind": "sgd"}, linearize_at=3)
    assert training.optimizer(one) is training.optimizer(two)
    assert training.optimizer(one) is training.optimizer(later), "without a schedule it does not matter when"
    adam = trained(optimizer={"kind": "adam"})
    assert training.optimizer(adam) is training.optimizer(adam)
    assert training.optimizer(adam) is not training.optimizer(one)
    assert loss("mse") is loss("mse")


def rates(of: Cell, steps: int) -> list[float]:
    """What a gradient of 1 is multiplied with at each step."""
    optimizer = training.optimizer(of)(jnp.asarray(0.5))
    state, found = optimizer.init(jnp.zeros(())), []
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(steps):
            update, state = optimizer.update(jnp.ones(()), state)
            found.append(-np.asarray(update).item())
    return found


N, STEPS = 60, 3
"""examples of the full cell, and batches an epoch below"""
SCHEDULES: dict[str, tuple[dict[str, Any], Any]] = {
    "cosine": ({"kind": "cosine", "end": 0.1}, lambda e: 0.1 + 0.9 * (1 + np.cos(np.pi * min(e / 4, 1))) / 2),
    "cosine, shorter": ({"kind": "cosine", "epochs": 2}, lambda e: (1 + np.cos(np.pi * min(e / 2, 1))) / 2),
    "exponential": ({"kind": "exponential", "factor": 0.5, "every": 2}, lambda e: 0.5 ** (e / 2)),
    "staircase": ({"kind": "exponential", "factor": 0.5, "staircase": True}, lambda e: 0.5 ** (e // 1)),
    "piecewise": ({"kind": "piecewise", "at": [1, 3]}, lambda e: 0.1 ** ((e >= 1) + (e >= 3))),
    "warmup_cosine": (
        {"kind": "warmup_cosine", "warm_up": 1},
        lambda e: e if e < 1 else (1 + np.cos(np.pi * min((e - 1) / 3, 1))) / 2,
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_multiply_the_learning_rate_by_epochs(name: str):
    words, share = SCHEDULES[name]
    of = trained(optimizer={"kind": "sgd", "schedule": words}, epochs=4, batch_size=N // STEPS)
    expected = [0.5 * share(step / STEPS) for step in range(4 * STEPS)]
    np.testing.assert_allclose(rates(of, 4 * STEPS), expected, rtol=1e-5, atol=1e-7)


def test_a_schedule_runs_on_where_the_training_is_linearized():
    words = {"kind": "sgd", "schedule": {"kind": "cosine"}}
    whole = trained(optimizer=words, epochs=4, batch_size=N // STEPS)
    later = trained(optimizer=words, epochs=4, batch_size=N // STEPS, linearize_at=1)
    before = timeline.before_last_phase(later)
    assert before is not None
    assert rates(before, STEPS) + rates(later, 3 * STEPS) == pytest.approx(rates(whole, 4 * STEPS))


def test_adam_has_schedules_too():
    of = trained(optimizer={"kind": "adam", "schedule": {"kind": "piecewise", "at": [1], "factor": 0.5}}, epochs=2)
    np.testing.assert_allclose(rates(of, 2), [0.5, 0.25], rtol=1e-5)


def test_an_inner_attack_has_what_the_spec_says():
    attack = {"kind": "pgd", "eps": "8/255", "norm": "l2", "loss": "margin", "steps": 7, "step_size": "2/255"}
    keys = jax.random.split(jax.random.key(0), 2)
    words = {**FULL["training"], "mode": "adversarial", "attack": attack, "warm_up": 5, "linearize_at": 3}
    inner = training.inner(cell(training=words), keys)
    assert inner is not None
    assert isinstance(inner.attack, attacks.PGD)
    assert (inner.attack.steps, inner.attack.step_size, inner.attack.uniform_start) == (7, 2 / 255, False)
    assert isinstance(inner.attack.ball, balls.L2)
    assert inner.attack.objective.loss is loss("margin")
    assert (float(inner.eps), inner.eps.dtype) == (pytest.approx(8 / 255), np.float32)
    assert int(inner.warm_up) == 2, "epochs of the phase"
    assert training.inner(trained(), keys) is None


def test_an_attack_has_the_budgets_and_the_source_that_the_spec_says():
    pgd = {"kind": "pgd", "eps": ["2/255", "8/255"], "norm": "l2", "steps": 7, "step_size": "1/255", "start": "uniform"}
    threat = build_attacks.attack(cell(attacks={**FULL["attacks"], "own": pgd}), "own")
    assert (threat.source, [str(budget) for budget in threat.budgets]) == ("self", ["2/255", "8/255"])
    assert list(threat.radii) == [2 / 255, 8 / 255]
    assert isinstance(threat.attack, attacks.PGD)
    assert isinstance(threat.ball, balls.L2)
    assert (threat.attack.steps, threat.attack.step_size, threat.attack.uniform_start) == (
        7,
        float(Fraction(1, 255)),
        True,
    )
    assert threat.objective is not None
    assert not threat.objective.predicted
    noise = build_attacks.attack(cell(), "noise")
    assert (noise.source, noise.objective) == (build_attacks.NO_SOURCE, None)


def test_a_budget_relative_to_the_dimension_has_a_radius_on_the_data():
    words = {"kind": "fgsm", "eps": {"in": "inverse_sqrt_dim", "value": [1, "1/2"]}}
    of = cell(
        attacks={**FULL["attacks"], "own": words},
        training={**FULL["training"], "mode": "adversarial"}
        | {"attack": {"kind": "fgsm", "eps": {"in": "inverse_sqrt_dim", "value": 2}}},
    )
    threat = build_attacks.attack(of, "own")
    assert [budget.label for budget in threat.budgets] == ["1/2/sqrt(d)", "1/sqrt(d)"]
    np.testing.assert_allclose(threat.radii, [0.5 / 28, 1 / 28], rtol=1e-12)
    inner = training.inner(of, jax.random.split(jax.random.key(0), 2))
    assert inner is not None
    np.testing.assert_allclose(inner.eps, 2 / 28, rtol=1e-6)


def test_an_adaptive_attack_is_as_the_spec_says():
    words = {"kind": "apgd", "eps": "8/255", "loss": "dlr", "steps": 9, "targeted": 3, "restarts": 2}
    attack = build_attacks.attack(cell(attacks={"own": words}), "own").attack
    assert isinstance(attack, attacks.Restarts)
    assert attack.count == 2
    assert isinstance(attack.attack, apgd.APGD)
    assert (attack.attack.steps, attack.attack.uniform_start) == (9, True)
    assert attack.attack.objective.loss is losses.dlr
    assert attack.attack.targets == apgd.Targets(3, losses.dlr_toward)
    alone = build_attacks.attack(cell(attacks={"own": {"kind": "apgd", "eps": "8/255", "start": "zero"}}), "own").attack
    assert isinstance(alone, apgd.APGD)
    assert (alone.steps, alone.uniform_start, alone.targets) == (100, False, None)
    assert targeted_loss("margin") is targeted_loss("margin")
    outputs, label, target = jnp.array([1.0, 4.0, 2.0]), jnp.array(0), jnp.array(2)
    assert targeted_loss("margin")(outputs, label, target) == -losses.margin(outputs, target)


def test_a_search_for_the_nearest_image_is_as_the_spec_says():
    words = {"kind": "fab", "eps": ["4/255", "8/255"], "norm": "l2", "steps": 9, "restarts": 2, "targeted": 1}
    found = build_attacks.attack(cell(attacks={"own": words}), "own").attack
    assert found == fab.FAB(balls.L2(), attacks.Objective(losses.margin), 9, 2, 1), "its restarts are its own"


@pytest.mark.parametrize(
    ("classes", "said", "targets", "ratio"),
    [
        ([7, 8], {}, 0, losses.margin),
        ([7, 8, 4], {}, 2, targeted_loss("margin")),
        ([7, 8, 4, 1], {}, 3, losses.dlr_toward),
        (None, {}, 9, losses.dlr_toward),
        (None, {"targeted": 4}, 4, losses.dlr_toward),
    ],
)
def test_the_standard_set_is_the_published_one(classes, said, targets, ratio):
    """With fewer than four classes the margin takes the place of the ratio; two have one direction."""
    words = {"kind": "autoattack", "eps": "8/255", "steps": 9, "queries": 70, "labels": "predicted", **said}
    of = cell(data={**FULL["data"], "classes": classes}, attacks={"own": words})
    built = build_attacks.attack(of, "own")
    margin, linf = attacks.Objective(losses.margin, predicted=True), balls.Linf()
    assert isinstance(built.attack, in_turn.InTurn)
    first, second, third, last = built.attack.parts
    assert first == apgd.APGD(linf, attacks.Objective(losses.cross_entropy, predicted=True), 9)
    assert second == apgd.APGD(linf, margin, 9, targets=apgd.Targets(targets, ratio) if targets else None)
    assert third == fab.FAB(linf, margin, 9, targets=targets or None)
    assert last == square.Square(linf, margin, 70)
    assert built.objective == margin


def test_an_attack_draws_from_its_own_seed_whatever_the_run():
    key = build_attacks.attack_key(cell(), "noise")
    other = build_attacks.attack_key(
        cell(attacks={**FULL["attacks"], "noise": {**FULL["attacks"]["noise"], "seed": 1}}), "noise"
    )
    assert bits(key) == bits(stream(0, "attack"))
    assert bits(key) != bits(other)


def test_a_network_of_one_dense_layer_has_the_linear_kernel():
    words = {"kind": "layers", "W_std": 1.5, "b_std": None, "layers": [{"op": "flatten"}, {"op": "dense"}]}
    of = cell(architecture=words)
    X = np.random.default_rng(0).random((5, 4, 3, 2))
    kernel = kernels.infinite_kernel(of, InfiniteKernel(kind="infinite"), 1)
    found = gram.matrix(np.asarray(gram.gram(kernel, jnp.asarray(X))))
    np.testing.assert_allclose(found, 1.5**2 / 24 * X.reshape(5, -1) @ X.reshape(5, -1).T, rtol=1e-12)


def test_a_singular_kernel_is_refused_unless_time_or_a_ridge_tames_it():
    spectrum = regression.Spectrum.of(np.ones((3, 3)))
    Y = targets(cell().data, np.array([0, 1, 1]), 1)
    with pytest.raises(NumericsError, match="singular: 2 of its 3 eigenvalues"):
        kernels.coefficients(spectrum, InfiniteKernel(kind="infinite"), Y)
    for tame in (InfiniteKernel(kind="infinite", ridge=0.1), InfiniteKernel(kind="infinite", time=2.0)):
        assert np.all(np.isfinite(kernels.coefficients(spectrum, tame, Y)))


@given(st.integers(1, 10_000), st.integers(1, 10**9), st.floats(1e3, 1e12))
def test_batches_fit_and_are_as_few_as_can_be(n: int, example_bytes: int, tile_bytes: float):
    size = kernels.batch_size(n, example_bytes, tile_bytes)
    assert 1 <= size <= n
    assert size == 1 or (size - 1) * example_bytes <= tile_bytes
    if n * example_bytes <= tile_bytes:
        assert size == n


@pytest.mark.parametrize(
    ("loss", "outputs", "expected"), [("mse", 3, 1), ("cross_entropy", 1, 0.25), ("cross_entropy", 3, 0.5)]
)
def test_curvature(loss: str, outputs: int, expected: float):
    trained = cell(training={**FULL["training"], "loss": loss}).training
    assert curvature(trained, outputs) == expected  # type: ignore[arg-type]
