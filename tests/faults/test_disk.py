"""Every single operation on the disk fails once, in every way; then the same command, on a disk that is well."""

import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from ntkbench.errors import StorageError
from ntkbench.store import lookup
from ntkbench.store.store import Store
from tests.examples import tiny
from tests.faults import disk, stages
from tests.faults.conftest import One
from tests.faults.disk import Fault

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ntkbench.store.store.StoreWarning")]


MET: dict[Fault, tuple[int, int]] = {"power cut": (0, 1), "killed": (0, 3), "error": (1, 3), "full": (2, 3)}
"""The first operation, and how many to the next: a power cut meets each, and leaves no more than a kill does; the
others, which take as long, meet one in three, and together each."""
SAMPLED: dict[Fault, tuple[int, int]] = {"power cut": (0, 11), "killed": (3, 29), "error": (7, 29), "full": (11, 29)}
"""The same for the few operations that every change meets; the distances are no multiples of a file's operations."""


@pytest.mark.nightly
@pytest.mark.parametrize("fault", MET)
def test_an_operation_that_fails_costs_time_alone(fault: Fault, one: One, tmp_path: Path):
    fails_and_goes_on(fault, one, tmp_path, *MET[fault])


def test_some_operations_that_fail_cost_time_alone(one: One, tmp_path: Path):
    for fault, (at, every) in SAMPLED.items():
        fails_and_goes_on(fault, one, tmp_path / fault, at, every)


def fails_and_goes_on(fault: Fault, one: One, folder: Path, at: int, every: int) -> None:
    """Fail at every so many-th operation from `at` on, each time in a new store, and run the same command again."""
    runs, met = one.plan.runs, 0
    while True:
        store = Store(folder / str(at))
        with suppress(StorageError), disk.failing(fault, at) as hit:
            tiny.run(one.plan, store)
        if len(hit.done) <= at:  # the fault never came
            break
        go_on(one, store, f"{fault} at operation {at}, {hit.done[at]}")
        shutil.rmtree(store.root, ignore_errors=True)
        at += every
        met += 1
    print(f"{fault}: at {met} of {len(hit.done)} operations")
    assert met * every > 100
    assert stages.finished(store, runs) == list(runs)


def go_on(one: One, store: Store, where: str) -> None:
    """The same command, on a disk that is well."""
    runs = one.plan.runs
    finished = stages.finished(store, runs)
    before = stages.files(store, finished)
    assert tiny.results(store, finished) == {run.id: one.results[run.id] for run in finished}, where

    told = tiny.run(one.plan, store)
    assert told.lines == [(run.id, "ok") for run in runs if run not in finished], where
    assert stages.files(store, finished) == before, where
    assert tiny.results(store, runs) == one.results, where
    assert all(found.attempt <= 2 for found in lookup.records(store, runs)), where
