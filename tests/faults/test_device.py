"""An accelerator that fails at some step, or has no memory left; then the same command."""

import importlib
from pathlib import Path

import jax
import pytest

from ntkbench.store import lookup
from ntkbench.store.store import Store
from tests.examples import tiny
from tests.faults.conftest import One

pytestmark = pytest.mark.slow

STEPS = {
    "training": ("ntkbench.ntk.training", "states"),
    "kernel": ("ntkbench.ntk.gram", "gram"),
    "spectrum": ("ntkbench.ntk.regression", "require_regular"),
    "craft": ("ntkbench.run.shared", "craft"),
    "empirical kernel": ("ntkbench.ntk.empirical", "regression"),
    "analysis": ("ntkbench.run.measure", "transfer"),
}
BROKEN = "INTERNAL: Failed to launch CUDA kernel: an illegal memory access was encountered"
FULL = "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 85899345920 bytes"


def fails(monkeypatch: pytest.MonkeyPatch, step: str, message: str, times: int) -> list[int]:
    """Of the calls of a step, the first ones fail; the list grows with each call."""
    module, name = STEPS[step]
    works, calls = getattr(importlib.import_module(module), name), []

    def fail(*arguments, **options):
        calls.append(1)
        if len(calls) <= times:
            raise jax.errors.JaxRuntimeError(message)
        return works(*arguments, **options)

    monkeypatch.setattr(importlib.import_module(module), name, fail)
    return calls


@pytest.mark.parametrize("step", STEPS)
def test_an_error_of_the_device_is_recorded_and_tried_again(step: str, one: One, tmp_path: Path, monkeypatch):
    store, (run,) = Store(tmp_path / "runs"), one.plan.runs
    calls = fails(monkeypatch, step, BROKEN, 1)
    assert tiny.run(one.plan, store).lines == [(run.id, "failed")]
    assert calls, "the step was reached"
    (found,) = lookup.records(store, [run])
    assert found.error is not None
    assert found.error.message == BROKEN
    assert found.metrics == ()
    assert tiny.run(one.plan, store).lines == [(run.id, "ok")]
    assert tiny.results(store, [run]) == one.results
    assert [record.attempt for record in lookup.records(store, [run])] == [2]


@pytest.mark.parametrize("step", ["training", "kernel"])  # where training is, and where measuring is
def test_memory_that_runs_out_once_is_no_end(step: str, one: One, tmp_path: Path, monkeypatch):
    store, (run,) = Store(tmp_path / "runs"), one.plan.runs
    fails(monkeypatch, step, FULL, 1)
    told = tiny.run(one.plan, store)
    assert told.lines == [(run.id, "ok")]
    assert any("again, with half the tiles" in warning for warning in told.warnings)
    assert [record.attempt for record in lookup.records(store, [run])] == [1]
    assert tiny.results(store, [run]) == one.results


def test_memory_that_runs_out_twice_is_told(one: One, tmp_path: Path, monkeypatch):
    store, (run,) = Store(tmp_path / "runs"), one.plan.runs
    fails(monkeypatch, "kernel", FULL, 2)
    assert tiny.run(one.plan, store).lines == [(run.id, "oom")]
    assert tiny.run(one.plan, store).lines == [(run.id, "ok")]
    assert tiny.results(store, [run]) == one.results
