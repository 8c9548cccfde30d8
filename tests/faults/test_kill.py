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
from tests.faults.command import STAGES, family, kill, reach, stage
from tests.faults.conftest import Whole

pytestmark = pytest.mark.slow

KILLS = 10
CREWS = {"one process": (), "two processes": ("--workers", "2"), "ray": ("--executor", "ray")}


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

    def check_all(self, attempts: int | None = 1) -> None:
        self.check()
        assert tiny.results(self.store, self.whole.runs) == self.whole.results
        tried = [record.attempt for record in ledger.records(self.store, self.whole.runs)]
        assert attempts is None or tried == [attempts] * len(self.whole.runs)
        assert not list((self.store.root / "objects").glob("checkpoint/[!.]*")), "but drafts"


@pytest.mark.parametrize("crew", CREWS)
@pytest.mark.parametrize("part", range(2))
def test_killed_and_resumed_is_uninterrupted(crew: str, part: int, whole: Whole, tmp_path: Path, record_property):
    """In the first part at each stage in turn, in the second at any moment."""
    rng, hit = np.random.default_rng([part, *crew.encode()]), Counter[str]()
    for number in range(KILLS):
        command = whole.at(tmp_path / str(number), *CREWS[crew])
        kept = Kept(whole, command.store)
        aims: list[str | float] = [*STAGES] if part == 0 else list(rng.uniform(0, 0.8 * whole.seconds, len(STAGES)))
        for aim in aims:
            process = command.start()
            if isinstance(aim, float):
                time.sleep(aim)
            else:
                reach(process, command.store, whole.runs, aim)
                time.sleep(rng.uniform(0, 0.1))
            if process.poll() is not None:
                break
            hit[stage(command.store, whole.runs)] += 1
            kill(family(process.pid) if rng.random() < 0.5 else [process.pid])
            process.wait()
            kept.check()
        command.finish()
        kept.check_all()
        if hit.total() >= KILLS:
            break
    record_property("kills", dict(hit))
    print(f"{crew}: killed {hit.total()} times, at {dict(hit)}")
    assert hit.total() >= KILLS
    assert part or crew == "ray" or set(STAGES) <= set(hit)


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
