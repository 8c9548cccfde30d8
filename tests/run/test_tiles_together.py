"""Processes divide the tiles of a large kernel; one that is killed loses the tile that it was at."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ntkbench.plan import keys
from ntkbench.plan.read import read
from ntkbench.store.lookup import records
from ntkbench.store.store import Store
from tests.examples import tiny

pytestmark = pytest.mark.slow
TILES = 21
LARGE = Path(__file__).parent / "large"


def start(spec: Path, store: Path, *options: str, seconds: float = 0.0) -> subprocess.Popen[str]:
    """Start `ntkbench run`; each tile takes as many seconds more."""
    paths = [str(LARGE), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "NTKBENCH_TEST_TILE_ROWS": "7",
        "NTKBENCH_TEST_TILE_SECONDS": str(seconds),
    }
    command = [sys.executable, "-m", "ntkbench", "run", str(spec), "--store", str(store), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finished(process: subprocess.Popen[str]) -> str:
    """Wait for a command that has to succeed, and return what it printed."""
    out, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    return out


@pytest.fixture(scope="module")
def spec(tmp_path_factory) -> Path:
    text = tiny.SPEC.replace("n_train: 12", "n_train: 40").replace("seeds: 2", "seeds: 1")
    return tiny.spec(tmp_path_factory.mktemp("spec"), text)


@pytest.fixture(scope="module")
def expected(spec: Path, tmp_path_factory) -> np.ndarray:
    """Coefficients of one process that nothing disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    finished(start(spec, folder))
    return alpha(spec, folder)


def alpha(spec: Path, folder: Path) -> np.ndarray:
    stored = Store(folder).load("solve", keys.solve_key(read(spec).runs[0].cell, "limit"))
    assert stored is not None
    return stored.arrays["alpha"]


def tiles(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return the two files of each whole tile, with time of change and content."""
    place, whole = folder / "objects" / "tile", Store(folder).keys("tile", "k")
    return {name: file for name, file in tiny.files(place).items() if name.partition("/")[0] in whole}


def wait_for_tiles(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    while len(Store(folder).keys("tile", "k")) < count:
        assert process.poll() is None
        time.sleep(0.02)


def test_a_killed_process_loses_one_tile(spec: Path, expected: np.ndarray, tmp_path: Path):
    process = start(spec, tmp_path, seconds=0.1)
    wait_for_tiles(tmp_path, 6, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = tiles(tmp_path)
    assert 12 <= len(before) < 2 * TILES
    finished(start(spec, tmp_path))
    after = tiles(tmp_path)
    assert {name: after[name] for name in before} == before, "what was there is not computed again"
    np.testing.assert_array_equal(alpha(spec, tmp_path), expected)
    assert [record.status for record in records(Store(tmp_path), read(spec).runs)] == ["ok"]


@pytest.mark.parametrize("options", [("--workers", "2"), ("--executor", "ray")])
def test_processes_divide_the_tiles_of_one_run(
    options: tuple[str, ...], spec: Path, expected: np.ndarray, tmp_path: Path
):
    if "ray" in options:
        pytest.importorskip("ray", reason="Ray is not installed")
    process = start(spec, tmp_path, *options, seconds=0.3)
    wait_for_tiles(tmp_path, 3, process)
    most = 0
    while len(Store(tmp_path).keys("tile", "k")) < TILES:
        assert process.poll() is None
        held = [lock for lock in (tmp_path / "locks").glob("tile-*.lock") if Store(tmp_path).is_held(lock.stem)]
        most = max(most, len(held))
        time.sleep(0.02)
    finished(process)
    assert most >= 2, "two processes are at tiles at one time"
    np.testing.assert_array_equal(alpha(spec, tmp_path), expected)


def test_parts_of_a_plan_compute_the_tiles_of_a_run_together(spec: Path, expected: np.ndarray, tmp_path: Path):
    processes = [start(spec, tmp_path, "--shard", f"{part}/3", seconds=0.1) for part in (1, 2, 3)]
    told = [finished(process) for process in processes]
    assert sum("it helped other parts with 1 of their kernels" in each for each in told) == 2
    assert len(Store(tmp_path).keys("tile", "k")) == TILES
    np.testing.assert_array_equal(alpha(spec, tmp_path), expected)
    again = [finished(start(spec, tmp_path, "--shard", f"{part}/3")) for part in (1, 2, 3)]
    assert sum("no run of the plan belongs to part" in each for each in again) == 2
    assert not any("it helped" in each for each in again), "nothing is left to help with"
