"""Keep what a run measured, or what ended it: its arrays, its record and its log.

kept = keep(job, run, RunEnd(watch, shared, measured))
"""

import datetime
import time
import traceback
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from ntkbench.analyses.measurement import Measurement, Scalar
from ntkbench.documents import explained
from ntkbench.files import writing
from ntkbench.plan.runs import Run
from ntkbench.run import environment
from ntkbench.run.group import TrainedGroup
from ntkbench.run.job import Job
from ntkbench.run.shared import SharedStages
from ntkbench.spec import identity
from ntkbench.spec.extensions import metric
from ntkbench.store import arrays, record
from ntkbench.store.lookup import attempts
from ntkbench.store.record import CheckRow, Failure, MetricRow, Record, Request, StageRow, Status, Time
from ntkbench.uncertainty import student_interval, wilson
from ntkbench.vocabulary import Metric


class Stopwatch:
    """Measures the time since it was made; its end follows from its begin, since a system's clock may jump."""

    def __init__(self) -> None:
        self._at, self._began = datetime.datetime.now(datetime.UTC), time.perf_counter()

    @property
    def seconds(self) -> float:
        """Return the seconds that have passed."""
        return time.perf_counter() - self._began

    @property
    def time(self) -> Time:
        """Return begin and end until now, in UTC, as the section `time` of a record."""
        ended = self._at + datetime.timedelta(seconds=self.seconds)
        return Time(started=_instant(self._at), ended=_instant(ended))


@dataclass(frozen=True)
class RunEnd:
    """State how a run ended, and with what it was done."""

    watch: Stopwatch
    """begun with the run"""
    shared: SharedStages
    measured: Mapping[str, Measurement] = field(default_factory=dict)
    """what was measured, by the id of the analysis; empty for a run that failed"""
    failure: BaseException | None = None
    """what stopped the run; None if it is ok"""
    group: TrainedGroup | None = None
    """the networks of its seed; None if the cell has none, or their training failed"""
    stages: Mapping[str, StageRow] = field(default_factory=dict)
    """the parts of the run and the seconds that they took, by name"""


def keep(job: Job, run: Run, end: RunEnd) -> Record:
    """Write the arrays, the record and the log of a run that has ended, and return the record.

    Raises:
        NtkbenchError: if a record cannot hold what was measured; the message names the field.
        StorageError: if the store cannot be written.
    """
    store, seconds, measured = job.store, end.watch.seconds, end.measured.items()
    path = store.record(run.id)
    with explained(path):
        samples, series = arrays.write(store.arrays(run.id), *_arrays(run, end))
        kept = Record(
            schema="ntkbench.record/1",
            run_id=run.id,
            status=environment.status_of(end.failure),
            attempt=attempts(store, run) + 1,
            spec=Request(
                name=run.name, cell=dict(run.coordinates), seed=run.seed, resolved=identity.resolved(run.cell)
            ),
            metrics=tuple(
                metric_row(analysis, scalar, m.undeclared) for analysis, m in measured for scalar in m.scalars
            ),
            series=series,
            samples=samples,
            checks=tuple(
                CheckRow(code=check.code, ok=check.ok, analysis=analysis, detail=dict(check.detail))
                for analysis, m in measured
                for check in m.checks
            ),
            stages=dict(end.stages),
            software=environment.software(),
            jax=environment.jax_settings(),
            device=environment.device(),
            execution=_execution(job, end),
            resources=environment.resources(seconds),
            time=end.watch.time,
            warnings=tuple(warning for _, m in measured for warning in m.warnings),
            error=_error(end.failure),
        )
    record.write(kept, path)
    _append_log(store.log(run.id), kept.status, end.failure)
    return kept


def _arrays(run: Run, end: RunEnd) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the samples and the series of a run by their names in its record, which begin with the analysis."""
    if not end.measured:
        return {}, {}
    test = end.shared.data(run.cell).test
    samples, series = {"index": test.index, "label": test.labels}, {}
    for analysis, found in end.measured.items():
        samples |= {arrays.column(analysis, name): values for name, values in found.samples.items()}
        series |= {arrays.column(analysis, name): values for name, values in found.series.items()}
    if end.group is not None and end.group.losses.size:
        series["training.loss"] = end.group.losses
    return samples, series


def _execution(job: Job, end: RunEnd) -> dict[str, Any]:
    """Return the section `execution` of a record: options, the size of a tile, the seeds that trained together."""
    return {
        "executor": job.options.executor,
        **job.run.model_dump(mode="json"),
        "tile_bytes": end.shared.tile_bytes,
        "smoke": job.options.smoke,
        "overrides": list(job.options.overrides),
        "trained_together": [] if end.group is None else end.group.facts.get("seeds", []),
    }


def _error(failure: BaseException | None) -> Failure | None:
    if failure is None:
        return None
    return Failure(type=type(failure).__name__, message=environment.message(failure))


def _append_log(path: Path, status: Status, failure: BaseException | None) -> None:
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
_UNDECLARED = Metric("undeclared", "undeclared", "a number of which nothing is known")
"""stands for a metric that neither ntkbench nor an installed package declares"""


def metric_row(analysis: str, scalar: Scalar, undeclared: Collection[str] = ()) -> MetricRow:
    """Return the row of a record for one number of an analysis.

    Unit, direction and revision are the metric's; the interval is over the number's test points. A number that is
    not finite, or outside its metric's range, has the value None and a `reason`. A metric among
    `undeclared` has any range, and revision 0. UsageError for another metric that is not known, NtkbenchError where no
    record can hold what the analysis says of the number.
    """
    known = scalar.metric not in undeclared
    word = metric(scalar.metric) if known else _UNDECLARED
    value, reason = _meaningful(scalar, word.range)
    interval, method = _interval(scalar, word.range) if value is not None else (None, None)
    with explained(f"analyses.{analysis}: {scalar.metric}"):
        return MetricRow(
            analysis=analysis,
            metric=scalar.metric,
            revision=word.revision if known else 0,
            value=value,
            k=scalar.k,
            n=scalar.n,
            ci95=interval,
            ci_method=method,
            where=dict(scalar.where),
            unit=word.unit,
            higher_is_better=word.higher_is_better,
            reason=reason,
        )


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
