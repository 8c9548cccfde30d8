"""Several processes on one machine give the records of one, also if some of them die."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ntkbench.plan.read import read
from ntkbench.run.executors import pool
from ntkbench.store import lookup
from ntkbench.store.running import is_abandoned, running
from ntkbench.store.store import Store
from tests.examples import tiny

TEXT = tiny.SPEC + "\nmatrix: {width: [8, 9, 10]}\n"


def start(spec: Path, store: Store, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ntkbench.cli.main", "run", str(spec), "--store", str(store.root), *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, Store]:
    folder = tmp_path_factory.mktemp("whole")
    spec, store = tiny.spec(folder, TEXT), Store(folder / "runs")
    tiny.run(read(spec), store)
    return spec, store


def test_accelerators_are_counted_without_jax(monkeypatch, tmp_path: Path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(pool, "_NVIDIA", tmp_path)
    monkeypatch.setattr(pool, "_has_plugin", lambda: True)
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    assert pool.accelerators() == []
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / name).mkdir()
    assert pool.accelerators() == ["0", "1"]
    for told, names in (("", []), ("-1", []), ("3, 5", ["3", "5"]), ("GPU-8a", ["GPU-8a"])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", told)
        assert pool.accelerators() == names


def test_each_process_has_an_accelerator_and_its_share_of_it(monkeypatch):
    made = []
    monkeypatch.setattr(pool, "ProcessPoolExecutor", lambda *_, initializer, **__: made.append(initializer) or _Idle())
    for device, workers, devices in ((None, 2, 0), ("1", 2, 2), ("0", 3, 2)):
        pool._WorkerProcess(device, workers, devices)
    assert [begin.args[0] for begin in made] == [
        {},
        {"CUDA_VISIBLE_DEVICES": "1"},
        {"CUDA_VISIBLE_DEVICES": "0", "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.375"},
    ]


class _Idle:
    def submit(self, *_: object) -> None: ...


@pytest.mark.slow
def test_two_processes_give_the_records_of_one(whole: tuple[Path, Store], tmp_path: Path):
    spec, expected = whole
    store, runs = Store(tmp_path / "runs"), read(spec).runs
    process = start(spec, store, "--workers", "2")
    told = process.communicate(timeout=300)[1]
    assert process.returncode == 0, told
    assert told.count("  ok  ") == len(runs)
    assert tiny.results(store, runs) == tiny.results(expected, runs)
    assert [found.attempt for found in lookup.records(store, runs)] == [1] * len(runs)
    assert running(store) == []


@pytest.mark.slow
def test_a_process_that_dies_is_replaced(whole: tuple[Path, Store], tmp_path: Path):
    spec, expected = whole
    store, runs = Store(tmp_path / "runs"), read(spec).runs
    process = start(spec, store, "--workers", "2")
    victim = at_work(store, process)
    os.kill(victim, signal.SIGKILL)
    told = process.communicate(timeout=300)[1]
    assert process.returncode == 0, told
    assert "a process died (the system's log may say why); again" in told
    assert tiny.results(store, runs) == tiny.results(expected, runs)
    assert [found.attempt for found in lookup.records(store, runs)] == [1] * len(runs)


@pytest.mark.slow
def test_a_unit_whose_processes_die_again_and_again_is_recorded(whole: tuple[Path, Store], tmp_path: Path):
    spec, _ = whole
    store, runs = Store(tmp_path / "runs"), read(spec).runs
    process, dead = start(spec, store, "--workers", "2"), set()
    unlucky = None
    while len(dead) < 3:
        for found in running(store):
            unlucky = unlucky or found.unit
            if found.unit == unlucky and found.process not in dead and not is_abandoned(store, found):
                os.kill(found.process, signal.SIGKILL)
                dead.add(found.process)
        time.sleep(0.01)
        assert process.poll() is None
    told = process.communicate(timeout=300)[1]
    assert process.returncode == 1
    ends = tiny.statuses(lookup.records(store, runs))
    assert sorted(ends) == ["failed"] * 2 + ["ok"] * (len(runs) - 2), told
    bad = [found for found in lookup.records(store, runs) if found.error is not None]
    assert {found.error.type for found in bad if found.error} == {"ProcessLost"}


@pytest.mark.slow
@pytest.mark.skipif(signal.getsignal(signal.SIGINT) is signal.SIG_IGN, reason="interrupts are ignored here")
def test_an_interrupt_ends_all_in_order(whole: tuple[Path, Store], tmp_path: Path):
    spec, expected = whole
    store, runs = Store(tmp_path / "runs"), read(spec).runs
    process = start(spec, store, "--workers", "2")
    victim = at_work(store, process)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=300)[1]
    assert process.returncode == 130
    assert told.splitlines()[-1] == "interrupted; the same command resumes"
    assert "Traceback" not in told
    assert "interrupted" in tiny.statuses(lookup.records(store, runs))
    assert not Path(f"/proc/{victim}").exists()
    process = start(spec, store, "--workers", "2")
    process.communicate(timeout=300)
    assert process.returncode == 0
    assert tiny.results(store, runs) == tiny.results(expected, runs)


@pytest.mark.slow
def test_no_process_survives_the_parent(whole: tuple[Path, Store], tmp_path: Path):
    spec, _ = whole
    store = Store(tmp_path / "runs")
    process = start(spec, store, "--workers", "2")
    victim = at_work(store, process)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{victim}").exists() and _state(victim) != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def at_work(store: Store, process: subprocess.Popen[str]) -> int:
    """The id of a process that works on a unit, and has begun with a run of it."""
    while True:
        assert process.poll() is None
        if found := [running for running in running(store) if running.doing != "beginning"]:
            return found[0].process
        time.sleep(0.01)


def _state(process: int) -> str:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
