"""Collecting loses no result: the same command repeats no run, and records stay as they are."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from ntkbench.errors import UsageError
from ntkbench.plan.keys import group_key, state_key
from ntkbench.plan.runs import Plan
from ntkbench.store import index, lookup
from ntkbench.store.store import Store
from ntkbench.store.upkeep import garbage, inventory
from ntkbench.store.upkeep.garbage import Policy
from tests.examples import tiny

NOW = Policy(age=-60.0)
STRANGE = "t0123456789ab-0"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Plan, Store]:
    folder = tmp_path_factory.mktemp("collect")
    plan, store = tiny.planned(folder), Store(folder / "runs")
    tiny.run(plan, store)
    return plan, store


@pytest.fixture
def plan(whole: tuple[Plan, Store]) -> Plan:
    return whole[0]


@pytest.fixture
def store(whole: tuple[Plan, Store], tmp_path: Path) -> Store:
    return Store(shutil.copytree(whole[1].root, tmp_path / "runs"))


def waste(store: Store, policy: Policy = NOW) -> dict[tuple[str, str], str]:
    found = garbage.collectable(store, inventory.items(store), index.summaries(store), policy)
    return {(each.item.kind, each.item.name): each.why for each in found}


def delete(store: Store, policy: Policy = NOW) -> list[str]:
    found = garbage.collectable(store, inventory.items(store), index.summaries(store), policy)
    return [each.item.name for each in garbage.remove(store, found)]


def kinds(found: Iterable[tuple[str, str]]) -> set[str]:
    return {kind for kind, _ in found}


def test_of_a_sweep_that_ended_well_only_locks_go(store: Store):
    found = waste(store)
    assert kinds(found) == {"locks"}
    assert set(found.values()) == {"nobody holds it"}
    assert waste(store, Policy(age=3600.0)) == {}


def test_what_no_record_needs_goes(store: Store, plan: Plan):
    group = group_key(plan.runs[0].cell, (0, 1))
    objects = {"snapshot": state_key(group, 1), "checkpoint": state_key(group, 2), "kernel": "k0123456789ab"}
    for stage, key in objects.items():
        store.save(stage, key, {"a": np.zeros(3)})
    store.save("training", STRANGE, {"a": np.zeros(3)})
    store.save("checkpoint", f"{STRANGE[:-1]}9@step2", {"a": np.zeros(3)})
    (store.root / "objects" / "kernel" / ".k.1234").mkdir()
    (store.records / ".r.json.1234.tmp").write_text("half")
    (store.records / "r000000000000.npz").write_text("")
    (store.root / "running").mkdir(exist_ok=True)
    (store.root / "running" / "t.json").write_text("")
    found = {name: why for (kind, name), why in waste(store).items() if kind != "locks"}
    assert found == {
        state_key(group, 1): "all runs of its training are ok",
        state_key(group, 2): "its training is finished",
        "k0123456789ab": "no record names it",
        STRANGE: "no record names it",
        ".k.1234": "a killed process left it",
        ".r.json.1234": "a killed process left it",
        "r000000000000": "its record is gone",
        "t.json": "a killed process left it",
    }
    assert set(delete(store)) >= set(found)
    assert waste(store) == {}
    assert store.has("checkpoint", f"{STRANGE[:-1]}9@step2"), "a training that was begun goes on from here"


def test_snapshots_stay_until_all_runs_of_their_training_are_ok(store: Store, plan: Plan):
    key = state_key(group_key(plan.runs[0].cell, (0, 1)), 1)
    store.save("snapshot", key, {"a": np.zeros(3)})
    store.record(plan.runs[1].id).unlink()
    assert ("snapshot", key) not in waste(store)


@pytest.mark.parametrize("drop", [(), ("training", "kernel", "craft")])
def test_afterwards_the_same_command_repeats_no_run(drop: tuple[str, ...], store: Store, plan: Plan):
    before = {name: file for name, file in tiny.files(store.root).items() if name.startswith("records")}
    delete(store, Policy(-60.0, drop))
    assert any(store.keys(stage, stage[0]) for stage in ("training", "kernel", "craft")) == (not drop)
    assert lookup.pending(store, plan.runs) == []
    assert tiny.run(plan, store).lines == []
    assert {name: file for name, file in tiny.files(store.root).items() if name.startswith("records")} == before


def test_a_run_that_is_made_again_from_nothing_has_the_same_numbers(store: Store, plan: Plan):
    before = tiny.results(store, plan.runs)
    delete(store, Policy(-60.0, ("training", "kernel", "craft")))
    for run in plan.runs:
        store.record(run.id).unlink()
    tiny.run(plan, store)
    assert tiny.results(store, plan.runs) == before


def test_a_stage_can_be_kept(store: Store):
    store.save("training", STRANGE, {"a": np.zeros(3)})
    assert ("training", STRANGE) in waste(store)
    assert ("training", STRANGE) not in waste(store, Policy(-60.0, ("training",), ("training",)))


def test_what_was_of_use_lately_stays(store: Store):
    store.save("training", STRANGE, {"a": np.zeros(3)})
    place = store.root / "objects" / "training" / STRANGE
    os.utime(place, (0, 0))
    assert ("training", STRANGE) in waste(store, Policy(age=3600.0))
    assert store.load("training", STRANGE) is not None
    assert ("training", STRANGE) not in waste(store, Policy(age=3600.0))


def test_while_somebody_is_at_work_objects_and_held_locks_stay(store: Store):
    store.save("training", STRANGE, {"a": np.zeros(3)})
    with store.lock("unit"):
        assert garbage.is_in_use(store)
        found = waste(store)
        assert kinds(found) == {"locks"}
        assert ("locks", "unit.lock") not in found
    found = garbage.collectable(store, inventory.items(store), index.summaries(store), NOW)
    with store.lock("unit"):  # begun in between
        gone = {each.item.name for each in garbage.remove(store, found)}
    assert not {STRANGE, "unit.lock"} & gone
    assert (store.root / "locks" / "unit.lock").exists()
    assert not garbage.is_in_use(store)


def test_what_goes_is_told_by_its_reason(store: Store):
    store.save("training", STRANGE, {"a": np.zeros(3000)})
    lines = garbage.report(garbage.collectable(store, inventory.items(store), index.summaries(store), NOW)).splitlines()
    assert [line.split() for line in lines if line.startswith("training")] == [
        ["training", "no", "record", "names", "it", "1", "24", "kB"]
    ]


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("1.5h", 5400), ("30d", 30 * 86400), ("2w", 14 * 86400)])
def test_ages_are_read(text: str, expected: float):
    assert garbage.seconds(text) == expected


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1 month"])
def test_ages_that_are_none_are_told(text: str):
    with pytest.raises(UsageError, match="write a number and a unit"):
        garbage.seconds(text)
