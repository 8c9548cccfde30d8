"""Small experiments that once went wrong, each with its right answer."""

import csv
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ntkbench.plan.read import read
from ntkbench.results.plots.plot import plot, results_of_plan
from ntkbench.results.show import show
from ntkbench.status import watch
from ntkbench.store import lookup
from ntkbench.store.store import Store
from tests.examples import tiny

SPECS = Path(__file__).parent / "specs"


@pytest.mark.slow
def test_a_time_limit_is_kept_where_epochs_are_slow(tmp_path: Path):
    planned, store = read(SPECS / "timeout.yaml"), Store(tmp_path / "runs")
    command = [sys.executable, "-m", "ntkbench", "run", planned.file, "--store", str(store.root)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr  # and the end of the process disturbs nothing that computes on
    (found,) = lookup.records(store, planned.runs)
    assert found.status == "timeout"
    assert found.error is not None
    told = re.fullmatch(
        r"(epoch ([\d.]+) of 400, .*|beginning): longer than run\.timeout, 10 s a run", found.error.message
    )
    assert told, found.error.message
    assert float(told[2] or 0) < 50, "it was looked at before the first checkpoint was due"


@pytest.mark.parametrize(("name", "axes"), [("labels", 2), ("long", 3)])
def test_labels_of_all_kinds_are_read(name: str, axes: int):
    planned = read(SPECS / f"{name}.yaml")
    assert len(planned.runs) == 8
    assert all(len(run.coordinates) == axes for run in planned.runs)


@pytest.mark.slow
def test_labels_of_all_kinds_are_shown_and_drawn(tmp_path: Path):
    """As Markdown, CSV and pictures; no cell of CSV is a formula, no file's name too long."""
    planned, store = read(SPECS / "labels.yaml"), Store(tmp_path / "runs")
    tiny.run(planned, store)
    records = lookup.records(store, planned.runs)
    rows = list(csv.DictReader(io.StringIO(show(records, planned=planned.runs, form="csv"))))
    (axis,) = (name for name in rows[0] if name.startswith("cost_"))
    assert {row[axis] for row in rows} == {"'=1+1"} | {run.coordinates[axis] for run in planned.runs} - {"=1+1"}
    planned, store = read(SPECS / "long.yaml"), Store(tmp_path / "long")
    tiny.run(planned, store)
    written = plot([results_of_plan(planned, store)], store.records, tmp_path / "pictures")
    assert written
    assert max(len(path.name) for path in written) < 160


def test_a_dead_network_is_told_beside_its_numbers(tmp_path: Path):
    planned, store = read(SPECS / "masked.yaml"), Store(tmp_path / "runs")
    tiny.run(planned, store)
    text = show(lookup.records(store, planned.runs), planned=planned.runs)
    assert "(1)†" in text
    assert re.search(
        r"† 1 of 1 runs failed checks \(.*gradients.*not.*zero.*\), and their numbers may mean nothing", text
    )
    assert "1 of 1 runs failed checks, and their numbers may mean nothing" in watch.status(planned, store)
