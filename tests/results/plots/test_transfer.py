from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from ntkbench.plan.runs import Run
from ntkbench.results.plots import plot, style, transfer
from ntkbench.results.plots.study import Panel, PlottedAnalysis
from ntkbench.spec.extensions import known_metrics
from ntkbench.uncertainty import summary
from tests.examples import factory
from tests.examples.factory import cell, planned

WHERE = {"attack": "ntk", "eps": "8/255", "denominator": "target_correct"}


def runs(width: int, seeds: int = 3, **coordinates: str) -> list[Run]:
    epochs = 10 + len(coordinates.get("regime", ""))
    of = cell(width=width, training={"mode": "standard", "epochs": epochs})
    return planned(of, range(seeds), width=str(width), **coordinates)


def study(folder: Path, asked: list[Run], done: list[Run]) -> PlottedAnalysis:
    records = factory.store(folder, done)
    found = {each.run_id: each for each in records}
    results = plot.DrawnRecords("synthetic", tuple((found[run.id], run.coordinates) for run in done), asked)
    (study,) = plot.plotted_analyses([results], folder)
    return study


def values(of: PlottedAnalysis, width: str, metric: str) -> list[float]:
    about = WHERE if metric == "transfer_rate" else {"attack": "ntk", "eps": "8/255"}
    return [
        row.value
        for panel in of.panels
        for row in panel.record.metrics
        if panel.record.spec.cell["width"] == width and row.metric == metric and about.items() <= row.where.items()
        if row.value is not None
    ]


def line(axes: Axes, color: str) -> ErrorbarContainer:
    (found,) = [each for each in axes.containers if to_hex(each.lines[0].get_color()) == color.lower()]  # type: ignore
    assert isinstance(found, ErrorbarContainer)
    return found


@pytest.mark.parametrize(("place", "metric"), [(0, "transfer_rate"), (1, "normalized_transfer")])
def test_means_and_intervals_over_seeds(place: int, metric: str, tmp_path: Path):
    every = [*runs(32), *runs(128)]
    of = study(tmp_path, every, every)
    figure = list(transfer.pictures(of, ["8/255"]))[place].figure
    found = line(figure.axes[0], style.BLUE)
    summaries = [summary(values(of, width, metric), known_metrics()[metric].range) for width in ("32", "128")]
    np.testing.assert_allclose(np.asarray(found.lines[0].get_ydata()), [each.mean for each in summaries])
    ends = [segment[:, 1] for segment in found.lines[2][0].get_segments()]
    np.testing.assert_allclose(ends, [each.interval or () for each in summaries])
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["32", "128"]


def test_floor_and_ceiling_are_there_and_regimes_are_panels(tmp_path: Path):
    every = [run for regime in ("lazy", "rich one") for width in (32, 128) for run in runs(width, regime=regime)]
    rate, normalized = transfer.pictures(study(tmp_path, every, every), ["2/255"])
    assert [axes.get_title() for axes in rate.figure.axes] == ["lazy", "rich one"]
    for axes in rate.figure.axes:
        assert [each.get_label() for each in axes.containers] == ["ntk", "own (ceiling)", "noise (floor)"]
    assert [each.get_label() for each in normalized.figure.axes[0].containers] == ["lazy", "rich one"]
    assert "n = 3 seeds" in rate.caption


def test_an_incomplete_cell_is_not_drawn_and_one_seed_has_no_bar(tmp_path: Path):
    every = [*runs(32), *runs(128), *runs(512)]
    of = study(tmp_path / "some", every, every[:-1])
    (axes,) = next(transfer.pictures(of, ["8/255"])).figure.axes
    assert np.size(line(axes, style.BLUE).lines[0].get_xdata()) == 2
    alone = [*runs(32, 1), *runs(128, 1)]
    picture = next(transfer.pictures(study(tmp_path / "alone", alone, alone), ["8/255"]))
    assert not line(picture.figure.axes[0], style.BLUE).has_yerr
    assert "n = 1 seed." in picture.caption


def test_where_no_cell_is_complete_nothing_is_drawn(tmp_path: Path):
    plain = [*runs(32), *runs(128)]
    regimes = [*runs(32, regime="lazy"), *runs(32, regime="rich one"), *runs(128, regime="lazy")]
    for every in (plain, regimes):
        assert not list(transfer.pictures(study(tmp_path, every, every[::3]), ["8/255"]))


def test_what_is_undefined_has_no_picture_and_one_cell_has_one(tmp_path: Path):
    every = planned(cell(), [0, 1])
    of = study(tmp_path, every, every)
    assert [picture.name for picture in transfer.pictures(of, ["8/255"])] == [
        "rate-eps-8/255-",
        "normalized-eps-8/255-",
    ]
    undefined = PlottedAnalysis(of.spec, of.analysis, of.kind, tuple(map(without_ratio, of.panels)), every)
    assert [picture.name for picture in transfer.pictures(undefined, ["8/255"])] == ["rate-eps-8/255-"]


def without_ratio(panel: Panel) -> Panel:
    rows = [
        row.model_copy(update={"value": None, "reason": "the ceiling is not above the floor"})
        if row.metric == "normalized_transfer"
        else row
        for row in panel.record.metrics
    ]
    return replace(panel, record=panel.record.model_copy(update={"metrics": tuple(rows)}))


def test_more_panels_than_a_page_holds_have_their_own_pictures(tmp_path: Path):
    every = [run for n in range(7) for width in (32, 128) for run in runs(width, 1, regime="x" * (n + 1))]
    names = [picture.name for picture in transfer.pictures(study(tmp_path, every, every), ["8/255"])]
    assert len(names) == 14
    assert names[0] == "rate-eps-8/255-x"
    assert len(set(names)) == 14


def test_words_stand_along_an_axis_too(tmp_path: Path):
    every = [
        run
        for word, epochs in (("short", 5), ("long", 9))
        for run in planned(cell(training={"mode": "standard", "epochs": epochs}), range(2), length=word)
    ]
    picture = next(transfer.pictures(study(tmp_path, every, every), ["8/255"]))
    assert [text.get_text() for text in picture.figure.axes[0].get_xticklabels()] == ["short", "long"]


def named(figure: Figure) -> list[str]:
    """The labels that stand along the axis once the picture is drawn."""
    figure.canvas.draw()
    low, high = figure.axes[0].get_xlim()
    ticks = zip(figure.axes[0].get_xticks(), figure.axes[0].get_xticklabels(), strict=True)
    return [text.get_text() for place, text in ticks if low <= place <= high and text.get_text()]


def test_an_axis_of_many_numbers_names_round_ones(tmp_path: Path):
    every = [run for width in range(1, 41) for run in runs(width, 1)]
    picture = next(transfer.pictures(study(tmp_path, every, every), ["8/255"]))
    axes = picture.figure.axes[0]
    assert axes.get_xscale() == "log"
    assert np.size(line(axes, style.BLUE).lines[0].get_xdata()) == 40, "all are drawn"
    assert named(picture.figure) == ["1", "10"]


def test_an_axis_of_many_words_names_some(tmp_path: Path):
    words = [f"word {chr(97 + n // 7)}{n % 7}" for n in range(45)]
    every = [
        run
        for epochs, word in enumerate(words, 1)
        for run in planned(cell(training={"mode": "standard", "epochs": epochs}), range(1), word=word)
    ]
    picture = next(transfer.pictures(study(tmp_path, every, every), ["8/255"]))
    assert np.size(line(picture.figure.axes[0], style.BLUE).lines[0].get_xdata()) == 45, "all are drawn"
    assert named(picture.figure) == words[::3]
