"""Training in phases: each begins where the one before it ended, and all of them are one time line."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ntkbench.ntk import attacks, balls, losses, training
from ntkbench.plan.keys import training_key
from ntkbench.run.build.data import examples
from ntkbench.run.build.networks import stream
from ntkbench.spec.cell import Cell
from ntkbench.spec.identity import run_id
from ntkbench.store import arrays, lookup
from ntkbench.store.store import Store
from tests.examples import tiny
from tests.run.test_group import ADAM, MOMENTUM, Killed, bits, cell, fit, weights

FGSM = {"kind": "fgsm", "eps": "1/10"}
ADVERSARIAL: dict[str, Any] = {
    "mode": "adversarial",
    "attack": FGSM,
    "epochs": 2,
    "optimizer": {**ADAM, "schedule": {"kind": "cosine"}},
    "batch_size": 5,
}
STANDARD: dict[str, Any] = {"mode": "standard", "epochs": 3, "optimizer": MOMENTUM, "batch_size": 4}


def phased(*phases: dict[str, Any]) -> Cell:
    return Cell.model_validate({**cell().model_dump(mode="json"), "training": {"phases": list(phases)}})


def test_two_phases_are_two_trainings_one_after_the_other(tmp_path: Path):
    """The second has a new optimizer, an order of its own, and begins at the weights that the first has reached."""
    of = phased(ADVERSARIAL, {**STANDARD, "mode": "adversarial", "attack": FGSM, "warm_up": 1})
    found, first = fit(Store(tmp_path / "both"), of), fit(Store(tmp_path / "first"), phased(ADVERSARIAL))
    assert weights(found, "2") == weights(first, "2")
    data = examples(of.data, ()).train
    problem = training.TrainingProblem(
        losses.squared,
        lambda rate: optax.sgd(rate, 0.9),
        4,
        jnp.asarray(data.unit(np.float32)),
        jnp.asarray(data.labels),
        jnp.full((2,), 0.1, jnp.float32),
        jnp.stack([stream(seed, "order of phase 1") for seed in (0, 1)]),
        training.InnerAttack(
            attacks.FGSM(balls.Linf(), attacks.Objective(losses.cross_entropy)),
            jnp.asarray(0.1, jnp.float32),
            jnp.asarray(1),
            jnp.stack([stream(seed, "inner attack of phase 1") for seed in (0, 1)]),
        ),
    )
    *_, end = training.states(problem, first.trained, training.start(problem, first.trained, 3), every=3)
    for ours, theirs in zip(jax.tree.leaves(found.trained.weights), jax.tree.leaves(end.weights), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.losses, np.concatenate([first.losses, end.losses], axis=1), rtol=1e-5)
    assert found.epochs.tolist() == [5, 5]


@pytest.mark.parametrize("words", [STANDARD, {**ADVERSARIAL, "optimizer": MOMENTUM, "warm_up": 1}])
def test_short_forms_are_phases(words: dict[str, Any], tmp_path: Path):
    last = {**words, "epochs": 4, "linearize": "centered"} | ({"warm_up": 0} if "warm_up" in words else {})
    of = phased(words, last)
    short = cell(**{**words, "epochs": words["epochs"] + 4, "linearize_at": words["epochs"], "centered": True})
    assert run_id(of, 0) == run_id(short, 0)
    assert training_key(of) == training_key(short)
    assert bits(fit(Store(tmp_path / "phases"), of)) == bits(fit(Store(tmp_path / "short"), short))


@pytest.mark.parametrize(
    "of",
    [
        phased(STANDARD, {**STANDARD, "linearize": "full", "optimizer": ADAM}),
        phased(STANDARD, {**STANDARD, "linearize": "full", "batch_size": 5}),
        phased({**STANDARD, "until": {"loss": 0.1}}, {**STANDARD, "linearize": "full"}),
        phased(STANDARD, STANDARD),
        phased(STANDARD, {**ADVERSARIAL, "optimizer": MOMENTUM, "batch_size": 4, "linearize": "full"}),
        phased(*({**STANDARD, "linearize": "full"},) * 2),
    ],
)
def test_what_no_short_form_says_has_an_id_of_its_own(of: Cell):
    words = {**STANDARD, "epochs": 6}
    others = [cell(**words), cell(**words, linearize_at=3), cell(**words, linearize_at=0)]
    assert run_id(of, 0) not in {run_id(other, 0) for other in others}
    assert run_id(Cell.model_validate(of.model_dump(mode="json")), 0) == run_id(of, 0)


def test_one_phase_is_a_training_in_one_mode():
    assert run_id(phased(ADVERSARIAL), 0) == run_id(cell(**ADVERSARIAL), 0)
    linear = {**STANDARD, "linearize": "full"}
    assert run_id(phased(linear), 0) == run_id(cell(**STANDARD, linearize_at=0), 0)


def test_resumed_in_the_second_phase_is_uninterrupted(tmp_path: Path):
    of = phased(ADVERSARIAL, {**STANDARD, "linearize": "full"})
    whole, cut = Store(tmp_path / "whole"), Store(tmp_path / "cut")
    expected = bits(fit(whole, of))
    for kill in ("epoch 1 of 2", "epoch 1 of 3", "epoch 2 of 3"):
        with pytest.raises(Killed):
            fit(cut, of, every=1, kill=kill)
    assert bits(fit(cut, of, every=2)) == expected
    assert cut.keys("checkpoint", "t") == []
    assert fit(cut, of, kill="epoch").cached


def test_later_phases_go_on_with_the_first_order_model(tmp_path: Path):
    """Attacked on the network, then standard and attacked again on the model where the first phase ended."""
    linear = {"linearize": "centered"}
    of = phased(ADVERSARIAL, {**STANDARD, **linear}, {**ADVERSARIAL, **linear})
    group = fit(Store(tmp_path), of, (0, 1), "1", "2", "3", "5", "6", "7")
    assert group.losses.shape == (2, 7)
    first = fit(Store(tmp_path), phased(ADVERSARIAL), kill="epoch")
    anchor = jax.tree.leaves(first.trained.weights)
    for at in ("2", "3", "5", "6", "7"):  # without its constant the model is another function from epoch 2 on
        found = jax.tree.leaves(group.at(Fraction(at)).anchor.weights)  # type: ignore[attr-defined]
        assert [np.asarray(a).tobytes() for a in found] == [np.asarray(a).tobytes() for a in anchor]
    moved = [np.abs(jax.tree.leaves(group.at(Fraction(at)).weights)[0]).max() for at in ("2", "3", "5", "6")]
    assert moved[0] == 0
    assert len(set(moved)) == 4
    keys = Store(tmp_path).keys("training", "t")
    assert len(keys) == 3, "one object a phase, the first shared with the training that ends there"


SPEC = """
ntkbench: 1
name: phases
data: {dataset: {kind: two_gaussians, dim: 6}, n_train: 12, n_test: 10}
architecture: {kind: fc, depth: 1}
width: 8
training:
  phases:
    - {mode: adversarial, epochs: 2, attack: {kind: fgsm, eps: 1/10}, optimizer: {kind: sgd, learning_rate: 1}}
    - {mode: standard, epochs: 2, optimizer: {kind: sgd, learning_rate: 1}}
    - {mode: standard, epochs: 2, linearize: full, until: {loss: 0.4}, optimizer: {kind: sgd, learning_rate: 1}}
kernels: {last: {kind: empirical, at: final, ridge: 0.1}, timed: {kind: infinite, time: matched}}
analyses:
  drift: {kind: drift, snapshots: [0, 1, 2, 3, 4, 5], probe: {n: 6}}
  robust: {kind: accuracy, target: last}
  timed: {kind: accuracy, target: timed}
"""


def test_a_drift_goes_through_all_phases(tmp_path: Path):
    planned, store = tiny.planned(tmp_path, text=SPEC), Store(tmp_path / "runs")
    told = tiny.run(planned, store)
    assert told.lines == [(planned.runs[0].id, "ok")], told.notes
    (record,) = lookup.records(store, planned.runs)
    series = {name: arrays.read_series(store.records, record, name) for name in record.series}
    np.testing.assert_array_equal(series["drift.epoch"], [0, 1, 2, 3, 4, 5, 6])
    velocity = series["drift.velocity"]
    assert np.all(velocity[:4] > 1e-6), "the kernel moves in both phases of the network"
    np.testing.assert_allclose(velocity[4:], 0, atol=1e-12)
    assert series["training.loss"].shape == (6,)
    checks = {check.code: check.ok for check in record.checks}
    assert checks["kernel_constant"]
    numbers = {row.metric: row.value or 0 for row in record.metrics if row.analysis == "training"}
    assert 4 < numbers["epochs_trained"] <= 6, "the last phase may stop when its loss is reached"
    assert numbers["flow_time"] == pytest.approx(numbers["epochs_trained"] / 12)
