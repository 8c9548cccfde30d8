"""`kill -9` at any moment, then the same command: the same records, and no finished run is lost or repeated."""

import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ntkbench.store import lookup
from ntkbench.store.store import Store
from tests.examples import tiny
from tests.faults import stages
from tests.faults.command import Command, at_work, reach, stage
from tests.faults.conftest import Whole
from tests.faults.doomed import Doom, family, kill

pytestmark = pytest.mark.slow

ROUNDS = 2
KILLS = 10
EXECUTORS = {"one process": (), "two processes": ("--workers", "2"), "ray": ("--executor", "ray")}
DELAYS = {"start": 3.0, "training": 2.0, "kernel": 0.01, "craft": 1.0, "measuring": 1.0}
"""seconds after the beginning of a stage, at most, in the order in which one process comes to them"""
ON_A_CLUSTER = ("start", "kernel", "craft", "training", "measuring")
"""the order on a cluster, where what units share is made before them"""


class Kept:
    """What is finished on a store; it only grows."""

    def __init__(self, whole: Whole, store: Store):
        self.whole, self.store = whole, store
        self.files: dict[str, tuple[int, bytes]] = {}

    def check(self) -> None:
        finished = stages.finished(self.store, self.whole.runs)
        assert tiny.results(self.store, finished) == {run.id: self.whole.results[run.id] for run in finished}
        files = stages.files(self.store, finished)
        assert {name: files.get(name) for name in self.files} == self.files, "what was finished stays as it was"
        self.files = files

    def check_all(self, *, in_order: bool = False) -> None:
        """`in_order`: what a dead command was at may have been ended so; it is logged, and counts as an attempt."""
        self.check()
        assert tiny.results(self.store, self.whole.runs) == self.whole.results
        for record in lookup.records(self.store, self.whole.runs):
            logged = self.store.log(record.run_id).read_text("utf-8").splitlines()
            assert record.attempt == 1 + in_order * sum(line.endswith("Z interrupted") for line in logged)
        assert not list((self.store.root / "objects").glob("checkpoint/[!.]*")), "but drafts"


@pytest.mark.parametrize("executor", [pytest.param("one process", marks=pytest.mark.nightly), "two processes"])
def test_killed_at_each_stage_and_resumed_is_uninterrupted(executor: str, whole: Whole, tmp_path: Path):
    """The command kills itself: at the very beginning of each stage, then a moment after it."""
    rng = np.random.default_rng([*executor.encode()])
    for number in range(ROUNDS):
        command = whole.at(tmp_path / str(number), *EXECUTORS[executor])
        kept = Kept(whole, command.store)
        for place, (aim, seconds) in enumerate(DELAYS.items()):
            doom = Doom(aim, number * rng.uniform(0, seconds), workers=place % 2 == number)
            process = command.start(doom)
            assert process.wait(timeout=600) == -signal.SIGKILL, f"{doom}: {command.told}"
            kept.check()
        command.finish()
        kept.check_all()


@pytest.mark.parametrize(
    "executor", ["one process", *(pytest.param(each, marks=pytest.mark.nightly) for each in ("two processes", "ray"))]
)
def test_killed_at_any_moment_and_resumed_is_uninterrupted(executor: str, whole: Whole, tmp_path: Path):
    rng, hit = np.random.default_rng([*executor.encode()]), Counter[str]()
    undisturbed, began = whole.at(tmp_path / "undisturbed", *EXECUTORS[executor]), time.perf_counter()
    undisturbed.finish()
    seconds = time.perf_counter() - began
    assert tiny.results(undisturbed.store, whole.runs) == whole.results, "whoever executes them"
    for number in range(KILLS):  # at each of which at least one kill comes before the end
        command = whole.at(tmp_path / str(number), *EXECUTORS[executor])
        kept = Kept(whole, command.store)
        for moment in rng.uniform(0, seconds, len(DELAYS)):
            if not _killed(command, whole, kept, rng, hit, moment):
                break
        command.finish()
        kept.check_all(in_order=executor == "ray")  # which ends the workers of a dead command
        if hit.total() >= KILLS:
            break
    print(f"{executor}: killed {hit.total()} times, at {dict(hit)}")
    assert hit.total() >= KILLS


@pytest.mark.nightly
def test_a_cluster_that_is_killed_at_each_stage_is_resumed(whole: Whole, tmp_path: Path):
    """Its processes are found at a stage from outside, since they are not ours to change."""
    rng, hit = np.random.default_rng(0), Counter[str]()
    command = whole.at(tmp_path / "runs", *EXECUTORS["ray"])
    kept = Kept(whole, command.store)
    for aim in ON_A_CLUSTER:
        if not _killed(command, whole, kept, rng, hit, aim):
            break
    command.finish()
    kept.check_all(in_order=True)
    print(f"killed at {dict(hit)}")
    assert hit.total() >= 3, "a busy machine may be somewhere else when the kill comes"


def _killed(
    command: Command, whole: Whole, kept: Kept, rng: np.random.Generator, hit: Counter[str], aim: str | float
) -> bool:
    """Start the command and kill it at a stage or a moment, with or without its workers; False if it ended before."""
    process = command.start()
    if isinstance(aim, str):
        reach(process, command.store, whole.runs, aim)
        time.sleep(rng.uniform(0, 0.1))
    else:
        time.sleep(aim)
    if process.poll() is not None:
        return False
    hit[stage(command.store, whole.runs)] += 1
    kill(family(process.pid) if rng.random() < 0.5 else [process.pid])
    process.wait()
    kept.check()
    return True


@pytest.mark.parametrize("part", range(2))
def test_a_worker_that_is_killed_is_replaced(part: int, whole: Whole, tmp_path: Path):
    """The command itself lives on, and needs nobody to start it again."""
    rng, hit = np.random.default_rng(part), Counter[str]()
    command = whole.at(tmp_path / "runs", *EXECUTORS["two processes"])
    kept, process = Kept(whole, command.store), command.start()
    for aim in ("training", "measuring"):  # the third death of one unit would be its last
        if reach(process, command.store, whole.runs, aim):
            time.sleep(rng.uniform(0, 0.1))
            hit[stage(command.store, whole.runs)] += 1
            kill([found.process for found in at_work(command.store)][:1])
            kept.check()
    command.finish(process)
    kept.check_all()
    print(f"workers killed {hit.total()} times, at {dict(hit)}")
    assert hit
