"""`kill -9` at any moment, then the same command: the same records, and no finished run is repeated."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ntkbench.bench import ledger, plan
from ntkbench.bench.store import Store
from tests.bench import tiny

pytestmark = pytest.mark.slow

SPEC = (
    tiny.SPEC.replace("epochs: 3}", "epochs: 40}").replace("seeds: 2", "seeds: 3")
    + """
matrix:
  width: [8, 12]
  regime:
    standard: {training.mode: standard}
    adversarial:
      training.mode: adversarial
      training.attack: {kind: pgd, eps: 8/255, steps: 3, start: uniform}
      training.batch_size: 4
      training.linearize_at: 20
run: {checkpoint_every: 2}
"""
)
KILLS = 8


def start(spec: Path, store: Store) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ntkbench.cli", "run", str(spec), "--store", str(store.root)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    _, told = process.communicate(timeout=600)
    assert process.returncode == 0, told.decode()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, Store, float]:
    """The spec, a store where it ran in one go, and the seconds that took."""
    folder = tmp_path_factory.mktemp("whole")
    spec, store = tiny.spec(folder, SPEC), Store(folder / "runs")
    began = time.perf_counter()
    finish(start(spec, store))
    return spec, store, time.perf_counter() - began


def test_killed_and_resumed_is_uninterrupted(whole: tuple[Path, Store, float], tmp_path: Path):
    spec, expected, seconds = whole
    runs, store = plan.read(spec).runs, Store(tmp_path / "runs")
    rng = np.random.default_rng(0)
    survived: dict[str, tuple[int, bytes]] = {}
    for moment in rng.permutation((np.arange(KILLS) + rng.random(KILLS)) / KILLS):
        process = start(spec, store)
        time.sleep(moment * seconds)
        process.kill()
        process.communicate()
        kept = {name: file for name, file in tiny.files(store.root).items() if name.startswith("records/r")}
        finished = {name for name in kept if name.endswith(".json")}
        assert {name: kept.get(name) for name in survived} == survived, "what was finished stays as it was"
        survived = {name: file for name, file in kept.items() if name.replace(".npz", ".json") in finished}
    finish(start(spec, store))
    records = ledger.records(store, runs)
    assert [record.attempt for record in records] == [1] * len(runs)
    assert {name: tiny.files(store.root)[name] for name in survived} == survived
    assert tiny.results(store, runs) == tiny.results(expected, runs)
    assert not list((store.root / "objects").glob("checkpoint/[!.]*")), "but drafts, which `store gc` removes"


def test_a_truncated_object_between_two_calls_is_made_again(whole: tuple[Path, Store, float], tmp_path: Path):
    spec, expected, _ = whole
    runs, store = plan.read(spec).runs, Store(tmp_path / "runs")
    finish(start(spec, store))
    before = tiny.files(store.root)
    damaged = {name for name in before if name.endswith("arrays.npz")}
    for name in damaged:
        (store.root / name).write_bytes(before[name][1][: len(before[name][1]) // 2])
    for run in runs[::2]:
        store.record(run.id).unlink()
    process = start(spec, store)
    _, told = process.communicate(timeout=600)
    assert process.returncode == 0
    assert b"is damaged" in told
    after = tiny.files(store.root)
    assert {name: after[name][1] for name in damaged} == {name: before[name][1] for name in damaged}
    assert tiny.results(store, runs) == tiny.results(expected, runs)


def test_two_processes_on_one_store_share_the_work(whole: tuple[Path, Store, float], tmp_path: Path):
    spec, expected, _ = whole
    runs, store = plan.read(spec).runs, Store(tmp_path / "runs")
    told = []
    processes = [start(spec, store), start(spec, store)]
    for process in processes:
        told.append(process.communicate(timeout=600)[1].decode())
        assert process.returncode == 0, told
    records = ledger.records(store, runs)
    assert [record.attempt for record in records] == [1] * len(runs)
    assert sum(text.count("  ok  ") for text in told) == len(runs), "each run was told of once"
    assert tiny.results(store, runs) == tiny.results(expected, runs)


@pytest.mark.skipif(signal.getsignal(signal.SIGINT) is signal.SIG_IGN, reason="interrupts are ignored here")
def test_an_interrupt_is_told_and_resumed(whole: tuple[Path, Store, float], tmp_path: Path):
    spec, expected, _ = whole
    runs, store = plan.read(spec).runs, Store(tmp_path / "runs")
    process = start(spec, store)
    while not any(store.records.glob("r*.json")):  # of four trainings, one is done
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=600)
    assert process.returncode == 130
    assert told.decode().splitlines()[-1] == "interrupted; the same command resumes"
    assert "Traceback" not in told.decode()
    finish(start(spec, store))
    assert tiny.results(store, runs) == tiny.results(expected, runs)
