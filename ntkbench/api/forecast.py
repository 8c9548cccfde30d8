"""Show what running a spec would do, as a table of its cells with estimated time and memory.

plan(spec, store="runs").frame
"""

from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path

import pandas as pd

from ntkbench.api import display
from ntkbench.api.experiment import Labels, Source, load, part
from ntkbench.plan import runs
from ntkbench.results.frame import with_numbers
from ntkbench.status.forecast import Forecast, forecast
from ntkbench.store.store import Store


@dataclass(frozen=True)
class PlannedRuns:
    """The runs of a spec beside a store: what is done, and what the rest would take on two CPU cores."""

    planned: runs.Plan
    store: Store

    @cached_property
    def forecast(self) -> Forecast:
        """The cells, and the lines about all of them."""
        return forecast(self.planned, self.store)

    @property
    def frame(self) -> "pd.DataFrame":
        """A row for each cell: its labels, `runs`, `done`, `seconds` and `bytes` if it ran alone, `first_run`."""
        rows = [
            {
                **cell.labels,
                "runs": cell.runs,
                "done": cell.done,
                "seconds": cell.seconds,
                "bytes": cell.bytes,
                "first_run": cell.first,
            }
            for cell in self.forecast.cells
        ]
        return with_numbers(pd.DataFrame(rows))

    def __repr__(self) -> str:
        return str(self.forecast)

    def _repr_html_(self) -> str:
        found = self.forecast
        return display.table(found.headers, found.rows) + display.table((), found.lines)


def plan(spec: Source, store: str | PathLike[str] = "runs", where: Labels | None = None) -> PlannedRuns:
    """Return what `run` would do; nothing is executed, and JAX is not loaded.

    Args:
        spec: what `load` returns or takes.
        store: the folder of records and cached stages.
        where: only these cells of the matrix, such as `{"width": [64, 512]}`.
    """
    return PlannedRuns(part(load(spec).planned, where), Store(Path(store)))
