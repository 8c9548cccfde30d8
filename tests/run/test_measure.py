"""One run: whose gradient, who is judged, and what the record says of the way there."""

from pathlib import Path

import numpy as np
import pytest

from ntkbench.store import arrays, lookup
from ntkbench.store.store import Store
from tests.examples import tiny

KERNELS = """
ntkbench: 1
name: kernels
data: {dataset: {kind: two_gaussians, dim: 6}, n_train: 12, n_test: 10}
architecture: {kind: fc, depth: 1}
width: 8
training: {mode: standard, epochs: 3}
kernels:
  limit: {kind: infinite}
  first: {kind: empirical, ridge: 0.1}
  last: {kind: empirical, at: final, ridge: 0.1}
attacks:
  ntk: {kind: fgsm, source: limit, eps: 0.1}
  final: {kind: fgsm, source: last, eps: 0.1}
  noise: {kind: random_sign, eps: 0.1}
analyses:
  first: {kind: accuracy, target: first, attacks: [ntk, noise], gradient_norm: true}
  last: {kind: accuracy, target: last, attacks: [noise]}
  transfer: {kind: transfer, attack: final, target: limit, floor: noise}
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The record of one run, and its outcomes per test point."""
    folder = tmp_path_factory.mktemp("kernels")
    planned, store = tiny.planned(folder, text=KERNELS), Store(folder / "runs")
    told = tiny.run(planned, store)
    assert told.lines == [(planned.runs[0].id, "ok")], told.notes
    (record,) = lookup.records(store, planned.runs)
    return record, arrays.read_samples(store.records, record)


def test_every_stage_is_told_with_its_key_and_its_time(done):
    record, _ = done
    assert record.stages.keys() == {
        *("training", "kernel.first", "kernel.limit", "kernel.last", "craft.ntk", "craft.noise", "craft.final"),
        *("analysis.training", "analysis.first", "analysis.last", "analysis.transfer"),
    }
    keyed = {name: stage.key[:1] for name, stage in record.stages.items() if stage.key}
    assert keyed == {"training": "t", "kernel.limit": "k", "craft.ntk": "c"}
    assert all(stage.run_s >= 0 and stage.compile_s >= 0 for stage in record.stages.values())


def test_numbers_say_what_they_are_about(done):
    record, _ = done
    where = {(row.analysis, row.metric, row.where.get("attack"), row.where.get("source")) for row in record.metrics}
    assert ("first", "robust_accuracy", "ntk", "limit") in where
    assert ("last", "robust_accuracy", "noise", "none") in where
    assert ("transfer", "transfer_rate", "final", "last") in where
    targets = {row.analysis: row.where["target"] for row in record.metrics if "target" in row.where}
    assert targets == {"training": "self", "first": "first", "last": "last", "transfer": "limit"}


def test_outcomes_per_test_point_give_the_numbers(done):
    record, samples = done
    assert samples["label"].shape == samples["index"].shape == (10,)
    for row in record.metrics:
        if row.metric == "robust_accuracy":
            outcome = samples[arrays.column(row.analysis, f"{row.where['attack']}@{row.where['eps']}")]
            assert (row.k, row.n) == (int(outcome.sum()), 10)
        if row.metric == "accuracy":
            assert row.value == samples[arrays.column(row.analysis, "clean")].mean()


def test_the_norm_of_the_gradient_is_a_mean_with_its_interval(done):
    record, samples = done
    rows = [row for row in record.metrics if row.metric == "gradient_norm"]
    assert [(row.analysis, row.where) for row in rows] == [
        ("first", {"target": "first", "norm": norm}) for norm in ("l2", "l1")
    ]
    for row in rows:
        norms = samples[arrays.column("first", f"gradient_{row.where['norm']}")]
        np.testing.assert_allclose(row.value, norms.mean())
        assert (row.n, row.ci_method) == (10, "t")
        assert row.ci95[0] < row.value < row.ci95[1]


@pytest.mark.slow
def test_an_empirical_kernel_of_a_diverged_network_is_no_result(tmp_path: Path):
    text = KERNELS.split("analyses:")[0] + "analyses:\n  last: {kind: accuracy, target: last}\n"
    planned = tiny.planned(tmp_path, "training.optimizer={kind: sgd, learning_rate: 1e30}", text=text)
    store = Store(tmp_path / "runs")
    assert tiny.run(planned, store).lines == [(planned.runs[0].id, "diverged")]
