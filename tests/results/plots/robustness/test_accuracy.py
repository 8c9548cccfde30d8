from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ntkbench.results.plots import intervals, style
from ntkbench.results.plots.robustness import accuracy
from ntkbench.uncertainty import from_counts, interval, summary, wilson
from tests.examples.findings import depths
from tests.results.plots.robustness.judged import N, ends, legend, lines, study

PGD = {"pgd": ({}, {"2/255": 150, "8/255": 20})}
SEVERAL = {
    **PGD,
    "apgd": ({"kind": "apgd"}, {"2/255": 145, "8/255": 30}),
    "noise": ({"kind": "random_sign"}, {"2/255": 178, "8/255": 170}),
    "worst": ({}, {"2/255": 144, "8/255": 15}),
}
X = [0, 2 / 255, 8 / 255]


def test_one_attack_compares_cells_with_intervals_over_test_points(tmp_path: Path):
    (picture,) = accuracy.pictures(study(tmp_path, depths(1, 2), PGD), [])
    (axes,) = picture.figure.axes
    assert list(lines(axes)) == [style.BLUE.lower(), style.VERMILLION.lower()]
    for drawn in lines(axes).values():
        np.testing.assert_allclose(drawn, np.transpose([X, [0.9, 0.75, 0.1]]))
    np.testing.assert_allclose(ends(axes), [wilson(k, N) for k in (180, 150, 20)])
    assert legend(axes) == ["depth 1", "depth 2"]
    assert [np.asarray(line.get_ydata())[0] for line in axes.lines if line.get_linestyle() == "--"] == [110 / N]
    assert "Wilson's 95 % intervals over n = 200 test points" in picture.caption


def test_several_seeds_are_means_with_intervals_inside_of_shares(tmp_path: Path):
    (picture,) = accuracy.pictures(study(tmp_path, depths(1, seeds=(0, 1, 2)), PGD, clean=200), [])
    (axes,) = picture.figure.axes
    of_seeds = [[(k - seed) / N for seed in range(3)] for k in (200, 150, 20)]
    (drawn,) = lines(axes).values()
    np.testing.assert_allclose(drawn[:, 1], [np.mean(each) for each in of_seeds])
    over_both = [interval(from_counts([k, k - 1, k - 2], [N] * 3)) for k in (200, 150, 20)]
    np.testing.assert_allclose(ends(axes), over_both)
    over_seeds = [summary(each, (0.0, 1.0)).interval or () for each in of_seeds]
    assert np.all(np.diff(ends(axes)) > np.diff(over_seeds)), "test points are drawn, too"
    assert ends(axes).max() <= 1
    assert "Means over 3 seeds" in picture.caption


def test_seeds_that_agree_have_the_interval_of_their_test_points():
    found = intervals.over_seeds(np.array([[24, 0, N]] * 3), N)
    np.testing.assert_allclose(np.transpose([found.low, found.high]), [wilson(k, N) for k in (24, 0, N)], atol=1e-15)


def test_a_cell_that_lacks_a_seed_is_not_drawn(tmp_path: Path):
    runs = depths(1, 2, seeds=(0, 1))
    (picture,) = accuracy.pictures(study(tmp_path, runs[:3], PGD, planned=runs), [])
    (axes,) = picture.figure.axes
    assert len(lines(axes)) == 1
    assert runs[2].id not in picture.caption
    assert not list(accuracy.pictures(study(tmp_path / "none", runs[:1], PGD, planned=runs), []))


def test_several_attacks_are_lines_of_an_axes_for_each_cell(tmp_path: Path):
    (picture,) = accuracy.pictures(study(tmp_path, depths(1, 2), SEVERAL), [])
    assert [axes.get_title() for axes in picture.figure.axes] == ["depth 1", "depth 2"]
    for axes in picture.figure.axes:
        found = lines(axes)
        assert list(found) == [each.lower() for each in (style.BLUE, style.VERMILLION, style.GRAY, style.BLACK)]
        assert found[style.GRAY.lower()][:, 1].tolist() == [0.9, 0.89, 0.85]
        assert found[style.BLACK][:, 1].tolist() == [0.9, 0.72, 0.075]
    assert [text.get_text() for text in picture.figure.legends[0].get_texts()] == ["pgd", "apgd", "noise", "worst"]


@pytest.mark.parametrize(("cells", "attacks"), [(depths(1, 2), SEVERAL), (depths(*range(1, 7)), PGD)])
def test_lines_stand_beside_one_another_and_inside_of_their_axes(cells: list, attacks: dict, tmp_path: Path):
    (picture,) = accuracy.pictures(study(tmp_path, cells, attacks), [])
    picture.figure.draw_without_rendering()
    for axes in picture.figure.axes:
        left = [pixels(container[0])[:, 0] for container in axes.containers]
        assert all(axes.bbox.x0 < x.min() < x.max() < axes.bbox.x1 for x in left)
        np.testing.assert_allclose(np.diff(left, axis=0), 0.02 * picture.figure.dpi)


def pixels(line: Any) -> np.ndarray:
    """Where the points of a line are in the picture."""
    return line.get_transform().transform(line.get_xydata())


def test_what_is_certified_stands_below_and_the_gap_to_the_strongest_attack_is_shaded(tmp_path: Path):
    of = study(tmp_path, depths(1, 2), SEVERAL, certified={"1/255": 160, "2/255": 100, "8/255": 0})
    (picture,) = accuracy.pictures(of, [])
    for axes in picture.figure.axes:
        dashed = [bar for bar in axes.containers if bar[0].get_linestyle() == "--"]
        (certified,) = [np.asarray(bar[0].get_xydata()) for bar in dashed]
        np.testing.assert_allclose(certified[:, 1], [0.9, 0.8, 0.5, 0])
        (gap,) = [part for part in axes.collections if part.get_alpha() == 0.25]
        corners = {(round(x * 255), round(y, 4)) for x, y in np.asarray(gap.get_paths()[0].vertices)}
        assert corners == {(0, 0.9), (1, 0.8), (1, 0.81), (2, 0.5), (2, 0.72), (8, 0), (8, 0.075)}
    assert "certified: what no attack can turn" in picture.caption
    assert [text.get_text() for text in picture.figure.legends[0].get_texts()][-2:] == ["certified", "not known"]


def test_norms_have_a_picture_each(tmp_path: Path):
    two = {**PGD, "ball": ({"norm": "l2"}, {"1/2": 100, "1": 50})}
    linf, l2 = accuracy.pictures(study(tmp_path, depths(1), two), [])
    assert (linf.name, l2.name) == ("curve-linf", "curve-l2")
    assert "ℓ2 budget ε under ball (pgd)" in l2.caption
    (drawn,) = lines(l2.figure.axes[0]).values()
    assert drawn.tolist() == [[0, 0.9], [0.5, 0.5], [1, 0.25]]


@pytest.mark.parametrize("cells", [7])
def test_many_lines_share_the_colors_in_several_axes(cells: int, tmp_path: Path):
    (picture,) = accuracy.pictures(study(tmp_path, depths(*range(1, cells + 1)), PGD), [])
    assert [len(lines(axes)) for axes in picture.figure.axes] == [6, 1]
    several = accuracy.pictures(study(tmp_path / "b", depths(*range(1, cells + 1)), SEVERAL), [])
    assert [picture.name for picture in several] == [f"curve-depth {n}" for n in range(1, cells + 1)]
