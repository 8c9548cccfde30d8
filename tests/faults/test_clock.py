"""Clocks that jump, of the machine and of the files. Nothing may depend on which of two instants is later."""

import datetime
import os
import random
import time
from pathlib import Path

import pytest

from ntkbench.status.status import RunOutcome
from ntkbench.store import lookup
from ntkbench.store.store import Store
from tests.examples import tiny
from tests.faults.conftest import One

pytestmark = pytest.mark.slow

YEAR = 365 * 24 * 3600


def jump(monkeypatch: pytest.MonkeyPatch, by: float | None) -> None:
    """From now on the machine's clock is wrong by so many seconds; None: each time by others."""
    rng, right, real = random.Random(0), time.time, datetime.datetime

    def wrong() -> float:
        return right() + (rng.uniform(-20 * YEAR, 20 * YEAR) if by is None else by)

    class Wrong(real):
        @classmethod
        def now(cls, tz=None):
            return real.fromtimestamp(wrong(), tz)

    monkeypatch.setattr(time, "time", wrong)
    monkeypatch.setattr(datetime, "datetime", Wrong)
    for module in ("store.running", "status.watch"):
        monkeypatch.setattr(f"ntkbench.{module}.datetime", Wrong)


@pytest.mark.parametrize("by", [-30 * YEAR, -3600, 3600, 30 * YEAR, None])
def test_a_clock_that_jumps_changes_no_number(by: float | None, one: One, tmp_path: Path, monkeypatch):
    store, (run,) = Store(tmp_path / "runs"), one.plan.runs

    def interrupt(*_: object) -> None:
        jump(monkeypatch, by)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny.run(one.plan, store, listener=tiny.Listener(epoch=interrupt))
    assert tiny.run(one.plan, store, listener=tiny.Listener()).lines == [(run.id, "ok")]
    assert tiny.results(store, [run]) == one.results
    (found,) = lookup.records(store, [run])
    assert found.time.started <= found.time.ended, "no span is negative"
    assert float(str(found.resources["wall_s"])) >= 0
    assert all((stage.run_s or 0) >= 0 and (stage.compile_s or 0) >= 0 for stage in found.stages.values())
    (end,) = lookup.summaries(store, [run]).values()
    assert RunOutcome.of(end).began <= RunOutcome.of(end).ended
    assert tiny.run(one.plan, store).lines == [], "done is done, whenever that was"


@pytest.mark.parametrize("instant", [0, 4e9])
def test_times_of_files_mean_nothing(instant: float, one: One, tmp_path: Path):
    store, (run,) = Store(tmp_path / "runs"), one.plan.runs

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny.run(one.plan, store, listener=tiny.Listener(epoch=interrupt))
    for path in store.root.rglob("*"):
        os.utime(path, (instant, instant))
    assert tiny.run(one.plan, store).lines == [(run.id, "ok")]
    for path in store.root.rglob("*"):
        os.utime(path, (instant, instant))
    assert tiny.run(one.plan, store).lines == []
    assert tiny.results(store, [run]) == one.results
