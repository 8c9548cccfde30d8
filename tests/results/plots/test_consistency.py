from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ntkbench.results.plots import consistency
from tests.examples import findings
from tests.examples.findings import AGAINST, depths, studies


@pytest.mark.parametrize(("place", "name"), [(0, "overlap"), (1, "angle")])
def test_maps_have_a_row_a_cell_and_a_column_a_kernel(place: int, name: str, tmp_path: Path):
    study = studies(tmp_path, depths(1, 2, seeds=(0, 1)))["agree"]
    figure = list(consistency.pictures(study, ()))[place].figure
    seeds = list(zip(study.panels[::2], study.panels[1::2], strict=True))
    cells = [replace(a, series={key: (a[key] + b[key]) / 2 for key in a.series}) for a, b in seeds]
    for k, axes in enumerate(figure.axes[:4]):
        assert axes.get_title() == f"top {study.panels[0]['top'][k]}"
        values = np.stack([[*panel[name][:, k], panel[f"linear_{name}"][0, k]] for panel in cells])
        np.testing.assert_array_equal(np.ma.filled(np.asanyarray(axes.images[0].get_array()), np.nan), values)
        assert len(axes.texts) == np.isfinite(values).sum()
        assert np.isnan(values).any() == (k == 3), "the linear kernel has no twenty dimensions"
    assert [text.get_text() for text in figure.axes[3].get_xticklabels()] == [*AGAINST, "linear"]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [panel.cell for panel in cells]


def test_records_of_earlier_versions_have_no_linear_kernel(tmp_path: Path):
    series = findings.consistency(np.random.default_rng(0))
    old = {name: values for name, values in series.items() if not name.startswith("linear")}
    figure = next(consistency.pictures(studies(tmp_path, depths(1), agree=old)["agree"], ())).figure
    assert [text.get_text() for text in figure.axes[3].get_xticklabels()] == list(AGAINST)


def test_cosines_by_index(tmp_path: Path):
    study = studies(tmp_path, depths(1, 2))["agree"]
    (picture,) = [each for each in consistency.pictures(study, ()) if each.name.startswith("gradients")]
    for panel, axes in zip(study.panels, picture.figure.axes, strict=True):
        for line, cosine in zip(axes.lines, panel["gradient_cosine"], strict=True):
            np.testing.assert_array_equal(line.get_xydata(), np.stack([panel["feature"], cosine], axis=1))


def test_cells_with_other_sizes_have_a_map_of_their_own(tmp_path: Path):
    few, many = (findings.consistency(np.random.default_rng(0), top=top) for top in ((1, 5), (1, 5, 10)))
    studies(tmp_path, depths(1), agree=few)
    study = studies(tmp_path, depths(2), agree=many)["agree"]
    names = [picture.name for picture in consistency.pictures(study, ())]
    assert names == [f"{what}-depth {d}" for d in (1, 2) for what in ("overlap", "angle", "gradients")]
