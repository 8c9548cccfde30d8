import numpy as np
import pytest
from matplotlib.figure import Figure

from ntkbench.results.plots import style
from ntkbench.results.plots.axes import budget_axis, index_axis, index_norm, index_ticks, log_axis, places


def labels(figure: Figure) -> dict[float, str]:
    """Of the ticks that are seen."""
    figure.draw_without_rendering()
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    ticks = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
    return {float(at): text.get_text() for at, text in ticks if low <= at <= high}


def test_index_zero_has_a_place():
    figure, (axes,) = style.panels(1, columns=1, height=1.0)
    index_axis(axes, 1999)
    assert labels(figure) == {0: "0", 1: "1", 10: "10", 100: "100", 1000: "1000"}
    low, high = axes.get_xlim()
    assert low < 0
    assert high > 1999


@pytest.mark.parametrize(("last", "ticks"), [(0, [0, 1]), (9, [0, 1]), (10, [0, 1, 10]), (1999, [0, 1, 10, 100, 1000])])
def test_ticks_of_colors(last: int, ticks: list[int]):
    assert index_ticks(last) == ticks
    norm = index_norm(last)
    assert norm(0) == 0
    assert norm(max(last, 1)) == pytest.approx(1)


def test_zero_and_infinity_stand_beside_the_others():
    values = np.array([0, 1e-3, 1, 1e2, np.inf])
    at = places(values, values)
    assert at[1:4].tolist() == [1e-3, 1, 1e2]
    assert at[0] == pytest.approx(1e-3 / 10**0.5)
    assert at[4] == pytest.approx(1e2 * 10**0.5)
    assert places(np.array([np.inf]), values)[0] == at[4], "the same with others on the axis"
    assert places(np.array([0, np.inf]), np.array([0, np.inf])) == pytest.approx([10**-0.5, 10**0.5])


def test_the_ends_are_called_by_their_names():
    figure, (axes,) = style.panels(1, columns=1, height=1.0)
    values = np.array([0, 1e-4, 1, 1e4, np.inf])
    log_axis(axes, values)
    found = labels(figure)
    at = places(values, values)
    assert (found[at[0]], found[at[-1]]) == ("0", "∞")
    assert all(text in ("0", "∞", f"$10^{{{round(np.log10(tick))}}}$") for tick, text in found.items())
    assert 4 <= len(found) <= 9


@pytest.mark.parametrize(
    ("budgets", "ticks"),
    [
        (["1/1020", "4/255"], {0: "0", 1 / 255: "1/255", 2 / 255: "2/255", 3 / 255: "3/255", 4 / 255: "4/255"}),
        (["1/100", "1/10"], {0: "0", 0.02: "0.02", 0.04: "0.04", 0.06: "0.06", 0.08: "0.08", 0.1: "0.1"}),
        (["1/1000", "1/500"], {0: "0", 0.0004: "0.0004", 0.0008: "0.0008", 0.0012: "0.0012", 0.0016: "0.0016"}),
    ],
)
def test_budgets_are_ticks_as_people_write_them(budgets: list[str], ticks: dict[float, str]):
    figure, (axes,) = style.panels(1, columns=1, height=1.0)
    budget_axis(axes, budgets)
    found = labels(figure)
    assert list(found.values())[: len(ticks)] == list(ticks.values())
    np.testing.assert_allclose(list(found)[: len(ticks)], list(ticks), atol=1e-12)
    assert axes.xaxis.get_offset_text().get_text() == ""
