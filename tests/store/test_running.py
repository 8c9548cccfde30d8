"""What is noted of work that goes on, and of work whose process died."""

import json
from pathlib import Path

import pytest

from ntkbench.run import progress
from ntkbench.store import lookup, running
from ntkbench.store.store import Store
from tests.examples import tiny
from tests.examples.tiny import Listener


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def test_what_is_done_is_noted_while_it_is_done_and_no_longer(tmp_path: Path, store: Store):
    seen = []
    planned = tiny.planned(tmp_path)

    def look(run, what) -> None:
        seen.extend((found, running.is_abandoned(store, found)) for found in running.running(store))

    tiny.run(planned, store, listener=Listener(training=look, epoch=look, analysis=look, kernel=look))
    assert seen
    assert {found.runs for found, _ in seen} == {tuple(run.id for run in planned.runs)}
    assert {left for _, left in seen} == {False}
    assert "beginning" not in {found.doing for found, _ in seen[1:]}
    assert running.running(store) == []


def test_an_interrupted_unit_is_not_left(tmp_path: Path, store: Store):
    def interrupt(run, what) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny.run(tiny.planned(tmp_path), store, listener=Listener(kernel=interrupt))
    assert running.running(store) == []


def left_behind(store: Store, planned, tile_bytes: float, starved: int) -> None:
    """As by a process that died."""
    from ntkbench.plan.runs import units

    (unit,) = units([(run, 0) for run in planned.runs])
    with progress.noted_in_store(store, unit, tile_bytes, Listener()):
        (path,) = (store.root / "running").glob("*.json")
        note = json.loads(path.read_bytes())
    path.write_text(json.dumps({**note, "starved": starved, "doing": "kernel limit"}))


def test_work_of_a_process_that_died_is_taken_up(tmp_path: Path, store: Store):
    planned = tiny.planned(tmp_path)
    left_behind(store, planned, 1e6, running.oom_kill_count() or 0)
    (found,) = running.running(store)
    assert running.is_abandoned(store, found)
    told = tiny.run(planned, store)
    assert told.warnings == []
    assert running.running(store) == []
    assert tiny.statuses(lookup.records(store, planned.runs)) == ["ok", "ok"]


def test_a_note_that_cannot_be_read_is_none(tmp_path: Path, store: Store):
    planned = tiny.planned(tmp_path)
    left_behind(store, planned, 1e6, 0)
    (path,) = (store.root / "running").glob("*.json")
    path.write_text("{")
    assert running.running(store) == []
    tiny.run(planned, store)
    assert not path.exists()


@pytest.fixture
def killed(tmp_path: Path, monkeypatch):
    """The system says that it ended so many processes for memory."""
    events = tmp_path / "memory.events"
    monkeypatch.setattr(running, "_EVENTS", (tmp_path / "none", events))

    def says(count: int) -> None:
        events.write_text(f"low 0\noom 9\noom_kill {count}\n")

    says(3)
    return says


def test_after_a_death_for_memory_tiles_are_halved_once(tmp_path: Path, store: Store, killed):
    planned = tiny.planned(tmp_path, "run.tile_bytes=1MB")
    left_behind(store, planned, 1e6, 2)
    told = tiny.run(planned, store)
    assert told.warnings == ["the system ended a process for memory (kernel limit); tried again with half the tiles"]
    assert [found.execution["tile_bytes"] for found in lookup.records(store, planned.runs)] == [5e5, 5e5]


def test_after_the_second_it_is_recorded(tmp_path: Path, store: Store, killed):
    planned = tiny.planned(tmp_path, "run.tile_bytes=1MB")
    left_behind(store, planned, 5e5, 2)
    tiny.run(planned, store)
    for found in lookup.records(store, planned.runs):
        assert found.status == "oom"
        assert found.error is not None
        assert "twice because memory ran out (kernel limit)" in found.error.message
        assert "run.tile_bytes" in found.error.message
    again = tiny.run(planned, store)
    assert [status for _, status in again.lines] == ["ok", "ok"], "the same command tries again, with whole tiles"


def test_a_death_for_another_reason_halves_nothing(tmp_path: Path, store: Store, killed):
    planned = tiny.planned(tmp_path, "run.tile_bytes=1MB")
    left_behind(store, planned, 1e6, 3)
    assert tiny.run(planned, store).warnings == []
    assert [found.execution["tile_bytes"] for found in lookup.records(store, planned.runs)] == [1e6, 1e6]
