from pathlib import Path

import pytest

from ntkbench.errors import DataError
from ntkbench.run import doctor
from ntkbench.run.doctor import examine


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch):
    """No data set of this machine is found."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def lines(report: str) -> dict[str, str]:
    return {line[6:26].strip(): line[:6].strip() for line in report.splitlines()}


def test_a_sound_installation(tmp_path: Path):
    healthy, report = examine(tmp_path / "runs", None)
    assert healthy
    found = lines(report)
    for name in ("versions", "device", "double precision", "single precision", "store"):
        assert found[name] == "ok"
    assert found["fashion_mnist_mini"] == "ok"
    assert found["cifar10"] == "note", "a data set that is not there is no fault"
    assert "`ntkbench data fetch cifar10`" in report


def test_a_store_that_cannot_be_written_is_a_fault(tmp_path: Path):
    (tmp_path / "file").write_text("")
    healthy, report = examine(tmp_path / "file" / "runs", None)
    assert not healthy
    assert lines(report)["store"] == "FAULT"


def test_a_damaged_data_set_is_a_fault(tmp_path: Path, monkeypatch):
    def damaged(name: str, roots: object) -> None:
        raise DataError(f"{name}: a wrong checksum")

    monkeypatch.setattr(doctor, "load", damaged)
    healthy, report = examine(tmp_path, None)
    assert not healthy
    assert lines(report)["cifar10"] == "FAULT"
    assert "cifar10: a wrong checksum" in report
