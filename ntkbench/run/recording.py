"""Turn what a run measured into the sections of its record."""

import datetime
import time
import traceback
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from ntkbench.analyses.measurement import Measurement, Scalar
from ntkbench.files import writing
from ntkbench.plan.runs import Run
from ntkbench.run.group import TrainedGroup
from ntkbench.run.shared import SharedStages
from ntkbench.store import arrays
from ntkbench.store.record import Status
from ntkbench.store.store import Store
from ntkbench.uncertainty import student_interval, wilson
from ntkbench.vocabulary import metric


class Stopwatch:
    """Measures the time since it was made; its end follows from its begin, since a system's clock may jump."""

    def __init__(self) -> None:
        self._at, self._began = datetime.datetime.now(datetime.UTC), time.perf_counter()

    @property
    def seconds(self) -> float:
        """Return the seconds that have passed."""
        return time.perf_counter() - self._began

    @property
    def time(self) -> dict[str, str]:
        """Return begin and end until now, in UTC, as the section `time` of a record."""
        return {"started": _instant(self._at), "ended": _instant(self._at + datetime.timedelta(seconds=self.seconds))}


def results_of(
    store: Store, run: Run, measured: dict[str, Measurement], group: TrainedGroup | None, shared: SharedStages
) -> dict[str, Any]:
    """Write the arrays of a run's measurements, and return the sections of its record that hold what was measured."""
    samples = {f"{name}.{column}": values for name, m in measured.items() for column, values in m.samples.items()}
    series = {f"{name}.{key}": values for name, m in measured.items() for key, values in m.series.items()}
    if measured:
        test = shared.data(run.cell).test
        samples = {"index": test.index, "label": test.labels, **samples}
        if group is not None and group.losses.size:
            series["training.loss"] = group.losses
    columns, files = arrays.write(store.arrays(run.id), samples, series)
    return {
        "metrics": [metric_row(name, scalar) for name, m in measured.items() for scalar in m.scalars],
        "series": files,
        "samples": columns,
        "checks": [{**asdict(check), "analysis": name} for name, m in measured.items() for check in m.checks],
        "warnings": [warning for m in measured.values() for warning in m.warnings],
    }


def append_log(path: Path, status: Status, failure: BaseException | None) -> None:
    """Append the end of a run, with the traceback of a failure, to its log."""
    trace = "" if failure is None else "".join(traceback.format_exception(failure))
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():  # in a copied store, a link could lead to any of the user's files
            path.unlink()
        with path.open("a") as log:
            log.write(f"{_instant(datetime.datetime.now(datetime.UTC))} {status}\n{trace}")


def _instant(at: datetime.datetime) -> str:
    """Return a time as records write it, in UTC with microseconds."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


_ROUND_OFF = 1e-6
"""how far rounding may carry a value out of its metric's range; a value further out means nothing"""


def metric_row(analysis: str, scalar: Scalar) -> dict[str, Any]:
    """Return the row of a record for one number of an analysis, as JSON.

    Unit, direction and revision are the vocabulary's; the interval is over the number's test points. A number that is
    not finite, or outside its metric's range, has the value None and a `reason`.
    """
    word = metric(scalar.metric)
    value, reason = _meaningful(scalar, word.range)
    interval, method = _interval(scalar, word.range) if value is not None else (None, None)
    row = {
        "analysis": analysis,
        "metric": word.name,
        "revision": word.revision,
        "value": value,
        "k": scalar.k,
        "n": scalar.n,
        "ci95": interval and list(interval),
        "ci_method": method,
        "where": dict(scalar.where),
        "unit": word.unit,
        "higher_is_better": word.higher_is_better,
    }
    return row if value is not None else {**row, "reason": reason}


def _meaningful(scalar: Scalar, bounds: tuple[float, float]) -> tuple[float | None, str | None]:
    """Return the value, cut off at the metric's bounds, and None; or None and the reason why there is no value."""
    if scalar.value is None:
        return None, scalar.reason or "not defined"
    value = float(scalar.value)
    if not isfinite(value):
        return None, f"not finite: {value}"
    low, high = bounds
    if not low - _ROUND_OFF <= value <= high + _ROUND_OFF:
        return None, f"{value} is outside of [{low}, {high}]"
    return min(max(value, low), high), None


def _interval(scalar: Scalar, bounds: tuple[float, float]) -> tuple[tuple[float, float] | None, str | None]:
    """Return the 95 % interval over test points and its method: Wilson's of a proportion, Student's of a mean.

    Student's interval is cut off at the metric's bounds. Both are None where neither the counts nor the standard
    deviation of several points are known.
    """
    if scalar.k is not None and scalar.n:
        return wilson(scalar.k, scalar.n), "wilson"
    if scalar.sd is not None and scalar.value is not None and scalar.n is not None and scalar.n > 1:
        low, high = student_interval(scalar.value, scalar.sd, scalar.n)
        return (max(low, bounds[0]), min(high, bounds[1])), "t"
    return None, None
