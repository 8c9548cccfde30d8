"""The memory that may be used: of the machine, of a container, of a user."""

import resource
from pathlib import Path

import pytest

from ntkbench.plan import memory

PHYSICAL = 64 * 2**30


@pytest.fixture
def machine(tmp_path: Path, monkeypatch) -> Path:
    """One with 64 GiB and no limit; its control groups are in this folder."""
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_PHYS_PAGES": PHYSICAL // 4096, "SC_PAGE_SIZE": 4096}[name])
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    monkeypatch.setattr(memory, "_OWN", tmp_path / "own")
    return tmp_path


def group(folder: Path, name: str, limit: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"{limit}\n")


def test_without_limits_it_is_the_machine_s(machine: Path):
    assert memory.host_bytes() == PHYSICAL
    (machine / "own").write_text("0::/\n")
    group(machine, "memory.max", "max")
    assert memory.host_bytes() == PHYSICAL


@pytest.mark.parametrize("at", ["", "slice", "slice/job"])
def test_a_container_of_version_2_and_those_around_it(at: str, machine: Path):
    (machine / "own").write_text("0::/slice/job\n")
    group(machine / "slice/job", "memory.max", "max")
    group(machine / at, "memory.max", 2**30)
    assert memory.host_bytes() == 2**30
    assert memory.tile_bytes(None) == 2**26


@pytest.mark.parametrize("at", ["", "docker/1"])
def test_a_container_of_version_1(at: str, machine: Path):
    (machine / "own").write_text("5:devices:/docker/1\n4:memory:/docker/1\n")
    group(machine / "memory", "memory.limit_in_bytes", 9223372036854771712)
    group(machine / "memory" / at, "memory.limit_in_bytes", 3 * 2**30)
    assert memory.host_bytes() == 3 * 2**30


@pytest.mark.parametrize("kind", [resource.RLIMIT_AS, resource.RLIMIT_DATA])
def test_a_user_s_limit(kind: int, machine: Path, monkeypatch):
    def limits(of: int) -> tuple[int, int]:
        soft = 2**32 if of == kind else resource.RLIM_INFINITY
        return soft, resource.RLIM_INFINITY

    monkeypatch.setattr(resource, "getrlimit", limits)
    assert memory.host_bytes() == 2**32
