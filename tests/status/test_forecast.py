import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ntkbench.plan.cost.estimate import estimate
from ntkbench.plan.keys import group_key, state_key
from ntkbench.render import duration, size
from ntkbench.status.forecast import cost_forecast
from ntkbench.store.store import Store
from tests.examples import factory, tiny

SWEEP = tiny.SPEC + "matrix: {width: [8, 16]}\n"


def lines(text: str) -> dict[str, str]:
    """The lines below the table by their first word."""
    return dict(line.split(maxsplit=1) for line in text.partition("\n\n")[2].splitlines())


def test_a_plan_before_anything_was_run(tmp_path: Path):
    text = cost_forecast(tiny.planned(tmp_path, text=SWEEP), Store(tmp_path / "runs"))
    table, below = text.partition("\n\n")[0].splitlines(), lines(text)
    assert [line.split()[:2] for line in table[2:]] == [["8", "0/2"], ["16", "0/2"]]
    assert below["runs"] == "4, of which 0 are done"
    assert below["training"] == "0 of 4 in the store"
    assert below["kernel"] == "0 of 1 in the store", "one kernel serves the whole sweep"
    assert below["craft"] == "0 of 1 in the store"
    assert below["time"].startswith("about ")
    assert not (tmp_path / "runs").exists()


def test_a_cell_alone_is_its_seeds_and_what_they_share_once(tmp_path: Path):
    planned = tiny.planned(tmp_path, "data.n_train=4000", "seeds=5", text=SWEEP.replace("[8, 16]", "[8]"))
    text = cost_forecast(planned, Store(tmp_path / "runs"))
    row, below = text.splitlines()[2], lines(text)
    assert below["time"].removeprefix("about ").removesuffix(" on two CPU cores") in row
    assert below["memory"].removeprefix("about ") in row
    assert estimate(planned).seconds < 2 * estimate(replace(planned, runs=planned.runs[:1])).seconds


def test_a_plan_says_where_the_first_eigenpairs_alone_are_computed(tmp_path: Path):
    agree = "analyses={agree: {kind: consistency, target: limit, against: [limit], features: [0, 9], top: [20]}}"
    planned = tiny.planned(tmp_path, "data.n_train=2000", agree)
    store = Store(tmp_path / "runs")
    assert lines(cost_forecast(planned, store))["spectra"] == "the first 20 eigenpairs alone, of 1 kernel"
    assert "spectra" not in lines(cost_forecast(tiny.planned(tmp_path, agree, "data.n_train=100"), store))


def test_a_plan_that_is_half_done(tmp_path: Path):
    planned, store = tiny.planned(tmp_path, text=SWEEP), Store(tmp_path / "runs")
    factory.store(store.records, planned.runs[:2])
    store.save("training", group_key(planned.runs[0].cell, (0, 1)), {"a": np.zeros(1)})
    text = cost_forecast(planned, store)
    assert "2/2" in text
    assert lines(text)["runs"] == "4, of which 2 are done"
    assert lines(text)["training"] == "2 of 4 in the store"


def test_the_time_leaves_out_networks_that_are_trained(tmp_path: Path):
    """All seeds of a cell: of one that is there in part, a group trains anew."""
    text = SWEEP.replace("epochs: 3", "epochs: 300000")
    planned, store = tiny.planned(tmp_path, text=text), Store(tmp_path / "runs")
    cells, hours = [planned.runs[0].cell, planned.runs[2].cell], re.compile(r"about [\d.]+ (min|h)")
    assert hours.match(lines(cost_forecast(planned, store))["time"])
    for cell in cells:
        store.save("training", group_key(cell, (0, 1)), {"a": np.zeros(1)})
    assert not hours.match(lines(cost_forecast(planned, store))["time"])


def test_snapshots_of_a_plan(tmp_path: Path):
    """Inside an epoch of each of two phases; the ends are part of the trainings."""
    text = tiny.SPEC.replace("epochs: 3}", "epochs: 3, batch_size: 4, linearize_at: 2}").replace(
        "  limit: {kind: infinite}\n",
        "  limit: {kind: infinite}\n"
        + "".join(f"  k{i}: {{kind: empirical, at: {at}}}\n" for i, at in enumerate(("1/3", 2, "7/3", "final"))),
    )
    planned, store = tiny.planned(tmp_path, text=text), Store(tmp_path / "runs")
    assert lines(cost_forecast(planned, store))["snapshot"] == "0 of 4 in the store"
    store.save("snapshot", state_key(group_key(planned.runs[0].cell, (0, 1)), 1), {"a": np.zeros(1)})
    assert lines(cost_forecast(planned, store))["snapshot"] == "2 of 4 in the store"


def test_a_plan_that_is_done_costs_nothing(tmp_path: Path):
    planned, store = tiny.planned(tmp_path, text=SWEEP), Store(tmp_path / "runs")
    factory.store(store.records, planned.runs)
    assert {"time", "memory"} & lines(cost_forecast(planned, store)).keys() == set()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "under 1 s"), (1, "1 s"), (119.9, "120 s"), (120, "2.0 min"), (7200, "2.0 h"), (360_000, "100.0 h")],
)
def test_durations(seconds: float, text: str):
    assert duration(seconds) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 kB"), (2e5, "200 kB"), (5.18e8, "518.0 MB"), (2e10, "20.0 GB")])
def test_sizes(number: float, text: str):
    assert size(number) == text
