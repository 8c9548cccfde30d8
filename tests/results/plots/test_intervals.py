import numpy as np
import pytest
from matplotlib.figure import Figure

from ntkbench.results.plots.intervals import DENSE, points, shares
from ntkbench.uncertainty import wilson


def test_intervals_are_those_of_the_records():
    counts = np.array([[0, 3], [7, 20]])
    found = shares(counts, 20)
    for place, k in np.ndenumerate(counts):
        assert found.value[place] == k / 20
        assert (found.low[place], found.high[place]) == wilson(int(k), 20)
    assert found.bars.shape == (2, 2, 2)
    assert found.bars[:, 0, 0] == pytest.approx([0, wilson(0, 20)[1]])


@pytest.mark.parametrize(("number", "bars", "bands"), [(DENSE - 1, 1, 0), (DENSE, 0, 1)])
def test_many_points_have_a_band(number: int, bars: int, bands: int):
    axes = Figure().subplots()
    points(axes, np.arange(number), shares(np.full(number, 5), 20), color="k")
    assert (len(axes.containers), len(axes.collections) - len(axes.containers)) == (bars, bands)
    assert len(axes.lines) == 1
