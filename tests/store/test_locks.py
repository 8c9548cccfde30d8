import os
import time
from pathlib import Path

import pytest

from ntkbench.store import locks
from ntkbench.store.locks import is_held


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "unit.lease"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name, seconds in {"BEAT": 0.02, "EXPIRED": 0.3, "_POLL": 0.01}.items():
        monkeypatch.setattr(locks, name, seconds)


def test_one_holds_it_and_then_another(path: Path):
    with locks.hold(path, wait=False) as held, locks.hold(path, wait=False) as other:
        assert held
        assert not other
        assert is_held(path)
    assert not path.exists()
    with locks.hold(path, wait=True) as held:
        assert held


def test_as_long_as_it_is_touched_nobody_takes_it(path: Path):
    with locks.hold(path, wait=False):
        first = path.stat().st_mtime_ns
        time.sleep(2 * locks.EXPIRED)
        assert path.stat().st_mtime_ns > first
        with locks.hold(path, wait=False) as other:
            assert not other


def test_what_a_killed_process_left_is_taken_over_in_time(path: Path):
    path.write_text("of a process that is no more")
    with locks.hold(path, wait=False) as held:
        assert not held, "it may be alive"
    began = time.perf_counter()
    with locks.hold(path, wait=True) as held:
        assert held
    assert time.perf_counter() - began >= locks.EXPIRED


def test_who_lost_it_leaves_it_to_the_next_one(path: Path):
    with locks.hold(path, wait=False):
        path.unlink()
        path.write_text("of another, who thought that we were gone")
        os.utime(path, ns=(0, 0))
        time.sleep(5 * locks.BEAT)
        assert path.stat().st_mtime_ns == 0, "it is not touched either"
    assert path.exists()


def test_what_was_made_anew_while_it_was_put_away_is_put_back(path: Path):
    path.write_text("left behind")
    seen = locks._state(path)
    path.unlink()
    path.write_text("alive")
    os.utime(path, ns=(0, 0))
    locks._remove_stale(path, seen)
    assert path.read_text() == "alive"
    assert list(path.parent.iterdir()) == [path]


def test_an_old_lease_is_held_by_nobody(path: Path):
    path.write_text("")
    assert is_held(path)
    os.utime(path, (0, 0))
    assert not is_held(path)
    assert not is_held(path.with_name("there is none.lease"))
