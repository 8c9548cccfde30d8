"""Specs that gave numbers without a meaning: each ends in the right number, or in words."""

from pathlib import Path

import pytest

from ntkbench.errors import SpecError
from ntkbench.plan.read import read
from ntkbench.plan.runs import Plan
from ntkbench.results.show import show
from ntkbench.store import lookup
from ntkbench.store.record import Record
from ntkbench.store.store import Store
from tests.examples import tiny

SPECS = Path(__file__).parent / "specs"


def records(name: str, folder: Path, *overrides: str) -> tuple[Plan, list[Record]]:
    planned, store = read(str(SPECS / name), overrides), Store(folder / "runs")
    tiny.run(planned, store)
    return planned, lookup.records(store, planned.runs)


def accuracies(found: list[Record]) -> list[float | None]:
    return [row.value for record in found for row in record.metrics if row.metric == "accuracy"]


def test_a_kernel_that_overflows_is_no_result(tmp_path: Path):
    _, (found,) = records("nan-kernel.yaml", tmp_path)
    assert (found.status, found.metrics) == ("failed", ())
    assert found.error is not None
    assert found.error.type == "NumericsError"
    assert found.error.message.startswith("kernel limit: the kernel is not finite: numbers overflow; try numerics")


def test_late_times_on_a_singular_kernel_stay_where_they_were(tmp_path: Path):
    _, found = records("time.yaml", tmp_path)
    first, *late = accuracies(found)
    assert first is not None
    assert first > 0.95
    assert len(late) == 7
    assert set(late) == {late[0]}
    assert late[0] == 0.99


@pytest.mark.slow
def test_float32_is_refused_where_it_knows_no_inverse(tmp_path: Path):
    _, (double, single) = records("float32-silent.yaml", tmp_path, "analyses.eigen.features=8")
    assert (double.status, single.status) == ("ok", "failed")
    assert single.error is not None
    assert "singular in float32" in single.error.message
    assert "numerics.kernel: float64" in single.error.message


def test_batches_of_one_are_refused():
    with pytest.raises(SpecError) as error:
        read(str(SPECS / "batch-norm.yaml"))
    (problem,) = error.value.problems
    assert (problem.path, problem.line) == ("training.batch_size", 13)
    assert "a batch of one" in problem.message


@pytest.mark.slow
def test_a_number_that_cannot_be_is_undefined_and_not_missing(tmp_path: Path):
    planned, found = records("undefined-cell.yaml", tmp_path)
    text = show(found, metrics=["normalized_transfer"], planned=planned.runs)
    assert "| undefined (5/5)" in text
    assert "the ceiling is not above the floor" in text
    assert "an incomplete cell" not in text


@pytest.mark.slow
def test_one_test_image_that_is_wrong_crashes_nothing(tmp_path: Path):
    overrides = ("data.n_test=1", "data.dataset={kind: two_gaussians, dim: 6, sd: 0.0001}", "data.classes=null")
    planned, found = records("undefined-cell.yaml", tmp_path, *overrides)
    assert tiny.statuses(found) == ["ok"] * 5
    assert 0 < sum(value == 0 for value in accuracies(found)) < 5, "some are wrong, some are right"
    text = show(found, metrics=["transfer_rate"], planned=planned.runs)
    assert "undefined (" in text
    assert "no test point to count" in text
