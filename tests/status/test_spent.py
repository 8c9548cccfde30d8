import json
from pathlib import Path

import jax
import pytest

from ntkbench.plan import memory
from ntkbench.plan.cost import networks, work
from ntkbench.plan.cost.estimate import estimate, peak_bytes, stages
from ntkbench.plan.cost.work import Work
from ntkbench.plan.keys import kernel_key, training_key
from ntkbench.plan.runs import Plan
from ntkbench.status import forecast
from ntkbench.status.forecast import cost_forecast, spent_line
from ntkbench.store import lookup
from ntkbench.store.record import Record
from ntkbench.store.store import Store
from tests.examples import tiny
from tests.examples.factory import a_record


def timed(run, *, cached: bool = False, peak: int | None = 10**9, status: str = "ok") -> Record:
    """A run of `tiny`: 3 s of training, 2 s of a kernel, 1 s of an analysis."""
    training = {"key": f"{training_key(run.cell)}-0-1", "cached": cached, "compile_s": 1.0, "run_s": 2.0}
    kernel = {"key": kernel_key(run.cell, "limit"), "cached": cached or run.seed > 0, "compile_s": 0.5, "run_s": 1.5}
    analysis = {"key": "", "cached": False, "compile_s": 0.0, "run_s": 1.0}
    value = a_record(
        run,
        status=status,
        stages={"training": training, "kernel.limit": kernel, "analysis.transfer": analysis, "of.tomorrow": analysis},
        resources={"wall_s": 1.0} if peak is None else {"wall_s": 1.0, "host_peak_bytes": peak},
        error=None if status == "ok" else {"type": "NumericsError", "message": "the loss is NaN"},
    )
    return Record.model_validate_json(json.dumps(value))


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    return tiny.planned(tmp_path)


def of(planned: Plan, **about) -> dict[str, Record]:
    return {run.id: timed(run, **about) for run in planned.runs}


def test_what_was_done_counts_once_and_is_compared_with_its_own_estimate(planned: Plan):
    found, (first, _) = forecast.spent_of_plan(planned, of(planned)), planned.runs
    assert found is not None
    assert found.seconds == 3 + 2 + 1 + 1
    tile = memory.tile_bytes(planned.header.run.tile_bytes)
    works = {stage.name: stage.work for stage in stages(first.cell, tile)}
    analysis = works["analysis.transfer"]
    total = networks.training(first.cell).times(2, 2) + works["kernel.limit"] + analysis + analysis
    assert found.expected_seconds == pytest.approx(total.seconds())
    assert (found.bytes, found.expected_bytes) == (10**9, peak_bytes(total))


def test_what_the_store_gave_is_in_neither(planned: Plan):
    found = forecast.spent_of_plan(planned, of(planned, cached=True))
    assert found is not None
    assert found.seconds == 2
    assert found.expected_seconds < estimate(planned).total.seconds()


@pytest.mark.parametrize("about", [{"peak": None}, {"status": "failed"}])
def test_nothing_is_said_of_what_was_not_measured(planned: Plan, about):
    assert forecast.spent_of_plan(planned, of(planned, **about)) is None
    assert spent_line(planned, of(planned, **about)) == ""


def test_parts_of_one_process():
    part = forecast.CostLine("training", 1.0, 2.0, Work(dense=int(work.DENSE)))
    found = forecast.spent([part, part], [5, 7], cores=1)
    assert found == forecast.Spent(6.0, 2.0, 7, work.BASE_BYTES)


@pytest.mark.slow
def test_a_real_run_is_beside_its_estimate(tmp_path: Path):
    """Seconds of work by seconds of estimate, whatever machine this is."""
    jax.clear_caches()  # or what earlier tests compiled would cost nothing
    planned, store = tiny.planned(tmp_path), Store(tmp_path / "runs")
    tiny.run(planned, store)
    found = forecast.spent_of_plan(planned, {each.run_id: each for each in lookup.records(store, planned.runs)})
    assert found is not None
    assert 0.02 < found.expected_seconds / found.seconds < 50
    assert "took      time " in cost_forecast(planned, store)
