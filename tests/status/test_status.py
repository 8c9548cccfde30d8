import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ntkbench.plan.runs import Plan
from ntkbench.spec.cell import Header
from ntkbench.status.status import PlanStatus, RunningUnit, RunOutcome
from ntkbench.store.index import RunSummary
from tests.examples import factory

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RUNS = tuple(factory.planned(factory.cell(), range(6), width="32"))
PLAN = Plan(Header(ntkbench=1, name="synthetic"), RUNS, "synthetic.yaml")
IDS = [run.id for run in RUNS]


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def ok(began: float, ended: float) -> RunOutcome:
    """Minutes ago."""
    return RunOutcome("ok", "", ago(began), ago(ended))


def plan_status(outcomes: dict[int, RunOutcome], *units: RunningUnit, work: tuple[float, ...] = (1,) * 6) -> PlanStatus:
    by_id = {IDS[i]: outcome for i, outcome in outcomes.items()}
    return PlanStatus(PLAN, by_id, units, dict(zip(IDS, map(float, work), strict=True)), NOW)


def at(*runs: int, began: float = 1, left: bool = False) -> RunningUnit:
    return RunningUnit(tuple(IDS[i] for i in runs), "epoch 20 of 200", ago(began), left)


FAILED = RunOutcome("failed", "the kernel is singular", ago(3), ago(2))


def test_everything_is_counted_once():
    assert plan_status({}).counts() == "6 runs: 6 not begun"
    assert plan_status({0: ok(4, 3), 1: FAILED}, at(2, 3)).counts() == "6 runs: 1 ok, 1 failed, 2 running, 2 not begun"
    assert plan_status({0: ok(4, 3)}, at(0, 1)).counts() == "6 runs: 1 ok, 1 running, 4 not begun"
    assert plan_status({0: ok(4, 3)}, at(1, left=True)).counts() == "6 runs: 1 ok, 5 not begun"
    assert plan_status(dict.fromkeys(range(6), ok(4, 3))).counts() == "6 runs: 6 ok"


def test_failures_have_their_reasons():
    assert plan_status({0: ok(4, 3), 1: FAILED}).failures() == [
        f"{IDS[1]}  failed      width=32 seed=1  the kernel is singular"
    ]


def test_units_tell_what_they_do():
    assert plan_status({}, at(0, 1, 2, began=5), at(3, left=True)).running() == [
        "width=32 seed=0 and 2 more  epoch 20 of 200, begun 5.0 min ago",
        "width=32 seed=3  epoch 20 of 200, begun 60 s ago; its process died, `ntkbench run` takes it up",
    ]
    assert plan_status({}, at(0, began=-5)).running()[0].endswith("begun under 1 s ago"), "another machine's clock"


def test_the_pace_is_that_of_the_time_somebody_was_at_work():
    pair = {0: ok(4, 2), 1: ok(4, 2)}  # at once, and two minutes of the next two since
    assert plan_status(pair, at(2, 3, began=2)).pace() == (
        "30.0 runs/h of late, 30.0 runs/h over all; ends in about 2.0 min, 2026-03-01 12:02 UTC"
    )
    assert (
        plan_status({0: ok(904, 902), 1: ok(904, 902)}, at(2, 3, began=2)).pace()
        == plan_status(pair, at(2, 3, began=2)).pace()
    ), "a night between two commands is no work"
    assert plan_status(pair).pace() == "", "nobody is at it"
    assert plan_status(pair, at(2, left=True)).pace() == ""


def test_the_end_knows_that_wide_networks_take_longer():
    outcomes, wide = {0: ok(4, 2), 1: ok(2, 0)}, (1, 1, 1, 1, 1, 10)
    assert "ends in about 8.0 min" in plan_status(outcomes, at(2, began=0)).pace()
    assert "ends in about 26.0 min" in plan_status(outcomes, at(2, began=0), work=wide).pace()


def test_before_anything_has_ended_there_is_arithmetic():
    assert plan_status({}, at(0), work=(100,) * 6).pace() == (
        "ends in about 9.0 min, 2026-03-01 12:09 UTC (by arithmetic alone)"
    )
    assert plan_status({}, at(0), work=(1e9,) * 6).pace() == "no end in sight"


def test_clocks_that_jump_give_no_nonsense():
    future = RunOutcome("ok", "", ago(-540), ago(-600))
    assert "ends in about 5.0 h" in plan_status({0: future}, at(1)).pace()
    backwards = plan_status({0: RunOutcome("ok", "", NOW, NOW)}, at(1, began=0)).pace()
    assert backwards == "ends in about 5 s, 2026-03-01 12:00 UTC (by arithmetic alone)"


def test_what_is_over():
    every = dict.fromkeys(range(6), ok(4, 3))
    assert plan_status(every).is_over
    assert plan_status(every).is_ok
    assert plan_status({**every, 3: FAILED}).is_over
    assert not plan_status({**every, 3: FAILED}).is_ok
    assert not plan_status({**every, 3: FAILED}, at(3)).is_over, "it is tried again"
    assert plan_status({**every, 3: FAILED}, at(3, left=True)).is_over
    assert not plan_status({**every, 3: RunOutcome("interrupted", "KeyboardInterrupt", ago(3), ago(2))}).is_over
    assert not plan_status({0: ok(4, 3)}).is_over


def end(**changes: object) -> RunSummary:
    """Of a record that was written."""
    found = factory.valid(factory.a_record(RUNS[0]))
    said = {
        "status": "ok",
        "attempt": 1,
        "error": None,
        "spec": "synthetic",
        "stages": {},
        "arrays": [],
        "failed_checks": 0,
    }
    return RunSummary.model_validate_json(json.dumps({**said, **found.time.model_dump(), "trained_s": 65.1, **changes}))


def test_an_outcome_is_what_a_record_says():
    outcome = RunOutcome.of(end())
    assert (outcome.status, outcome.reason) == ("ok", "")
    assert (outcome.ended - outcome.began).total_seconds() == pytest.approx(71.3 + 65.1), "with its training"
    strange = RunOutcome.of(end(status="failed", error="one \x1b[31mline"))
    assert strange.reason == "one \N{REPLACEMENT CHARACTER}[31mline"
    backwards = RunOutcome.of(end(started="2026-01-01T02:00:00Z", ended="2026-01-01T01:00:00Z"))
    assert backwards.began == backwards.ended


@pytest.mark.parametrize("text", ["9999-99-99T99:99:99Z", "0000-00-00T00:00:00Z", "0001-01-01T00:00:00Z"])
def test_instants_that_are_none_do_no_harm(text: str):
    outcome = RunOutcome.of(end(started=text, ended="9999-12-31T23:59:59.999999999Z", trained_s=1e300))
    assert plan_status({0: outcome}, at(1)).pace().endswith("; no end in sight")
    assert RunOutcome.of(end(started=text, ended=text)).ended == datetime(1970, 1, 1, tzinfo=UTC)


def test_failed_checks_are_told_of_runs_that_ended_well():
    failed = replace(ok(4, 3), failed_checks=2)
    assert plan_status({0: ok(4, 3)}).failed_checks() == ""
    assert plan_status({0: failed, 1: ok(4, 3), 2: FAILED}).failed_checks() == (
        "1 of 2 runs failed checks, and their numbers may mean nothing; `ntkbench report` tells more"
    )
