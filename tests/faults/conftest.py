"""What ran undisturbed, to compare with. Whoever needs one of these pays for its compilation once a process."""

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ntkbench.plan.read import read
from ntkbench.plan.runs import Plan, Run
from ntkbench.store.store import Store
from tests.examples import tiny
from tests.faults import stages
from tests.faults.command import Command


@dataclass(frozen=True)
class Whole:
    """A command that ran in one go: its runs, their results, and the seconds that it takes."""

    command: Command
    runs: tuple[Run, ...]
    results: dict[str, Any]
    seconds: float

    def at(self, folder: Path, *options: str) -> Command:
        """The same in another store."""
        return replace(self.command, store=Store(folder), options=options)


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    spec = tiny.spec(folder, stages.SPEC)
    programs = Path(os.environ["JAX_COMPILATION_CACHE_DIR"])  # which other processes of the tests share
    command, runs = Command(spec, Store(folder / "runs"), programs), read(spec).runs
    command.finish()
    results = tiny.results(command.store, runs)
    again, began = replace(command, store=Store(folder / "again")), time.perf_counter()
    again.finish()
    assert tiny.results(again.store, runs) == results, "compiled anew or not, the bits are the same"
    return Whole(command, runs, results, time.perf_counter() - began)


@dataclass(frozen=True)
class One:
    """One run, executed in this process: its plan, its store and its results."""

    plan: Plan
    store: Store
    results: dict[str, Any]


@pytest.fixture(scope="session")
def one(tmp_path_factory) -> One:
    folder = tmp_path_factory.mktemp("one")
    planned, store = tiny.planned(folder, text=stages.ONE_RUN), Store(folder / "runs")
    told = tiny.run(planned, store)
    assert told.lines == [(run.id, "ok") for run in planned.runs], told.notes
    return One(planned, store, tiny.results(store, planned.runs))
