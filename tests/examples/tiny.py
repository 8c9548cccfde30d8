"""Experiments that run in moments, and what their runs tell."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ntkbench.plan.read import read
from ntkbench.plan.runs import Plan, Run
from ntkbench.run.execute import execute
from ntkbench.run.job import Options
from ntkbench.store.record import Record, Status
from ntkbench.store.store import Store

SPEC = """
ntkbench: 1
name: tiny
data: {dataset: {kind: two_gaussians, dim: 6}, n_train: 12, n_test: 10}
architecture: {kind: fc, depth: 1}
width: 8
training: {mode: standard, epochs: 3}
kernels:
  limit: {kind: infinite}
attacks:
  ntk: {kind: fgsm, source: limit, eps: 8/255}
  own: {kind: fgsm, source: self, eps: 8/255}
  noise: {kind: random_sign, eps: 8/255}
analyses:
  transfer: {kind: transfer, attack: ntk, ceiling: own, floor: noise}
seeds: 2
"""


class Listener:
    """Keeps what a run tells. `on` are words of `doing` at which it does something."""

    def __init__(self, **on: Any):
        self.begun: tuple[int, int] = (0, 0)
        self.lines: list[tuple[str, Status]] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self._on = on

    def begin(self, runs: int, done: int) -> None:
        self.begun = (runs, done)

    def working(self, run: Run, what: str) -> None:
        for word, action in self._on.items():
            if what.startswith(word):
                action(run, what)

    def ended(self, run: Run, status: Status, seconds: float, note: str) -> None:
        self.lines.append((run.id, status))
        self.notes.append(note)

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def close(self) -> None:
        pass


def spec(folder: Path, text: str = SPEC) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text, "utf-8")
    return path


def planned(folder: Path, *overrides: str, text: str = SPEC) -> Plan:
    """The tiny experiment with overrides as `--set` takes them."""
    return read(spec(folder, text), overrides)


def run(of: Plan, store: Store, options: Options | None = None, listener: Listener | None = None) -> Listener:
    """Execute; gives back who listened."""
    listener = listener or Listener()
    execute(of, store, (), options or Options(), listener)
    return listener


def results(store: Store, runs: Sequence[Run]) -> dict[str, Any]:
    """All of the runs' records that must not depend on when, how often and how they were executed."""
    return {run.id: _result(store, run) for run in runs}


def _result(store: Store, run: Run) -> dict[str, Any]:
    record = json.loads(store.record(run.id).read_bytes())
    with np.load(store.arrays(run.id)) as arrays:
        beside = {name: (values.dtype.str, values.shape, values.tobytes()) for name, values in arrays.items()}
    kept = ("run_id", "status", "spec", "metrics", "checks", "warnings", "error")
    return {"arrays": beside, **{name: record[name] for name in kept}}


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its time of change and its content."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "locks" not in path.parts
    }


def statuses(records: Sequence[Record]) -> list[Status]:
    return [record.status for record in records]
