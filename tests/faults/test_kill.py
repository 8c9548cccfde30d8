"""`kill -9` at any moment, then the same command: the same records, and no finished run is lost or repeated."""

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ntkbench.bench import ledger
from ntkbench.bench.store import Store
from tests.bench import tiny
from tests.faults import stages
from tests.faults.command import STAGES, at_work, family, kill, reach, stage
from tests.faults.conftest import Whole

pytestmark = pytest.mark.slow

KILLS = 10
CREWS = {"one process": (), "two processes": ("--workers", "2"), "ray": ("--executor", "ray")}
ORDER = dict.fromkeys(CREWS, STAGES) | {"ray": ("start", "kernel", "craft", "training", "measuring")}
"""in which they come: on a cluster, what units share is made before them"""


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
        for record in ledger.records(self.store, self.whole.runs):
            logged = self.store.log(record.run_id).read_text("utf-8").splitlines()
            assert record.attempt == 1 + in_order * sum(line.endswith("Z interrupted") for line in logged)
        assert not list((self.store.root / "objects").glob("checkpoint/[!.]*")), "but drafts"


@pytest.mark.parametrize("crew", CREWS)
@pytest.mark.parametrize("aimed", [True, False], ids=["at each stage", "at any moment"])
def test_killed_and_resumed_is_uninterrupted(crew: str, aimed: bool, whole: Whole, tmp_path: Path):
    rng, hit = np.random.default_rng([aimed, *crew.encode()]), Counter[str]()
    undisturbed, began = whole.at(tmp_path / "undisturbed", *CREWS[crew]), time.perf_counter()
    undisturbed.finish()
    seconds = time.perf_counter() - began
    assert tiny.results(undisturbed.store, whole.runs) == whole.results, "whoever executes them"
    for number in range(4 * KILLS):  # a busy machine may be somewhere else when the kill comes
        command = whole.at(tmp_path / str(number), *CREWS[crew])
        kept = Kept(whole, command.store)
        for aim in ORDER[crew] if aimed else rng.uniform(0, seconds, len(STAGES)):
            process = command.start()
            if isinstance(aim, str):
                reach(process, command.store, whole.runs, aim)
                time.sleep(rng.uniform(0, 0.1))
            else:
                time.sleep(aim)
            if process.poll() is not None:  # it ended before
                break
            hit[stage(command.store, whole.runs)] += 1
            kill(family(process.pid) if rng.random() < 0.5 else [process.pid])
            process.wait()
            kept.check()
        command.finish()
        kept.check_all(in_order=crew == "ray")  # which ends the workers of a dead command
        if hit.total() >= KILLS and (not aimed or set(STAGES) <= set(hit)):
            break
    print(f"{crew}: killed {hit.total()} times, at {dict(hit)}")
    assert hit.total() >= KILLS
    assert not aimed or set(STAGES) <= set(hit)


@pytest.mark.parametrize("part", range(2))
def test_a_worker_that_is_killed_is_replaced(part: int, whole: Whole, tmp_path: Path):
    """The command itself lives on, and needs nobody to start it again."""
    rng, hit = np.random.default_rng(part), Counter[str]()
    command = whole.at(tmp_path / "runs", *CREWS["two processes"])
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
