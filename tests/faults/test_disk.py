"""Every single operation on the disk fails once, in every way; then the same command, on a disk that is well."""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import get_args

import pytest

from ntkbench.bench import ledger
from ntkbench.bench.store import Store
from ntkbench.errors import StorageError
from tests.bench import tiny
from tests.faults import disk, stages
from tests.faults.conftest import One
from tests.faults.disk import Fault

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ntkbench.bench.store.StoreWarning")]


@pytest.mark.parametrize("fault", get_args(Fault))
def test_an_operation_that_fails_costs_time_alone(fault: Fault, one: One, tmp_path: Path):
    runs, at = one.plan.runs, 0
    while True:
        store = Store(tmp_path / str(at))
        with suppress(StorageError), disk.failing(fault, at) as hit:
            tiny.run(one.plan, store)
        if len(hit.done) <= at:  # the fault never came
            break
        go_on(one, store, f"{fault} at operation {at}, {hit.done[at]}")
        shutil.rmtree(store.root, ignore_errors=True)
        at += 1
    print(f"{fault}: at each of {at} operations")
    assert at > 100
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
    assert all(found.attempt <= 2 for found in ledger.records(store, runs)), where
