import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from ntkbench.plan.cost import remaining
from ntkbench.plan.runs import Plan
from ntkbench.status.watch import status, watch
from ntkbench.store import record, running
from ntkbench.store.store import Store, StoreWarning
from tests.examples import factory, tiny


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    return tiny.planned(tmp_path, "seeds=3")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def note(store: Store, *runs: str, **changes: object) -> None:
    """That somebody is at these runs, and holds no lock."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    value = {"unit": "t0", "runs": runs, "run": None, "doing": "epoch 1 of 3", "began": now, "beat": now}
    value |= {"process": 1, "tile_bytes": 1e6, "starved": None, **changes}
    (store.root / "running").mkdir(parents=True, exist_ok=True)
    (store.root / "running" / "t0.json").write_text(json.dumps(value))


def told(planned: Plan, store: Store, terminal: bool = False, every: float = 0.02) -> tuple[bool, str]:
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=120, color_system=None)
    return watch(planned, store, console, every), output.getvalue()


def test_a_look_at_what_goes_on(planned: Plan, store: Store):
    first, second, third = planned.runs
    record.write(factory.valid(factory.failed(first)), store.record(first.id))
    record.write(factory.valid(factory.a_record(second)), store.record(second.id))
    note(store, second.id, third.id, "r000000000000")
    with store.lock(running.lock("t0")):
        lines = re.sub(r"begun (under 1|\d) s\b", "begun a moment", status(planned, store)).splitlines()
    assert lines[:3] == [
        f"{first.id}  failed      seed=0  the loss is NaN",
        "seed=1 and 1 more  epoch 1 of 3, begun a moment ago",
        "3 runs: 1 failed, 1 ok, 1 running",
    ]
    assert re.match(r"52\.\d runs/h of late, 52\.\d runs/h over all; ends in about 1\d s, ", lines[3])
    lines = status(planned, store).splitlines()
    assert lines[1].endswith("its process died, `ntkbench run` takes it up")
    assert lines[2:] == ["3 runs: 1 failed, 1 ok, 1 not begun"]


def test_a_look_leaves_no_trace(planned: Plan, store: Store):
    assert status(planned, store) == "3 runs: 3 not begun"
    assert not store.root.exists()


def test_other_plans_on_the_store_are_their_own_matter(planned: Plan, store: Store):
    note(store, "r000000000000")
    assert status(planned, store) == "3 runs: 3 not begun"


def test_watching_ends_when_every_run_has(planned: Plan, store: Store):
    first, second, third = planned.runs
    for run in (first, second):
        record.write(factory.valid(factory.a_record(run)), store.record(run.id))
    record.write(factory.valid(factory.failed(third, "oom")), store.record(third.id))
    reason = f"{third.id}  oom         seed=2  the loss is NaN"
    assert told(planned, store) == (False, f"{reason}\n3 runs: 2 ok, 1 oom\n"), "each line once"
    record.write(factory.valid(factory.a_record(third)), store.record(third.id))
    assert told(planned, store) == (True, "3 runs: 3 ok\n")
    fine, screen = told(planned, store, terminal=True)
    assert fine
    assert "3 runs: 3 ok" in screen


def test_a_screen_holds_the_first_of_many(tmp_path: Path, store: Store):
    many = tiny.planned(tmp_path, "seeds=30")
    for run in many.runs:
        record.write(factory.valid(factory.failed(run)), store.record(run.id))
    fine, screen = told(many, store, terminal=True)
    assert not fine
    assert "seed=29  the loss is NaN" in screen
    assert "and 21 more" in screen
    assert "seed=1 " not in screen


def test_a_record_is_read_when_its_file_is_new(planned: Plan, store: Store, monkeypatch: pytest.MonkeyPatch):
    read, reading, changed = [], record.read, planned.runs[-1]
    for run in planned.runs:
        record.write(factory.valid(factory.failed(run, "interrupted")), store.record(run.id))
    looks = iter([False, True, False])

    def look_away(seconds: float) -> None:
        if next(looks, True):
            for run in planned.runs if read[3:] else [changed]:
                record.write(factory.valid(factory.a_record(run)), store.record(run.id))

    monkeypatch.setattr("ntkbench.status.watch.time.sleep", look_away)
    monkeypatch.setattr(record, "read", lambda path: read.append(path.stem) or reading(path))
    fine, lines = told(planned, store)
    assert fine
    assert lines.splitlines()[3:] == [
        "3 runs: 3 interrupted",
        "3 runs: 2 interrupted, 1 ok",
        "3 runs: 3 ok",
    ]
    assert read[:4] == [*(run.id for run in planned.runs), changed.id], "four looks, and what had changed was read"


def test_a_damaged_record_is_told_and_counts_as_none(planned: Plan, store: Store):
    path = store.record(planned.runs[0].id)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.warns(StoreWarning, match="the run counts as not done"):
        assert status(planned, store) == "3 runs: 3 not begun"


def test_work_is_estimated_only_where_something_is_in_progress(planned: Plan, store: Store, monkeypatch):
    calls = []
    expected = remaining.expected
    monkeypatch.setattr(remaining, "expected", lambda *asked: calls.append(asked) or expected(*asked))
    first, second, _ = planned.runs
    record.write(factory.valid(factory.a_record(first)), store.record(first.id))
    assert status(planned, store).splitlines() == ["3 runs: 1 ok, 2 not begun"]
    assert calls == []
    note(store, second.id)
    with store.lock(running.lock("t0")):
        assert "ends in about" in status(planned, store)
    assert len(calls) == 1
