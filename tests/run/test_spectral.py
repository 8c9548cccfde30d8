"""Runs that take kernels apart: what their records hold, and which of them fail."""

from pathlib import Path

import numpy as np
import pytest

from ntkbench.boards import outcomes
from ntkbench.data.dataset import Dataset, Split
from ntkbench.errors import NumericsError
from ntkbench.plan.cost import kernels, spectra
from ntkbench.run.build.data import require_classes
from ntkbench.spec.cell import Cell
from ntkbench.store import arrays, lookup
from ntkbench.store.store import Store
from tests.examples import tiny

SPEC = """
ntkbench: 1
name: spectral
data: {dataset: {kind: two_gaussians, dim: 4}, n_train: 12, n_test: 10}
architecture: {kind: fc, depth: 1, b_std: 0.1}
width: 16
training: {mode: standard, epochs: 3}
numerics: {network: float64}
kernels:
  limit: {kind: infinite}
  deep: {kind: infinite, architecture: {kind: fc, depth: 2}}
  last: {kind: empirical, at: final}
attacks:
  step: {kind: fgsm, source: limit, eps: [0.05, 0.1]}
  own: {kind: pgd, source: last, steps: 2, eps: 0.1}
analyses:
  eigen: {kind: eigenspace, target: limit, attack: step, features: 5, truncations: 3, pictures: {}}
  time: {kind: time, target: limit, attack: step, times: 3, ridges: [0.1]}
  agree: {kind: consistency, target: limit, against: [deep, limit], features: 4, top: [1, 12]}
"""
NETWORK = """
analyses:
  net: {kind: eigenspace, target: last, attack: own, features: all, truncations: [2], groups: [[0, 5]]}
"""


def ran(folder: Path, text: str):
    """The record of one run, and the folder that it lies in."""
    planned, store = tiny.planned(folder, text=text), Store(folder / "runs")
    told = tiny.run(planned, store)
    assert told.lines == [(planned.runs[0].id, "ok")], told.notes
    (record,) = lookup.records(store, planned.runs)
    return record, store.records


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return ran(tmp_path_factory.mktemp("spectral"), SPEC)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return ran(tmp_path_factory.mktemp("network"), SPEC.partition("analyses:")[0] + NETWORK)


def test_series_have_their_shapes(done):
    record, _ = done
    shapes = {name: list(series.shape) for name, series in record.series.items()}
    t = shapes["eigen.truncation"][0]
    assert {name.removeprefix("eigen."): shape for name, shape in shapes.items() if name.startswith("eigen.")} == {
        "eps": [2],
        "n_test": [],
        "majority": [],
        "eigenvalue": [12],
        "small_gap": [11],
        "cumulative_clean": [12],
        "feature": [5],
        "feature_clean": [5],
        "feature_robust": [2, 5],
        "feature_useful": [5],
        "feature_tested_robust": [2, 5],
        "correlation": [5],
        "robust_correlation": [2, 5],
        "grid": [4],
        "truncation": [t],
        "truncation_clean": [t],
        "truncation_robust": [2, t],
        "tail_clean": [t],
        "tail_robust": [2, t],
        "group": [3, 2],
        "group_clean": [3],
        "group_robust": [2, 3],
        "picture_feature": [3],
        "picture_test": [2],
        "picture_image": [2, 1, 1, 4],
        "picture_gradient": [3, 2, 1, 1, 4],
    }
    assert shapes["time.time_robust"] == [2, 4]
    assert shapes["time.ridge_clean"] == [1]
    assert shapes["agree.overlap"] == [2, 2]
    assert shapes["agree.usefulness"] == [3, 4]


def test_counts_are_whole_numbers(done):
    record, folder = done
    for name in record.series:
        if name.endswith(("_clean", "_robust")) and "tested" not in name:
            values = arrays.read_series(folder, record, name)
            assert values.dtype == np.int64, name
            assert values.min() >= 0
            assert values.max() <= 10


def test_kernels_are_decomposed_once(done):
    record, _ = done
    assert {"spectrum.limit", "spectrum.deep", "analysis.eigen"} <= record.stages.keys()
    assert not {name for name in record.stages if name.startswith("craft.")}, "each part makes its own examples"


@pytest.mark.parametrize(
    ("run", "analysis", "metric", "where"),
    [
        ("done", "eigen", "robust_accuracy", {"eps": "1/10", "part": "k90"}),
        ("done", "eigen", "robust_accuracy", {"eps": "1/20", "part": "all"}),
        ("done", "eigen", "accuracy", {"part": "all"}),
        pytest.param("network", "net", "robust_accuracy", {"eps": "1/10", "part": "k90"}, marks=pytest.mark.slow),
    ],
)
def test_outcomes_per_test_point_give_the_shares(request, run, analysis, metric, where):
    record, folder = request.getfixturevalue(run)
    (row,) = [
        row
        for row in record.metrics
        if (row.analysis, row.metric) == (analysis, metric) and where.items() <= row.where.items()
    ]
    cell = Cell.model_validate(record.spec.resolved)
    packed = outcomes.outcome_string(row, arrays.read_samples(folder, record), cell)
    assert (packed.count("1"), len(packed)) == (row.k, row.n)


def test_counts_over_the_grid_are_kept_as_whole_numbers(done):
    record, folder = done
    counts = arrays.read_samples(folder, record)["eigen.grid.step@1/10"]
    assert counts.dtype == np.uint8
    (row,) = [r for r in record.metrics if r.metric == "eigenspace_robustness" and r.where["eps"] == "1/10"]
    assert (row.revision, row.n, row.ci_method) == (2, 10, "t")
    assert row.value == pytest.approx(counts.mean() / 4, rel=1e-12)
    cell = Cell.model_validate(record.spec.resolved)
    code = outcomes.code(row.metric, {name: str(label) for name, label in row.where.items()}, cell)
    assert code is not None
    packed = outcomes.outcome_string(row, arrays.read_samples(folder, record), cell)
    assert list(outcomes.judge([packed], code, "").gives([row])) == [True]


@pytest.mark.slow
def test_the_features_of_a_network_are_its_kernel_s_and_sum_to_the_targets(network):
    """All twelve features together fit the training set; what the network itself says is none of them."""
    record, folder = network
    assert "spectrum.last" in record.stages
    assert record.series["net.feature"].shape == (12,)
    cumulative = arrays.read_series(folder, record, "net.cumulative_clean")
    (whole,) = [r for r in record.metrics if (r.analysis, r.metric, r.where.get("part")) == ("net", "accuracy", "all")]
    assert cumulative[-1] == whole.k


def test_a_kernel_with_duplicate_examples_fails_with_the_reason(tmp_path: Path):
    corners = "data.dataset={kind: two_gaussians, dim: 1, distance: 4, sd: 0.001}"
    planned, store = tiny.planned(tmp_path, corners, text=SPEC), Store(tmp_path / "runs")
    told = tiny.run(planned, store)
    assert told.lines == [(planned.runs[0].id, "failed")]
    assert "the kernel is singular: 10 of its 12 eigenvalues" in told.notes[0]
    assert "Duplicate examples" in told.notes[0]


FIRST = """
ntkbench: 1
name: first
data: {dataset: {kind: two_gaussians, dim: 4}, n_train: 200, n_test: 10}
architecture: {kind: fc, depth: 1, b_std: 0.1}
training: {mode: none}
kernels:
  limit: {kind: infinite}
  deep: {kind: infinite, architecture: {kind: fc, depth: 2}}
analyses:
  agree: {kind: consistency, target: limit, against: [deep], features: [0, 2], top: [1, 4]}
"""


def test_the_first_eigenpairs_alone_give_the_numbers_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "all").mkdir()
    (tmp_path / "alone").mkdir()
    one, _ = ran(tmp_path / "all", FIRST)
    monkeypatch.setattr(spectra, "FROM", 1)
    monkeypatch.setattr(kernels, "is_cheaper_than_its_spectrum", lambda cell, kernel: True)
    two, _ = ran(tmp_path / "alone", FIRST)
    assert one.run_id == two.run_id
    assert one.stages["spectrum.limit"].key != two.stages["spectrum.limit"].key
    assert [(row.metric, row.where) for row in one.metrics] == [(row.metric, row.where) for row in two.metrics]
    values = (np.array([row.value for row in run.metrics], float) for run in (one, two))  # NaN where there is none
    np.testing.assert_allclose(*values, rtol=1e-8)


def test_one_class_alone_is_refused():
    def split(*labels: int) -> Split:
        n = len(labels)
        return Split(np.zeros((n, 1, 1, 2)), np.array(labels), np.arange(n))

    require_classes(Dataset(split(0, 1), split(1, 0), ("coat", "shirt")))
    with pytest.raises(NumericsError, match="all 3 test examples are of one class, shirt"):
        require_classes(Dataset(split(0, 1), split(1, 1, 1), ("coat", "shirt")))
    with pytest.raises(NumericsError, match="all 2 training examples are of one class, coat"):
        require_classes(Dataset(split(0, 0), split(1, 0), ("coat", "shirt")))


@pytest.mark.slow
def test_three_classes_in_single_precision(tmp_path: Path):
    data = "data={dataset: fashion_mnist_mini, classes: [coat, sneaker, bag], n_train: 15, n_test: 12}"
    analyses = "analyses={eigen: {kind: eigenspace, target: limit, attack: step, features: 3, truncations: 2}}"
    single = "numerics.kernel=float32"
    planned, store = tiny.planned(tmp_path, data, analyses, single, text=SPEC), Store(tmp_path / "runs")
    told = tiny.run(planned, store)
    assert told.lines == [(planned.runs[0].id, "ok")], told.notes
    (record,) = lookup.records(store, planned.runs)
    assert arrays.read_series(store.records, record, "eigen.eigenvalue").shape == (15,)
    assert arrays.read_series(store.records, record, "eigen.majority") == 4
