from pathlib import Path

import numpy as np

from ntkbench.analyses.measurement import Scalar
from ntkbench.results.plots import plot
from ntkbench.results.plots.robustness import label_flips
from ntkbench.run import recording
from ntkbench.store import arrays, record
from tests.examples.factory import a_record, valid
from tests.examples.findings import depths
from tests.results.plots.robustness.judged import legend, lines


def test_a_line_for_each_cell_from_no_flip_on(tmp_path: Path):
    runs = depths(1, 2)
    series = {"flips": np.array([1, 5, 20]), "certified": np.array([150, 90, 3]), "n_test": np.array(200)}
    for run in runs:
        scalars = [Scalar.share("accuracy", 170, 200, {}), Scalar.share("majority_rate", 100, 200, {})]
        rows = [recording.metric_row("labels", scalar).model_dump() for scalar in scalars]
        _, notes = arrays.write(tmp_path / f"{run.id}.npz", {}, {f"labels.{name}": v for name, v in series.items()})
        written = a_record(run, metrics=rows, series=notes)
        written["spec"]["resolved"] |= {"analyses": {"labels": {"kind": "label_flips", "target": "limit"}}}
        record.write(valid(written), tmp_path / f"{run.id}.json")
    found = tuple((record.read(tmp_path / f"{run.id}.json"), run.coordinates) for run in runs)
    (study,) = plot.plotted_analyses([plot.DrawnRecords("synthetic", found)], tmp_path)
    (picture,) = label_flips.pictures(study, [])
    (axes,) = picture.figure.axes
    assert legend(axes) == ["depth 1", "depth 2"]
    for drawn in lines(axes).values():
        assert drawn.tolist() == [[0, 0.85], [1, 0.75], [5, 0.45], [20, 0.015]]
    assert "n = 200 test points" in picture.caption
    assert all(run.id in picture.caption for run in runs)
