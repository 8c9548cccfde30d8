"""A Ray cluster gives the records of one process."""

import signal
from pathlib import Path

import pytest

from ntkbench.plan.read import read
from ntkbench.store import lookup
from ntkbench.store.running import running
from ntkbench.store.store import Store
from tests.examples import tiny
from tests.run.test_pool import TEXT, at_work, start, whole

pytestmark = pytest.mark.slow
pytest.importorskip("ray", reason="Ray is not installed")

__all__ = ["whole"]

RAY = ("--executor", "ray")


def test_the_records_are_those_of_one_process(whole: tuple[Path, Store], tmp_path: Path):
    spec, expected = whole
    store, runs = Store(tmp_path / "runs"), read(spec).runs
    process = start(spec, store, *RAY)
    told = process.communicate(timeout=300)[1]
    assert process.returncode == 0, told
    assert told.count("  ok  ") == len(runs)
    assert tiny.results(store, runs) == tiny.results(expected, runs)
    records = lookup.records(store, runs)
    assert [(found.attempt, found.execution["executor"]) for found in records] == [(1, "ray")] * len(runs)
    assert all(found.jax["x64"] for found in records)
    assert running(store) == []
    assert not any(found.stages["craft.ntk"].cached is False for found in records), "made once, by a task of its own"
    again = start(spec, store, *RAY)
    assert "6 runs, of which 6 are done" in again.communicate(timeout=300)[1]
    assert again.returncode == 0


@pytest.mark.skipif(signal.getsignal(signal.SIGINT) is signal.SIG_IGN, reason="interrupts are ignored here")
def test_an_interrupt_ends_all_in_order(whole: tuple[Path, Store], tmp_path: Path):
    spec, expected = whole
    store, runs = Store(tmp_path / "runs"), read(spec).runs
    process = start(spec, store, *RAY)
    at_work(store, process)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=300)[1]
    assert process.returncode == 130
    assert told.splitlines()[-1] == "interrupted; the same command resumes"
    assert "Traceback" not in told
    process = start(spec, store, *RAY)
    process.communicate(timeout=300)
    assert process.returncode == 0
    assert tiny.results(store, runs) == tiny.results(expected, runs)


def test_what_goes_wrong_there_is_recorded_as_here(tmp_path: Path):
    spec, store = tiny.spec(tmp_path, TEXT), Store(tmp_path / "runs")
    process = start(spec, store, *RAY, "--set", "run.timeout=1e-6")
    process.communicate(timeout=300)
    assert process.returncode == 1
    assert set(tiny.statuses(lookup.records(store, read(spec).runs))) == {"timeout"}


def test_a_data_set_that_is_missing_shows_before_any_run(tmp_path: Path):
    text = TEXT.replace("{kind: two_gaussians, dim: 6}", "cifar10").replace(
        "n_train: 12", "classes: [cat, dog], n_train: 12"
    )
    spec, store = tiny.spec(tmp_path, text), Store(tmp_path / "runs")
    for options in (RAY, ("--workers", "2")):
        process = start(spec, store, "--data-dir", str(tmp_path), *options)
        told = process.communicate(timeout=300)[1]
        assert process.returncode == 1
        assert "cifar10" in told
        assert "Traceback" not in told
        assert not list(store.records.glob("*.json"))


def test_resources_that_no_node_has_and_clusters_that_are_not_there_are_told(tmp_path: Path):
    spec, store = tiny.spec(tmp_path, TEXT), Store(tmp_path / "runs")
    process = start(spec, store, *RAY, "--address", "127.0.0.1:1")
    assert "no Ray cluster answers there" in process.communicate(timeout=60)[1]
    assert process.returncode == 2
    process = start(spec, store, *RAY, "--set", "run.resources={cpu: 10000, memory: 1GB}")
    assert process.stderr is not None
    lines = iter(process.stderr.readline, "")
    assert any(
        "no node of the cluster has what run.resources asks for (CPU 10000, memory 1e+09)" in line for line in lines
    )
    process.kill()
    process.communicate()
