"""Say what is logged of a finished run, in the words that all trackers have: parameters, curves, numbers, texts.

log = run_log(run, record, store.records)
log.scalars["transfer_rate/transfer/attack=ntk eps=8/255"]
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from pathlib import Path

from ntkbench.labels import OF_RUN
from ntkbench.plan.runs import Run, label
from ntkbench.store import arrays
from ntkbench.store.record import MetricRow, Record

_LOSS = "training.loss"
"""series of a record with the mean loss of each epoch"""


@dataclass(frozen=True)
class RunLog:
    """The log of one run, for any tool. Names are texts of any kind; their part before the first `/` groups them."""

    id: str
    """id of the run"""
    spec: str
    """name of the spec"""
    title: str
    """labels of the cell and seed, in one line"""
    params: Mapping[str, str | int | float]
    """id, spec and seed, and the label of the cell on each axis of the matrix"""
    curves: Mapping[str, tuple[float, ...]]
    """a value for each epoch, the first of which is epoch 1"""
    scalars: Mapping[str, float]
    """the values of the record's metrics"""
    texts: Mapping[str, tuple[str, ...]]
    """lines about checks that failed, and about metrics that have no value"""
    began: datetime
    ended: datetime


def run_log(run: Run, record: Record, folder: Path) -> RunLog:
    """Return what is logged of a run that is done.

    Args:
        run: the run, for its title.
        record: its record.
        folder: the folder of the record, in which its arrays lie.

    Raises:
        NtkbenchError: the arrays of the record are gone or damaged.
    """
    losses = arrays.read_series(folder, record, _LOSS).tolist() if _LOSS in record.series else ()
    undefined = tuple(f"{_name(row)}: {row.reason or 'not defined'}" for row in record.metrics if row.value is None)
    failed = tuple(
        f"{check.code} ({check.analysis or 'all analyses'}): {dict(check.detail)}"
        for check in record.checks
        if not check.ok
    )
    texts = {"failed checks": failed, "numbers without a value": undefined}
    return RunLog(
        id=record.run_id,
        spec=record.spec.name,
        title=label(run),
        params=_params(record),
        curves={"training/loss": tuple(losses)} if losses else {},
        scalars={_name(row): row.value for row in record.metrics if row.value is not None},
        texts={title: lines for title, lines in texts.items() if lines},
        began=datetime.fromisoformat(record.time.started),
        ended=datetime.fromisoformat(record.time.ended),
    )


def _name(row: MetricRow) -> str:
    """Return the name of a number, such as `transfer_rate/transfer attack=ntk eps=8/255`: metric, analysis, labels."""
    return " ".join([f"{row.metric}/{row.analysis}", *(f"{axis}={value}" for axis, value in row.where.items())])


def _params(record: Record) -> dict[str, str | int | float]:
    """Return the parameters of a run; an axis with the name of another parameter is called `cell.NAME`, as in
    tables."""
    axes = {f"cell.{axis}" if axis in OF_RUN else axis: _typed(text) for axis, text in record.spec.cell.items()}
    return {"run_id": record.run_id, "spec": record.spec.name, "seed": record.spec.seed, **axes}


def _typed(text: str) -> str | int | float:
    """Return a label that is a decimal number as this number, so that trackers can order by it; others as they are."""
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if isfinite(number) else text
    return text
