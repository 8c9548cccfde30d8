import json
from pathlib import Path

import pytest

from ntkbench.analyses.measurement import Scalar
from ntkbench.bench import track
from ntkbench.bench.objectives import settled
from ntkbench.bench.record import MetricRow, metric_row
from ntkbench.bench.spec import Cell
from ntkbench.errors import NtkbenchError
from tests.bench.factory import cell

TEXT = """\
schema: ntkbench.track/1
title: A small track
about: For tests.
spec: specs/small.yaml
frozen: [data, attacks, analyses, numerics]
free: [architecture, width, training, kernels]
rank:
  title: transfer rate
  metric: transfer_rate
  where: {attack: ntk, eps: 8/255, denominator: target_correct}
  order: descending
columns:
  - {title: clean accuracy, metric: accuracy, where: {target: self}}
  - {title: normalized, metric: normalized_transfer, where: {attack: ntk, eps: 8/255}}
min_seeds: 3
tolerance: {fraction: 0.01, ratio: 0.05}
mini: {training: {epochs: 2}}
cell:
  data: {dataset: fashion_mnist_mini, classes: [sneaker, ankle_boot], n_train: 100, n_test: 20}
  architecture: {kind: fc, depth: 1}
  width: 32
  training: {mode: standard, epochs: 10}
  kernels: {limit: {kind: infinite}}
  attacks:
    ntk: {kind: fgsm, source: limit, eps: [2/255, 8/255]}
    own: {kind: fgsm, eps: [2/255, 8/255]}
    noise: {kind: random_sign, eps: [2/255, 8/255]}
  analyses: {transfer: {kind: transfer, attack: ntk, ceiling: own, floor: noise}}
"""


def written(folder: Path, text: str = TEXT, name: str = "small@1") -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / track.FILE).write_text(text)
    return folder / name


def test_a_track_reads_its_rules_and_fills_its_experiment_in(tmp_path):
    rules = track.read(written(tmp_path))
    assert (rules.name, rules.min_seeds, rules.ties.alpha, rules.rank.where["eps"]) == ("small@1", 3, 0.05, "8/255")
    assert rules.reference == settled(cell())


def test_notation_is_no_difference_and_free_fields_may_differ(tmp_path):
    rules = track.read(written(tmp_path))
    data = {"dataset": "fashion_mnist_mini", "classes": [7, "ankle_boot"], "n_train": 100, "n_test": 20, "seed": 0}
    other = cell(data=data, width=4096, architecture={"kind": "fc", "depth": 3}, training={"mode": "none"})
    assert rules.differences(other) == []


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        (
            {
                "data": {
                    "dataset": "fashion_mnist_mini",
                    "classes": ["sneaker", "ankle_boot"],
                    "n_train": 50,
                    "n_test": 20,
                }
            },
            "data.n_train: the track has 100, the runs have 50",
        ),
        ({"numerics": {"kernel": "float32"}}, "numerics.kernel: the track has float64, the runs have float32"),
        (
            {"analyses": {"accuracy": {"kind": "accuracy"}}},
            "analyses.transfer.attack: the track has ntk, the runs have nothing",
        ),
    ],
)
def test_what_is_frozen_may_not(tmp_path, changes, difference):
    assert difference in track.read(written(tmp_path)).differences(cell(**changes))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title: A small track", "titel: A small track", "titel: Extra inputs"),
        ("min_seeds: 3", "min_seeds: 0", "min_seeds: Input should be greater than or equal to 1"),
        ("min_seeds: 3", "min_seeds: '3'", "min_seeds: Input should be a valid integer"),
        ("free: [architecture, width, ", "free: [architecture, ", "width is neither frozen nor free"),
        ("free: [architecture, ", "free: [architektur, architecture, ", "architektur is no part of an experiment"),
        ("  metric: transfer_rate", "  metric: transfer_rat", "did you mean transfer_rate"),
        ("denominator: target_correct", "denominator: source_fooled", "cannot be compared by it point by point"),
        ("  metric: transfer_rate", "  metric: gradient_cosine", "cannot be compared by it point by point"),
        ("n_train: 100", "n_train: many", "track.yaml: cell: data.n_train: "),
        ("mini: {training: {epochs: 2}}", "mini: {training: {epoch: 2}}", "track.yaml: mini: training.*epoch: Extra"),
        ("cell:", "cel:", "cell: the experiment is missing"),
        ("spec: specs/small.yaml", "spec: ../../etc/passwd", "spec: String should match pattern"),
        ("min_seeds: 3", "min_seeds: [3", "not YAML"),
    ],
)
def test_a_mistake_in_a_track_is_named(tmp_path, old, new, message):
    assert old in TEXT
    with pytest.raises(NtkbenchError, match=message):
        track.read(written(tmp_path, TEXT.replace(old, new, 1)))


def test_a_folder_is_named_like_a_track(tmp_path):
    with pytest.raises(NtkbenchError, match="name: String should match pattern"):
        track.read(written(tmp_path, name="Small"))


def row(analysis: str, k: int, **where: str) -> MetricRow:
    return MetricRow.model_validate_json(json.dumps(metric_row(analysis, Scalar.share("accuracy", k, 4, where))))


def test_a_column_is_one_number():
    column = track.Column(title="clean", metric="accuracy", where={"target": "self"})
    assert column.row([row("a", 1, target="limit"), row("a", 3, target="self")], "here").k == 3
    assert column.row([row("a", 3, target="self"), row("b", 3, target="self")], "here").k == 3
    with pytest.raises(NtkbenchError, match="here: 2 different numbers are accuracy with target self"):
        column.row([row("a", 3, target="self"), row("b", 2, target="self")], "here")
    with pytest.raises(NtkbenchError, match="here: no accuracy with target self"):
        column.row([], "here")


def test_the_tracks_of_the_repository_are_sound():
    folders = sorted(Path("leaderboards").glob("*@*"))
    assert "transfer-fashion@1" in [folder.name for folder in folders]
    for folder in folders:
        rules = track.read(folder)
        assert isinstance(rules.reference, Cell)
        assert rules.differences(rules.reference) == []


def test_a_number_of_each_seed_needs_a_test_over_seeds_and_several_of_them(tmp_path):
    text = TEXT.replace("  metric: transfer_rate", "  metric: gradient_cosine", 1) + "ties: {rule: welch}\n"
    text = text.replace("tolerance: {", "tolerance: {cosine: 0.01, ")
    assert not track.read(written(tmp_path, text)).by_point
    with pytest.raises(NtkbenchError, match="need 2 of them or more; raise min_seeds"):
        track.read(written(tmp_path, text.replace("min_seeds: 3", "min_seeds: 1"), "other@1"))
