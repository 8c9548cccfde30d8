"""Units whose processes die: how often they are tried, and that this ends."""

import os
import signal
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ntkbench.errors import DataError, NumericsError, StorageError
from ntkbench.plan.cost.tiles import TiledMatrix
from ntkbench.plan.runs import Unit
from ntkbench.run.executors import dispatch
from ntkbench.run.executors.dispatch import ProcessLost, StarvedError, drive
from ntkbench.run.job import Job, Options
from ntkbench.run.progress import BufferedProgress, Progress
from ntkbench.run.shared import SharedStages
from ntkbench.run.worker import Worker
from ntkbench.spec.cell import RunOptions
from ntkbench.store.store import Store
from tests.examples import tiny
from tests.examples.tiny import Listener

UNIT = Unit("one", (), ())


def ended(result: Any) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_result(result)
    return future


@dataclass
class FakeExecutor:
    """An executor whose tasks end at once: with these deaths, one after the other, and then well."""

    deaths: list[ProcessLost]
    asked: list[str] = field(default_factory=list)
    capacity: int = 1
    max_deaths: int = 3

    def call(self, task, **arguments):
        if task == "check":
            return ended(None)
        self.asked.append("halved" if arguments.get("halve") else task)
        return ended(self.deaths.pop(0) if self.deaths else BufferedProgress())

    def result(self, future):
        found = future.result()
        if isinstance(found, ProcessLost):
            raise found
        return found

    def interrupt(self):
        raise AssertionError("nobody asked for it")


@pytest.mark.parametrize(
    ("deaths", "asked"),
    [
        ([], ["execute"]),
        ([ProcessLost("x")], ["execute", "execute"]),
        ([ProcessLost("x")] * 3, ["execute", "execute", "execute", "give_up"]),
        ([StarvedError("x")], ["execute", "halved"]),
        ([StarvedError("x")] * 2, ["execute", "halved", "give_up"]),
        (
            [ProcessLost("x"), ProcessLost("x"), StarvedError("x")],
            ["execute", "execute", "execute", "give_up"],
        ),
    ],
)
def test_a_unit_is_tried_again_and_then_given_up(deaths: list[ProcessLost], asked: list[str]):
    executor = FakeExecutor(list(deaths))
    drive(executor, [UNIT], Listener())
    assert executor.asked == asked


def test_a_process_that_dies_while_it_gives_up_ends_the_command():
    executor = FakeExecutor([ProcessLost("x")] * 99)
    with pytest.raises(ProcessLost):
        drive(executor, [UNIT], Listener())
    assert executor.asked == ["execute", "execute", "execute", "give_up"]


class FakeWorker:
    """A worker whose methods say what they were given, and do as the advice of their job tells."""

    def __init__(self, job: Job):
        self.does = job.advice

    def execute(self, unit: Unit, progress: Progress, wait: bool) -> bool:
        progress.warn(f"{unit.key}, {wait}")
        if self.does == "interrupted":
            os.kill(os.getpid(), signal.SIGINT)
        return self.does != "held by another"

    def check(self, units: list[Unit], progress: Progress) -> None:
        raise DataError(f"{len(units)}")


@pytest.mark.parametrize(
    ("does", "warnings"), [("done", ["one, True"]), ("interrupted", ["one, True"]), ("held by another", None)]
)
def test_a_worker_process_does_what_it_is_asked_for(monkeypatch, tmp_path: Path, does: str, warnings: list[str] | None):
    monkeypatch.setattr(dispatch, "_worker", FakeWorker)
    job = Job(Store(tmp_path), (), RunOptions(), Options(), 0, does)
    heard = dispatch.call(job, "execute", {"unit": UNIT, "wait": True}, "a result that it waited for")
    assert (heard and heard.warnings) == warnings


def test_what_a_task_raises_reaches_the_process_that_asked_for_it(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(dispatch, "_worker", FakeWorker)
    with pytest.raises(DataError, match="1"):
        dispatch.call(Job(Store(tmp_path), (), RunOptions(), Options(), 0), "check", {"units": [UNIT]})


def test_a_worker_process_knows_a_job_again(tmp_path: Path):
    """It keeps one worker for each job, and finds it by the job, which therefore has to be hashable."""
    one, two = (Job(Store(tmp_path), (), RunOptions(), Options(), 0) for _ in range(2))
    assert hash(one) == hash(two)
    assert one == two


def test_tiles_are_filled_before_the_units_by_every_process_and_a_death_costs_nothing(tmp_path: Path):
    run = tiny.planned(tmp_path).runs[0]
    executor = FakeExecutor([ProcessLost("x")], capacity=2)
    drive(executor, [UNIT], Listener(), [TiledMatrix(run, "limit", rows=12), TiledMatrix(run, "limit", rows=4)])
    assert executor.asked == ["fill"] * 3 + ["execute"], "one tile, and then six for two processes"


def test_a_worker_warns_of_what_ends_a_fill_and_raises_what_the_disk_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    matrix, listener = TiledMatrix(tiny.planned(tmp_path).runs[0], "limit", rows=4), Listener()
    worker = Worker(Job(Store(tmp_path / "runs"), (), RunOptions(), Options(), 0))
    for failure in (NumericsError("the kernel is not finite\nand more"), StorageError("the disk is full")):

        def fill(*_: object, failure: Exception = failure) -> None:
            raise failure

        monkeypatch.setattr(SharedStages, "fill", fill)
        if isinstance(failure, StorageError):
            with pytest.raises(StorageError):
                worker.fill(matrix, listener)
        else:
            worker.fill(matrix, listener)
    assert listener.warnings == ["tiles of kernel limit: the kernel is not finite"]
