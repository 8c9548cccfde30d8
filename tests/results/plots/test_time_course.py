from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

from ntkbench.results.plots import style, time_course
from ntkbench.results.plots.axes import places
from tests.examples import findings
from tests.examples.findings import depths, studies


@pytest.mark.parametrize(("place", "along"), [(0, "time"), (1, "ridge")])
def test_clean_and_robust_curves(place: int, along: str, tmp_path: Path):
    study = studies(tmp_path, depths(1, 2))["time"]
    picture = list(time_course.pictures(study, ["2/255"]))[place]
    for panel, axes in zip(study.panels, picture.figure.axes, strict=True):
        x = places(panel[along], panel[along])
        for color, counts in ((style.CLEAN, panel[f"{along}_clean"]), (style.ROBUST, panel[f"{along}_robust"][0])):
            (line,) = [line for line in axes.lines if to_hex(line.get_color()) == color.lower()]
            np.testing.assert_array_equal(line.get_xydata(), np.stack([x, counts / 200], axis=1))
        ticks = axes.lines[-1].get_xdata()
        np.testing.assert_array_equal(ticks, 1 / panel["eigenvalue"] if along == "time" else panel["eigenvalue"])
        assert np.isfinite(axes.get_xlim()).all()
    assert "n = 200 test points" in picture.caption


def test_infinity_has_one_place_for_all_panels(tmp_path: Path):
    one, two = (findings.time(np.random.default_rng(0), n=n) for n in (20, 60))
    studies(tmp_path, depths(1), time=one)
    study = studies(tmp_path, depths(2), time=two)["time"]
    flow, _ = time_course.pictures(study, ["8/255"])
    ends = {float(np.max(axes.lines[0].get_xdata())) for axes in flow.figure.axes}
    assert len(ends) == 1
