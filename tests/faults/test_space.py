"""A disk without room, and a store that one may only read, as the operating system has them; then the same command."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ntkbench.store import lookup
from tests.examples import tiny
from tests.faults.conftest import Whole

pytestmark = pytest.mark.slow


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A small disk in memory; only root may have one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a disk is not permitted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def again(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@pytest.mark.parametrize("room", ["4k", "40k", "80k", "120k"])
def test_a_full_disk_is_told_and_loses_nothing(room: str, whole: Whole, tmp_path: Path):
    with mounted(disk := tmp_path / "disk", f"size={room}"):
        command = whole.at(disk / "runs")
        command.finish(code=1)
        assert "No space left on device" in command.told
        assert "Traceback" not in command.told
        assert not [record for record in lookup.records(command.store, whole.runs) if record.status != "ok"]
        again(disk, "size=10m")
        command.finish()
        assert tiny.results(command.store, whole.runs) == whole.results
        assert [record.attempt for record in lookup.records(command.store, whole.runs)] == [1] * len(whole.runs)


def test_a_store_to_be_read_only_is_read_and_not_run_in(whole: Whole, tmp_path: Path):
    with mounted(disk := tmp_path / "disk", "size=10m"):
        command = whole.at(disk / "runs")
        command.finish()
        again(disk, "ro")
        before = tiny.files(disk)
        command.finish()
        assert tiny.files(disk) == before
        again(disk, "rw")
        command.store.record(whole.runs[0].id).unlink()
        again(disk, "ro")
        command.finish(code=1)
        assert "Read-only file system" in command.told
        assert "Traceback" not in command.told
        again(disk, "rw")
        command.finish()
        assert tiny.results(command.store, whole.runs) == whole.results
