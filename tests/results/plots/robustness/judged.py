"""Records of kernels that were judged under attacks, with counts that were chosen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from ntkbench.analyses.measurement import Scalar
from ntkbench.plan.runs import Run
from ntkbench.results.plots import plot
from ntkbench.results.plots.study import PlottedAnalysis
from ntkbench.run import recording
from ntkbench.store import record
from tests.examples.factory import a_record, valid

N = 200
Counts = Mapping[str, int]
"""how many of `N` test points are right, by budget"""


def study(
    folder: Path,
    runs: Sequence[Run],
    under: Mapping[str, tuple[Mapping[str, Any], Counts]],
    clean: int = 180,
    certified: Counts | None = None,
    planned: Sequence[Run] | None = None,
) -> PlottedAnalysis:
    """The analysis `robust` of runs; each seed has one test point less right.

    `under`: for each attack the fields that its budgets do not tell, and the counts under it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for run in runs:
        about: dict[str, str] = {"target": "limit"}
        rows = [("robust", Scalar.share("accuracy", clean - run.seed, N, about))]
        for attack, (_, counts) in under.items():
            for eps, k in counts.items():
                scalar = Scalar.share("robust_accuracy", k - run.seed, N, about | {"attack": attack, "eps": eps})
                rows.append(("robust", scalar))
        for eps, k in (certified or {}).items():
            for bound, less in (("best", 0), ("rkhs", 9)):
                scalar = Scalar.share("certified_accuracy", max(0, k - less), N, about | {"eps": eps, "bound": bound})
                rows.append(("sure", scalar))
        rows.append(("robust", Scalar.share("majority_rate", 110, N, {})))
        written = a_record(run, metrics=[recording.metric_row(*row).model_dump() for row in rows])
        attacks = {
            name: {"kind": "pgd", "norm": "linf", **fields, "eps": list(counts)}
            for name, (fields, counts) in under.items()
            if name != "worst"
        }
        analyses: dict[str, Any] = {"robust": {"kind": "accuracy", "target": "limit", "attacks": list(attacks)}}
        if certified:
            analyses["sure"] = {"kind": "certificate", "target": "limit", "eps": list(certified), "norm": "linf"}
        written["spec"]["resolved"] |= {"attacks": attacks, "analyses": analyses}
        record.write(valid(written), folder / f"{run.id}.json")
    found = tuple((record.read(folder / f"{run.id}.json"), run.coordinates) for run in runs)
    (made,) = plot.plotted_analyses([plot.DrawnRecords("synthetic", found, planned)], folder, ["robust"])
    return made


def ends(axes: Axes) -> np.ndarray:
    """The ends of the intervals of the first line, (points, 2)."""
    bars: Any = axes.containers[0]
    return np.array(bars[2][0].get_segments())[:, :, 1]


def legend(axes: Axes) -> list[str]:
    """The names in the legend of an axes."""
    found = axes.get_legend()
    return [text.get_text() for text in found.get_texts()] if found else []


def lines(axes: Axes) -> dict[str, np.ndarray]:
    """The points (x, y) of each line with bars, by its color."""
    found = {}
    for container in axes.containers:
        line: Any = container[0]
        found[to_hex(line.get_color())] = np.asarray(line.get_xydata())
    return found
