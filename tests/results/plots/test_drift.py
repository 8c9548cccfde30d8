"""The pictures show means over seeds of the series, and nothing else."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from ntkbench.plan.runs import Run
from ntkbench.results.plots import drift, plot
from ntkbench.results.plots.study import Panel, PlottedAnalysis
from ntkbench.store import arrays, record
from ntkbench.uncertainty import mean_interval
from tests.examples.factory import a_record, cell, planned, valid

EPOCH = np.array([0.0, 0.5, 1, 4])
CLEAN = ["distance", "polar", "velocity", "mass", "ranks", "labels"]


def kernels(rng: np.random.Generator, moves: bool) -> dict[str, np.ndarray]:
    """Of four snapshots, with two numbers of directions."""
    t = len(EPOCH)
    distance = np.abs(np.subtract.outer(EPOCH, EPOCH)) / 8 * rng.uniform(0.5, 1) * moves
    radius = EPOCH / 4 if moves else np.full(t, np.nan)
    return {
        "distance": distance,
        "velocity": np.diagonal(distance, 1) / np.diff(EPOCH),
        "onset_by_horizon": np.array([np.nan, 0.5, 1]) if moves else np.full(t - 1, np.nan),
        "nearness_by_horizon": np.array([0.5, 1, 4]) if moves else np.full(t - 1, np.nan),
        "radius": radius,
        "angle": np.arccos(1 - distance[0]),
        **{f"{part}_radius": np.stack([radius, radius]) for part in ("top", "rest")},
        **{f"{part}_angle": rng.random((2, t)) for part in ("top", "rest")},
        "top_mass": rng.random((2, t)),
        **{name: 1 + 5 * rng.random(t) for name in ("participation_rank", "entropy_rank", "stable_rank")},
        "label_alignment": rng.random(t),
        "class_specialization": 1 + rng.random(t),
    }


def found(rng: np.random.Generator, adversarial: bool, moves: bool = True) -> dict[str, np.ndarray]:
    other = {f"adversarial_{name}": values for name, values in kernels(rng, moves).items()} if adversarial else {}
    return {
        **kernels(rng, moves),
        **other,
        "epoch": EPOCH,
        "horizon": EPOCH[1:],
        "top": np.array([10, 20]),
        "weight_distance": EPOCH * rng.random(),
        "eps": np.array([2 / 255, 8 / 255]),
        "n_test": np.array(200),
        "accuracy_epoch": EPOCH,
        "test_clean": rng.integers(100, 200, len(EPOCH)),
        "test_robust": rng.integers(0, 100, (2, len(EPOCH))),
    }


def runs(*regimes: str, seeds: int = 3) -> list[Run]:
    return [
        run
        for place, regime in enumerate(regimes)
        for run in planned(cell(training={"mode": "standard", "epochs": 10 + place}), range(seeds), regime=regime)
    ]


def study(folder: Path, every: Sequence[Run], done: Sequence[Run] | None = None, **how: bool) -> PlottedAnalysis:
    pairs = []
    for run in every if done is None else done:
        rng = np.random.default_rng(run.seed + sum(map(ord, run.id)))
        flat = {f"drift.{name}": values for name, values in found(rng, how.get("adversarial", False)).items()}
        if run.coordinates["regime"] == "lazy":
            flat |= {f"drift.{name}": values for name, values in kernels(rng, moves=False).items()}
        _, notes = arrays.write(folder / f"{run.id}.npz", {}, flat)
        written = a_record(run, series=notes)
        written["spec"]["resolved"] |= {"analyses": {"drift": {"kind": "drift", "attack": "own"}}}
        record.write(valid(written), folder / f"{run.id}.json")
        pairs.append((record.read(folder / f"{run.id}.json"), run.coordinates))
    (one,) = plot.plotted_analyses([plot.DrawnRecords("synthetic", tuple(pairs), every)], folder)
    return one


def figures(of: PlottedAnalysis, *budgets: str) -> dict[str, Figure]:
    return {picture.name.removesuffix("-"): picture.figure for picture in drift.pictures(of, budgets)}


def stacked(of: PlottedAnalysis, regime: str, name: str) -> np.ndarray:
    return np.stack([panel[name] for panel in of.panels if panel.cell == regime])


def lines(axes: Axes) -> dict[str, np.ndarray]:
    return {str(line.get_label()): np.asarray(line.get_xydata()) for line in axes.lines}


@pytest.mark.parametrize("adversarial", [pytest.param(False, marks=pytest.mark.slow), True])
def test_both_probes_have_their_pictures(adversarial: bool, tmp_path: Path):
    names = list(figures(study(tmp_path, runs("fast", "slow"), adversarial=adversarial)))
    others = [f"adversarial-{name}" for name in CLEAN] if adversarial else []
    assert names == [*CLEAN, *others, "weights", "accuracy"]


def test_maps_are_means_over_seeds_in_the_same_colors(tmp_path: Path):
    of = study(tmp_path, runs("fast", "slow"))
    axes = figures(of)["distance"].axes
    for at, regime in zip(axes, ("fast", "slow"), strict=False):
        (image,) = at.images
        np.testing.assert_allclose(np.asarray(image.get_array()), stacked(of, regime, "distance").mean(axis=0))
        assert at.get_title() == regime
        assert image.norm is axes[0].images[0].norm
        assert [text.get_text() for text in at.get_xticklabels()] == ["0", "1", "4"]


def test_curves_are_means_with_intervals_over_seeds(tmp_path: Path):
    of = study(tmp_path, runs("fast", "slow"))
    axes = figures(of)["ranks"].axes
    for at, name in zip(axes, ("participation_rank", "entropy_rank", "stable_rank"), strict=True):
        bands = [each for each in at.collections if isinstance(each, PolyCollection)]
        for band, (regime, line) in zip(bands, lines(at).items(), strict=True):
            values = stacked(of, regime, name)
            np.testing.assert_allclose(line, np.stack([EPOCH, values.mean(axis=0)], axis=1))
            low, high = np.array([mean_interval(list(column), (0.0, np.inf)) for column in values.T]).T
            heights = band.get_paths()[0].vertices
            assert isinstance(heights, np.ndarray)
            np.testing.assert_allclose([heights[:, 1].min(), heights[:, 1].max()], [low.min(), high.max()])


def test_phases_are_marked_where_they_begin(tmp_path: Path):
    phases = [{"mode": "standard", "epochs": epochs, "batch_size": 5} for epochs in (1, 2, 3)]
    turning = planned(cell(training={"phases": phases}), range(2), regime="turning")
    late = planned(cell(training={"mode": "standard", "epochs": 10, "linearize_at": 4}), range(2), regime="late")
    of = study(tmp_path, [*turning, *late, *runs("fast", seeds=2)])
    marks = [line for line in figures(of)["ranks"].axes[0].lines if line.get_linestyle() == ":"]
    assert [line.get_xdata()[0] for line in marks] == [1, 3, 4]  # type: ignore[index]
    assert marks[0].get_color() == marks[1].get_color() != marks[2].get_color()
    told = {picture.name: picture.caption for picture in drift.pictures(of, [])}
    assert "Dotted: the epochs at which another phase" in told["ranks-"]


def test_velocity_stands_between_its_snapshots(tmp_path: Path):
    of = study(tmp_path, runs("fast"))
    line, _ = lines(figures(of)["velocity"].axes[0]).values()
    np.testing.assert_allclose(line[:, 0], [0.25, 0.75, 2.5])
    np.testing.assert_allclose(line[:, 1], stacked(of, "", "velocity").mean(axis=0))


def test_below_the_velocity_are_the_onsets_along_the_horizon(tmp_path: Path):
    speed, onset, nearness = figures(study(tmp_path, runs("fast", "lazy")))["velocity"].axes
    marks = [line for line in speed.lines if line.get_linestyle() == "--"]
    assert [list(np.asarray(line.get_xdata())) for line in marks] == [[1, 1]], "what does not move has none"
    np.testing.assert_array_equal(lines(onset)["fast"], [[0.5, np.nan], [1, 0.5], [4, 1]])
    np.testing.assert_array_equal(lines(nearness)["fast"], [[0.5, 0.5], [1, 1], [4, 4]])


def test_records_of_earlier_versions_have_the_velocity_alone(tmp_path: Path):
    of = study(tmp_path, runs("fast"))
    old = [
        Panel(p.cell, p.label, p.analysis, p.record, {k: v for k, v in p.series.items() if "horizon" not in k})
        for p in of.panels
    ]
    (axes,) = figures(PlottedAnalysis(of.spec, of.analysis, of.kind, tuple(old), of.planned))["velocity"].axes
    assert len(axes.lines) == 1


def test_polar_curves_of_whole_top_and_rest_and_of_what_does_not_move(tmp_path: Path):
    of = study(tmp_path, runs("fast", "lazy"))
    moving, still = figures(of)["polar"].axes
    assert [each.get_label() for each in moving.containers] == ["top 20", "rest", "whole"]
    top = moving.containers[0].lines[0].get_xydata()  # type: ignore[attr-defined]
    expected = [np.degrees(stacked(of, "fast", "top_angle")[:, 1].mean(axis=0)), EPOCH / 4]
    np.testing.assert_allclose(top, np.stack(expected, axis=1))
    assert not moving.texts
    assert [text.get_text() for text in still.texts] == ["does not move"]


def test_accuracies_clean_and_under_the_budgets_asked_for(tmp_path: Path):
    of = study(tmp_path, runs("fast", "slow"))
    clean, robust = figures(of, "8/255")["accuracy"].axes
    np.testing.assert_allclose(lines(clean)["slow"][:, 1], stacked(of, "slow", "test_clean").mean(axis=0) / 200)
    np.testing.assert_allclose(lines(robust)["slow"][:, 1], stacked(of, "slow", "test_robust")[:, 1].mean(axis=0) / 200)
    assert len(figures(of, "2/255", "8/255")["accuracy"].axes) == 3
    assert of.chosen([]) == ("8/255",)


def test_a_cell_without_all_its_seeds_is_not_drawn(tmp_path: Path):
    every = runs("fast", "slow")
    of = study(tmp_path, every, every[:-1])
    assert set(lines(figures(of)["weights"].axes[0])) == {"fast"}
    assert list(drift.pictures(study(tmp_path, every, every[:2]), [])) == []


def test_one_seed_has_no_interval_and_the_caption_says_how_many(tmp_path: Path):
    of = study(tmp_path, runs("fast", "slow", seeds=1))
    pictures = list(drift.pictures(of, []))
    assert all("n = 1 seed. Spec synthetic, analysis drift" in picture.caption for picture in pictures)
    (axes,) = next(picture.figure for picture in pictures if picture.name == "weights-").axes
    for band in axes.collections:
        heights = np.asarray(band.get_paths()[0].vertices)[:, 1]
        assert set(heights) <= set(np.concatenate([line[:, 1] for line in lines(axes).values()]))


@pytest.mark.slow
def test_many_cells_have_pictures_of_their_own(tmp_path: Path):
    names = figures(study(tmp_path, runs(*"abcdefg", seeds=1)))
    assert len(names) == 7 * 8
    assert "distance-g" in names
