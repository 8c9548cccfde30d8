"""The pictures show the counts of the series, and nothing else."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from ntkbench.results.plots import eigenspace, style
from ntkbench.results.plots.study import PlottedAnalysis
from tests.examples.findings import depths, studies


@pytest.fixture
def study(tmp_path: Path) -> PlottedAnalysis:
    return studies(tmp_path, depths(1, 2))["eigen"]


def figures(study: PlottedAnalysis) -> dict[str, Figure]:
    return {picture.name.split("-")[0]: picture.figure for picture in eigenspace.pictures(study, ["8/255"])}


def drawn(axes: Axes, color: str) -> np.ndarray:
    """Points with bars of one color, (points, 2)."""
    (container,) = [each for each in axes.containers if to_hex(_line(each).get_color()) == color.lower()]
    return np.asarray(_line(container).get_xydata())


def _line(container):
    assert isinstance(container, ErrorbarContainer)
    return container.lines[0]


def test_usefulness_and_robustness_by_index(study: PlottedAnalysis):
    for panel, axes in zip(study.panels, figures(study)["index"].axes, strict=True):
        assert axes.get_title() == panel.label
        for color, counts in ((style.CLEAN, panel["feature_clean"]), (style.ROBUST, panel["feature_robust"][1])):
            np.testing.assert_array_equal(drawn(axes, color), np.stack([panel["feature"], counts / 200], axis=1))


def test_the_scatter_has_every_feature_once_in_the_color_of_its_index(study: PlottedAnalysis):
    axes = figures(study)["scatter"].axes
    for panel, at in zip(study.panels, axes, strict=False):
        clouds = [each for each in at.collections if isinstance(each, PathCollection)]
        found = {
            (*point, index)
            for cloud in clouds
            for point, index in zip(np.asarray(cloud.get_offsets()), np.asarray(cloud.get_array()), strict=True)
        }
        parts = (panel["feature_clean"], panel["feature_robust"][1])
        assert found == set(zip(*(part / 200 for part in parts), panel["feature"], strict=True))
        useful, robust = panel["feature_useful"], panel["feature_tested_robust"][1]
        sizes = [len(np.asarray(cloud.get_offsets())) for cloud in clouds]
        assert sizes == [robust.sum(), (useful & ~robust).sum(), (~useful).sum()]


def test_cumulative_curves_leave_out_the_empty_tail_and_mark_k90(study: PlottedAnalysis):
    for panel, axes in zip(study.panels, figures(study)["cumulative"].axes, strict=True):
        k = panel["truncation"]
        assert k[-1] == len(panel["eigenvalue"])
        np.testing.assert_array_equal(
            drawn(axes, style.ROBUST), np.stack([k, panel["truncation_robust"][1] / 200], axis=1)
        )
        for color, counts in ((style.SKY, panel["tail_clean"]), (style.ORANGE, panel["tail_robust"][1])):
            np.testing.assert_array_equal(drawn(axes, color), np.stack([k, counts / 200], axis=1)[:-1])
        lines = [line.get_xydata() for line in axes.lines if to_hex(line.get_color()) == style.CLEAN.lower()]
        every = np.stack([np.arange(1, 61), panel["cumulative_clean"] / 200], axis=1)
        np.testing.assert_array_equal(lines[0], every)
        assert axes.get_title().endswith("k90 = 12")
        assert [12, 12] in [np.asarray(line.get_xdata()).tolist() for line in axes.lines]


def test_the_spectrum_flags_small_gaps(study: PlottedAnalysis):
    (axes,) = figures(study)["spectrum"].axes
    assert axes.get_yscale() == "log"
    values, rugs = axes.lines[::2], axes.lines[1::2]
    for panel, value, rug in zip(study.panels, values, rugs, strict=True):
        np.testing.assert_array_equal(value.get_ydata(), panel["eigenvalue"])
        np.testing.assert_array_equal(rug.get_xdata(), np.flatnonzero(panel["small_gap"]))
        assert value.get_label() == f"{panel.label}: 1 of 59"


def test_a_test_image_stands_beside_its_features_and_groups(study: PlottedAnalysis):
    """Six in a line: the image, three features, two groups; two test images of each of two kernels."""
    titles = [axes.get_title() for axes in figures(study)["features"].axes]
    for start in range(0, len(titles), 6):
        assert titles[start].splitlines()[-1] == f"test {start // 6 % 2}"
        assert titles[start + 1 : start + 6] == ["i = 0", "i = 1", "i = 2", "0–29", "30–59"]
    assert len(titles) == 4 * 6


def test_captions_say_whose_results_these_are_and_how_many_points(study: PlottedAnalysis):
    pictures = list(eigenspace.pictures(study, study.budgets))
    for picture in pictures:
        for panel in study.panels:
            assert f"{panel.label}: {panel.record.run_id}" in picture.caption
        if "eps" in picture.name:
            assert "n = 200 test points, Wilson 95 % intervals" in picture.caption
    assert [picture.name for picture in pictures] == [
        *(f"{name}-eps-{eps}-" for eps in ("2/255", "8/255") for name in ("scatter", "index", "cumulative")),
        "spectrum-",
        "features-",
    ]
