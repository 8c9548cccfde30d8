"""Runs that follow a network along its training: what their records hold."""

from pathlib import Path

import numpy as np
import pytest

from ntkbench.boards import outcomes
from ntkbench.spec.cell import Cell
from ntkbench.store import arrays, lookup
from ntkbench.store.store import Store
from tests.examples import tiny

SPEC = """
ntkbench: 1
name: drifting
data: {dataset: {kind: two_gaussians, dim: 6}, n_train: 12, n_test: 10}
architecture: {kind: fc, depth: 1}
width: 8
training: {mode: standard, epochs: 3, optimizer: {kind: sgd, learning_rate: 1}}
attacks:
  own: {kind: fgsm, source: self, eps: [4/255, 8/255]}
  one: {kind: pgd, source: self, eps: 8/255, steps: 2}
analyses:
  drift:
    kind: drift
    snapshots: [3]
    probe: {n: 10}
    top: [2, 5]
    attack: own
    adversarial_probe: one
    accuracy_on: [test, train]
    keep_kernels: all
"""
REGIMES = """
matrix:
  regime:
    standard: {training.linearize_at: null}
    linearized: {training.linearize_at: 0}
"""


def ran(folder: Path, text: str):
    """The records, and the folder that they lie in."""
    planned, store = tiny.planned(folder, text=text), Store(folder / "runs")
    told = tiny.run(planned, store)
    assert {end for _, end in told.lines} == {"ok"}, told.notes
    return lookup.records(store, planned.runs), store.records


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return ran(tmp_path_factory.mktemp("drifting"), SPEC)


def numbers(record, metric: str, **where: str) -> list:
    return [row.value for row in record.metrics if row.metric == metric and where.items() <= row.where.items()]


def test_a_record_holds_the_series_and_the_numbers(done):
    (standard,), folder = done
    series = arrays.read_analysis(folder, standard, "drift")
    np.testing.assert_array_equal(series["epoch"], [0, 3])
    assert series["distance"].shape == (2, 2)
    assert series["kernel"].shape == (2, 10, 10)
    assert series["kernel"].dtype == np.float32
    assert numbers(standard, "kernel_drift", probe="clean") == [series["distance"][0, 1]]
    assert numbers(standard, "kernel_drift", probe="adversarial") == [series["adversarial_distance"][0, 1]]
    K, L = series["kernel"].astype(float)
    cosine = np.vdot(K, L) / (np.linalg.norm(K) * np.linalg.norm(L))
    np.testing.assert_allclose(series["distance"][0, 1], 1 - cosine, rtol=1e-4)
    assert series["distance"][0, 1] > 1e-5
    assert series["test_robust"].shape == (2, 2)
    assert series["n_train"] == 12


def test_outcomes_per_test_point_give_the_shares(done):
    (standard,), folder = done
    samples = arrays.read_samples(folder, standard)
    for row in standard.metrics:
        if row.metric in ("accuracy", "robust_accuracy") and row.where["split"] == "test":
            packed = outcomes.outcome_string(row, samples, Cell.model_validate(standard.spec.resolved))
            assert (packed.count("1"), len(packed)) == (row.k, row.n)


@pytest.mark.slow
def test_a_linearized_network_stays_where_it_is(tmp_path: Path):
    (standard, linearized), _ = ran(tmp_path, SPEC + REGIMES)
    constant = {check.code: check.ok for check in linearized.checks}["kernel_constant"]
    assert constant
    assert numbers(linearized, "kernel_drift", probe="clean")[0] < 1e-6
    assert numbers(linearized, "lazy_onset", probe="clean") == [None]
    assert "kernel_constant" not in {check.code for check in standard.checks}
    assert all(
        check.ok for record in (standard, linearized) for check in record.checks if check.code != "gradients_not_zero"
    )


def test_accuracy_at_the_end_is_that_of_the_trained_network(done, tmp_path: Path):
    (standard,), _ = done
    text = SPEC.partition("analyses:")[0] + "analyses: {clean: {kind: accuracy, attacks: [own]}}\n"
    planned, store = tiny.planned(tmp_path, text=text), Store(tmp_path / "runs")
    tiny.run(planned, store)
    (plain,) = lookup.records(store, planned.runs)
    for metric in ("accuracy", "robust_accuracy"):
        assert numbers(plain, metric) == numbers(standard, metric, split="test")


def test_a_diverged_network_is_no_result(tmp_path: Path):
    rate = "training.optimizer={kind: sgd, learning_rate: 1e30}"
    planned, store = tiny.planned(tmp_path, rate, text=SPEC), Store(tmp_path / "runs")
    assert tiny.run(planned, store).lines[0][1] == "diverged"


def test_a_probe_that_a_class_cannot_fill_is_told(tmp_path: Path):
    first = "data={dataset: fashion_mnist_mini, classes: [bag, coat], n_train: 12, n_test: 10, subset: first}"
    planned = tiny.planned(tmp_path, first, "analyses.drift.probe.n=12", text=SPEC)
    told = tiny.run(planned, Store(tmp_path / "runs"))
    assert told.lines[0][1] == "failed"
    assert "6 examples of each of 2 classes asked for" in told.notes[0]
