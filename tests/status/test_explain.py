import re
from pathlib import Path

import pytest

from ntkbench.errors import SpecError, UsageError
from ntkbench.plan.read import read
from ntkbench.status.explain import explain
from ntkbench.store import record
from ntkbench.store.store import Store
from tests.examples import tiny
from tests.examples.factory import a_record, failed, valid

SPECS = Path(__file__).parent.parent.parent / "specs"
BASE = """
data: {dataset: fashion_mnist_mini, classes: [sneaker, bag], n_train: 12,
  n_test: 10}
width: 7
"""
SPEC = """
ntkbench: 1
name: mine
extends: base.yaml
data: {n_train: 13}
architecture: {kind: fc}
training: {mode: linearized, epochs: 4}
kernels: {limit: {kind: infinite, time: inf}}
attacks: {ntk: {kind: fgsm, source: limit, eps: [1/255, 0.1]}}
analyses: {clean: {kind: accuracy, attacks: ntk}}
matrix:
  depth: {flat: {architecture.depth: 1}, deep: {architecture: {kind: fc, depth: 2, W_std: 1.5}}}
smoke: {data: {n_test: 9}}
"""


@pytest.fixture
def spec(tmp_path) -> str:
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "mine.yaml").write_text(SPEC)
    return str(tmp_path / "mine.yaml")


def explained(spec: str, *overrides: str, smoke: bool = False, **where: str) -> str:
    return explain(spec, overrides, smoke, Store(Path(spec).parent / "runs"), where)


def origins(text: str, folder: str) -> dict[str, str]:
    """Key and value -> origin; the keys of the small spec are told apart by their values."""
    lines = [line.partition("  # ") for line in text.splitlines() if not line.startswith("#") and "  # " in line]
    return {said.strip(): origin.replace(f"{folder}/", "") for said, _, origin in lines}


def test_each_value_has_its_file_line_and_column(spec):
    found = origins(explained(spec), str(Path(spec).parent))
    assert found["n_train: 13"] == "mine.yaml:5:17"
    assert found["n_test: 10"] == "base.yaml:3:11"
    assert found["width: 7"] == "base.yaml:4:8"
    assert found["subset: balanced"] == "default"
    assert found["name: fashion_mnist_mini"] == found["kind: named"] == "base.yaml:2:17", "a name is short for both"
    assert found["linearize_at: 0"] == found["mode: standard"] == "mine.yaml:7:18", "linearized is short for both"
    assert found["eps: [1/255, 1/10]"] == "mine.yaml:9:49"


def test_labels_overrides_and_smoke_are_named(spec):
    folder = str(Path(spec).parent)
    assert origins(explained(spec), folder)["depth: 1"] == "matrix depth: flat (mine.yaml:12:38)"
    deep = origins(explained(spec, depth="deep"), folder)
    assert deep["W_std: 1.5"] == "matrix depth: deep (mine.yaml:12:91)"
    assert origins(explained(spec, "width=8", "training.epochs=3"), folder)["epochs: 3"] == "--set training.epochs=3"
    assert origins(explained(spec, smoke=True), folder)["n_test: 9"] == "smoke (mine.yaml:13:24)"


@pytest.mark.parametrize("name", ["quickstart", "drift/fashion4", "eigenspace/consistency-cifar2"])
def test_what_is_shown_is_a_spec_of_the_same_runs(name: str, tmp_path):
    file = str(SPECS / f"{name}.yaml")
    text = explain(file, (), False, Store(tmp_path))
    (tmp_path / "shown.yaml").write_text(text)
    first = read(file).runs
    assert [each.id for each in read(tmp_path / "shown.yaml").runs] == [
        each.id for each in first if each.coordinates == first[0].coordinates
    ]


def runs_of(text: str) -> list[str]:
    """The lines about the runs."""
    return [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ") and "cell" not in line]


@pytest.mark.slow
def test_why_runs_are_not_done(tmp_path):
    spec = str(tiny.spec(tmp_path))
    kept = Store(tmp_path / "runs")
    planned = read(spec)
    first, *rest = runs_of(explain(spec, (), False, kept))
    assert first == f"{planned.runs[0].id}  seed=0  no record: would be run"
    assert [re.split(" +", line.strip())[0] for line in rest[:3]] == ["training", "kernel", "craft"]
    assert all("not in the store" in line for line in rest[:3])
    tiny.run(planned, kept)
    assert [line.partition("  seed=")[2][3:] for line in runs_of(explain(spec, (), False, kept))] == [
        "ok: kept as it is",
        "ok: kept as it is",
    ]
    other = runs_of(explain(spec, ("training.epochs=4",), False, kept))
    assert "training" in other[1]
    assert other[1].endswith("not in the store, would be made")
    assert [line.split("  ")[-1] for line in other[2:4]] == ["in the store", "in the store"]
    assert other[4].strip() == f"differs from {planned.runs[0].id} in training.epochs: 4, not 3"
    kept.arrays(planned.runs[0].id).unlink()
    with pytest.warns(UserWarning, match="damaged or gone"):
        assert "its arrays are damaged or gone: would be run again" in explain(spec, (), False, kept)


def test_a_run_that_ended_badly_says_why(tmp_path):
    spec = str(tiny.spec(tmp_path))
    kept = Store(tmp_path / "runs")
    (bad, other) = read(spec).runs
    record.write(valid(failed(bad, "diverged")), kept.record(bad.id))
    record.write(valid(a_record(other)), kept.record(other.id))
    text = explain(spec, (), False, kept)
    assert "diverged at attempt 1, would be tried again: the loss is NaN" in text


def test_records_of_kinds_that_are_not_installed_are_passed_over(tmp_path):
    spec = str(tiny.spec(tmp_path))
    kept = Store(tmp_path / "runs")
    first, second = read(spec).runs
    value = a_record(first)
    value["spec"]["resolved"]["architecture"]["kind"] = "strange"
    record.write(valid(value), kept.record(first.id))
    assert "differs from" not in explain(spec, (), False, kept)
    record.write(valid(a_record(second)), kept.record(second.id))
    text = explain(spec, ("training.epochs=4",), False, kept)
    assert text.count(f"differs from {second.id} in training.epochs: 4, not 3") == 2


def test_mistakes_are_told_first(spec, tmp_path):
    with pytest.raises(UsageError, match="no cell is depth=7; its axes are depth, `ntkbench plan"):
        explained(spec, depth="7")
    with pytest.raises(SpecError):
        explained(spec, "width=x")
