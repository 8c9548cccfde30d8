"""The gradient-flow time of a training, and kernels that are taken at it."""

from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.errors import SpecError
from ntkbench.plan.read import read
from ntkbench.run.build.training import flow_time
from ntkbench.run.group import train
from ntkbench.run.predictors import Predictors
from ntkbench.run.shared import SharedStages
from ntkbench.spec.cell import Cell
from ntkbench.store import lookup
from ntkbench.store.store import Store
from tests.conftest import EXACT
from tests.examples import tiny


def cell(kernels: Any = None, data: Any = None, **training: Any) -> Cell:
    return Cell.model_validate(
        {
            "data": {"dataset": {"kind": "two_gaussians", "dim": 6}, "n_train": 12, "n_test": 5, **(data or {})},
            "architecture": {"kind": "fc", "b_std": 0.1},
            "width": 64,
            "training": {"mode": "standard", "epochs": 10, **training},
            "kernels": kernels or {},
            "analyses": {"accuracy": {"kind": "accuracy"}},
            "numerics": {"network": "float64"},
        }
    )


def sgd(**words: Any) -> dict[str, Any]:
    return {"kind": "sgd", "learning_rate": 0.5, **words}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"optimizer": sgd()}, 10 * 0.5 / 12),
        ({"optimizer": sgd(momentum=0.75)}, 10 * 0.5 / 12 / 0.25),
        ({"optimizer": sgd(), "batch_size": 5}, 10 * 3 * 0.5 / 12),
        ({"optimizer": sgd(schedule={"kind": "piecewise", "at": [4], "factor": 0.1})}, (4 + 0.6) * 0.5 / 12),
        ({"optimizer": sgd(), "linearize_at": 4}, 6 * 0.5 / 12),
        ({"optimizer": {"kind": "adam"}}, np.nan),
    ],
)
def test_flow_time_by_hand(words: dict[str, Any], expected: float):
    whole = cell(**words)
    epochs = np.array([10 - (words.get("linearize_at") or 0)])
    np.testing.assert_allclose(flow_time(whole, [0.5], epochs), [expected], rtol=1e-6)


def test_both_stretches_of_a_training_count(tmp_path):
    whole = cell(optimizer=sgd(), linearize_at=4)
    shared = SharedStages(Store(tmp_path), (), 1e8)
    group = train(shared, whole, (0, 1), every=5, tick=lambda what: None)
    np.testing.assert_allclose(group.flow_time, [10 * 0.5 / 12] * 2, rtol=EXACT)
    assert group.epochs.tolist() == [10, 10]


def trained(folder, words: Cell) -> Predictors:
    shared = SharedStages(Store(folder), (), 1e8)
    group = train(shared, words, (0,), every=10**6, tick=lambda what: None)
    return Predictors(shared, words, group.of(0), lambda what: None)


def test_small_steps_of_a_linearized_network_end_at_its_kernel_at_the_matched_time(tmp_path):
    """Gradient descent without momentum on the first-order model is the flow, to the first order in the step."""
    kernels = {"own": {"kind": "empirical", "time": "matched"}}
    steps = sgd(learning_rate=0.02)
    predictors = trained(tmp_path, cell(kernels, epochs=3000, optimizer=steps, linearize_at=0))
    X = jnp.asarray(predictors.shared.data(predictors.cell).test.unit("float64"))
    net, kernel = (jax.vmap(predictors.evaluator(name).predictor)(X) for name in ("self", "own"))
    assert predictors.group is not None
    initial = jax.vmap(predictors.group.initial)(X)
    np.testing.assert_allclose(net, kernel, atol=2e-3 * float(jnp.abs(net - initial).max()))
    assert predictors.cell.kernels["own"].time == pytest.approx(3000 * 0.02 / 12)
    assert predictors.asked.kernels["own"].time == "matched"


_MATCHED = """  matched: {kind: transfer, attack: timed}
  clean: {kind: accuracy, attacks: [own, noise]}
seeds: 1
"""
SPEC = (
    tiny.SPEC.replace("seeds: 2\n", _MATCHED)
    .replace("  limit: {kind: infinite}\n", "  limit: {kind: infinite}\n  same: {kind: infinite, time: matched}\n")
    .replace("attacks:\n", "attacks:\n  timed: {kind: fgsm, source: same, eps: 8/255}\n")
)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    folder = tmp_path_factory.mktemp("matched")
    planned, store = tiny.planned(folder, text=SPEC), Store(folder)
    told = tiny.run(planned, store)
    assert [status for _, status in told.lines] == ["ok"], told.notes
    (found,) = lookup.records(store, planned.runs)
    return found


def test_a_record_says_how_far_its_network_was_trained(record):
    rows = {row.metric: row for row in record.metrics if row.analysis == "training"}
    assert rows.keys() == {
        "training_loss",
        "training_accuracy",
        "training_residual",
        "epochs_trained",
        "flow_time",
        "learned_features",
    }
    rate = record.stages["training"].facts["learning_rate"]
    assert rows["flow_time"].value == pytest.approx(3 * rate / 12)
    assert rows["learned_features"].n == rows["training_loss"].n == 12
    assert record.spec.resolved["kernels"]["same"]["time"] == "matched"


def test_a_kernel_at_infinite_time_against_a_network_that_is_not_fitted_fails_a_check(record):
    checks = {
        (check.analysis, check.detail["kernel"]): check.ok
        for check in record.checks
        if check.code == "source_and_target_at_equal_time"
    }
    assert checks == {("transfer", "limit"): False, ("matched", "same"): True}


def test_what_is_made_at_the_time_of_one_network_is_not_kept(record):
    assert record.stages["craft.ntk"].key
    assert not record.stages["craft.timed"].key


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ("{mode: none}", "training mode is none"),
        ("{mode: standard, epochs: 3, optimizer: {kind: adam}}", "follows gradient flow, and adam does not"),
    ],
)
def test_a_time_that_nothing_matches(tmp_path, training: str, message: str):
    file = tiny.spec(tmp_path, SPEC.replace("training: {mode: standard, epochs: 3}", f"training: {training}"))
    with pytest.raises(SpecError, match=rf"kernels.same.time: .*{message}"):
        read(file)


def test_centered_training_begins_without_the_constant_of_the_network(tmp_path):
    for start in (0, 4):
        words = cell(optimizer=sgd(), linearize_at=start, centered=True)
        words = words.model_copy(update={"width": 16})
        shared = SharedStages(Store(tmp_path / str(start)), (), 1e8)
        moments = [Fraction(0), Fraction(4), Fraction(10)]
        group = train(shared, words, (0,), moments, every=5, tick=lambda what: None)
        X = jnp.asarray(shared.data(words).test.unit("float64"))
        at = {moment: jax.vmap(group.of(0).at(moment))(X) for moment in moments}
        assert not np.any(at[Fraction(start)])
        assert np.all(at[Fraction(10)] != 0)
        if start:
            assert np.all(at[Fraction(0)] != 0)
