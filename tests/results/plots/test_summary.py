from collections.abc import Mapping
from typing import Any

import numpy as np

from ntkbench.results.plots import summary
from ntkbench.results.show import Grid
from tests.results.plots.robustness.judged import legend


def cell(mean: float | None, low: float | None = None, high: float | None = None) -> Mapping[str, Any]:
    return {"mean": mean, "ci_low": low, "ci_high": high}


def table(lines: list[tuple[tuple[str, ...], tuple[Mapping | None, ...]]], *columns: str) -> Grid:
    return Grid(("width", "regime"), columns, tuple(lines), ())


TWO = table(
    [
        (("32", "lazy"), (cell(0.6, 0.5, 0.8), cell(0.4))),
        (("32", "rich"), (None, cell(None, None, None))),
        (("64", "lazy"), (cell(1.0, 0.9, 1.0), cell(float("nan")))),
    ],
    "eps 2/255",
    "eps 8/255",
)


def test_means_with_their_intervals_stand_in_named_rows():
    made = summary.figure({"accuracy": TWO})
    assert made is not None
    (axes,) = made.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["width 32, lazy", "width 64, lazy"]
    small, large = axes.containers
    assert np.asarray(small[0].get_xdata()).tolist() == [0.6, 1.0]
    np.testing.assert_allclose(np.array(small[2][0].get_segments())[:, :, 0], [[0.5, 0.8], [0.9, 1.0]])
    assert np.asarray(large[0].get_xdata()).tolist() == [0.4]
    assert np.array(large[2][0].get_segments())[0, :, 0].tolist() == [0.4, 0.4], "one seed has no interval"
    assert (np.floor(np.asarray(small[0].get_ydata()) + 0.5) == [0, 1]).all()
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "the first row is at the top"
    assert axes.get_xticks().tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_there_are_few_metrics_and_none_without_means_or_with_too_many_rows():
    long = table([((str(i), "lazy"), (cell(0.5),)) for i in range(100)], "x")
    empty = table([(("32", "lazy"), (cell(None),))], "x")
    tables = {"accuracy": long, "kernel_drift": empty, **{f"m{i}": TWO for i in range(5)}}
    made = summary.figure(tables)
    assert made is not None
    assert [axes.get_title() for axes in made.axes] == ["m0", "m1", "m2"]
    assert summary.figure({"accuracy": long, "kernel_drift": empty}) is None


def test_many_columns_show_the_first_and_the_last():
    columns = [f"eps {i}" for i in range(11)]
    made = summary.figure({"accuracy": table([(("32", "$x$"), tuple(cell(i / 11) for i in range(11)))], *columns)})
    assert made is not None
    shown = legend(made.axes[0])
    assert (shown[0], shown[-1], len(shown)) == ("eps 0", "eps 10", 6)
    made.draw_without_rendering()
    assert made.axes[0].get_yticklabels()[0].get_text() == r"width 32, \$x\$"
