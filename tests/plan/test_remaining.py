"""How long the rest takes."""

import io
import time

import pytest
from rich.console import Console

from ntkbench.plan.cost import remaining
from ntkbench.plan.cost.estimate import estimate
from ntkbench.plan.read import read
from ntkbench.run.progress import progress
from ntkbench.store import groups
from ntkbench.store.store import Store
from tests.examples import factory, tiny


@pytest.mark.parametrize(
    ("left", "current", "done", "took", "since", "expected"),
    [
        (60.0, 10.0, 0.0, 0.0, 0.0, 60.0),  # by arithmetic
        (60.0, 10.0, 0.0, 0.0, 5.0, 55.0),  # it goes down as time passes
        (60.0, 10.0, 20.0, 10.0, 0.0, 30.0),  # twice as fast as was thought
        (60.0, 10.0, 20.0, 10.0, 3.0, 27.0),
        (60.0, 10.0, 20.0, 10.0, 5.0, 25.0),  # now the present one should have ended
        (60.0, 10.0, 20.0, 10.0, 20.0, 50.0),  # it has not: 30 of the work in 30 seconds
        (10.0, 10.0, 20.0, 10.0, 99.0, 0.0),  # the last one
        (10.0, 0.0, 0.0, 0.0, 0.0, 10.0),
    ],
)
def test_the_estimate_is_corrected_by_what_has_passed(left, current, done, took, since, expected):
    assert remaining.seconds(left, current, done, took, since) == pytest.approx(expected)


def test_what_runs_share_is_expected_of_the_first(tmp_path):
    planned = read(tiny.spec(tmp_path, tiny.SPEC + "\nmatrix: {width: [8, 9]}\n"))
    found = remaining.expected(planned)
    first, second, *_ = (found[run.id] for run in planned.runs)
    assert first > second > 0
    whole = estimate(planned).total.seconds()
    assert sum(found.values()) == pytest.approx(whole, rel=0.01), "nothing is counted twice"


def test_what_the_store_has_takes_no_time(tmp_path):
    planned, store = read(tiny.spec(tmp_path)), Store(tmp_path / "runs")
    whole = remaining.expected(planned, groups.cached(planned.runs, store))
    assert whole == remaining.expected(planned)
    tiny.run(planned, store)
    there = groups.cached(planned.runs, store)
    stages = estimate(planned).stages
    assert there == set(stages), "a training, a kernel, and what is crafted on it"
    left = remaining.expected(planned, there)
    assert all(0 < left[run.id] < whole[run.id] for run in planned.runs)


def test_a_bar_tells_it_and_never_stands_still(monkeypatch):
    runs = factory.planned(factory.cell(), (0, 1, 2))
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    watcher = progress(Console(file=io.StringIO(), force_terminal=True), dict.fromkeys((run.id for run in runs), 100.0))
    rest = watcher._rest  # type: ignore[attr-defined]

    def told() -> str:
        return str(rest.render(watcher._bar.tasks[0]))  # type: ignore[attr-defined]

    rest.begin(3, 0)
    rest.current = runs[0].id
    assert told() == "5.0 min left"
    now[0] = 10.0
    rest.end(runs[0].id)
    assert told() == "20 s left"
    rest.current = runs[1].id
    now[0] = 15.0
    assert told() == "15 s left"
    now[0] = 60.0
    assert told() == "30 s left", "the present one is slow, and so may be the last"
