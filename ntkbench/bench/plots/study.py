"""What is drawn: one analysis in the runs of one spec."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ntkbench.bench.labels import as_number
from ntkbench.bench.plan import Run
from ntkbench.bench.record import Record
from ntkbench.data.catalog import CATALOG
from ntkbench.errors import NtkbenchError, UsageError

MOST = 6
"""panels of one picture"""
_SYNTHETIC = (-1, 1)
"""classes of a set that is not in the catalog"""


def asked(record: Record) -> Mapping[str, Any]:
    """The whole cell of a run, as plain values."""
    return record.spec.resolved


@dataclass(frozen=True)
class Panel:
    """One run: its label, what was asked of it, and the series of the analysis."""

    cell: str
    label: str
    """of the cell, and of the seed where there are several"""
    analysis: str
    record: Record
    series: Mapping[str, np.ndarray]

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.series:
            raise NtkbenchError(
                f"run {self.record.run_id} has no series {self.analysis}.{name}: it was made by another version; "
                "run its spec again in a new store"
            )
        return self.series[name]

    @property
    def asked(self) -> Mapping[str, Any]:
        """The analysis, as the record keeps it."""
        return asked(self.record)["analyses"][self.analysis]

    @property
    def attack(self) -> Mapping[str, Any]:
        """The attack of the analysis; empty where it has none."""
        return asked(self.record)["attacks"].get(self.asked.get("attack"), {})

    @property
    def budgets(self) -> tuple[str, ...]:
        return tuple(self.attack.get("eps", ()))

    def at(self, eps: str) -> int:
        """The place of a budget along the axis of budgets."""
        return int(np.argmin(np.abs(self["eps"] - (as_number(eps) or 0.0))))

    def number(self, metric: str) -> float | None:
        """A metric of which the analysis has one."""
        return next(
            (row.value for row in self.record.metrics if row.analysis == self.analysis and row.metric == metric), None
        )

    @property
    def n_test(self) -> int:
        return int(self["n_test"])

    @property
    def chance(self) -> float:
        """Of guessing: 1 / number of classes."""
        data = asked(self.record)["data"]
        every = CATALOG.get(data["dataset"].get("name"))
        return 1 / len(data["classes"] or (every.classes if every else _SYNTHETIC))

    @property
    def majority(self) -> float:
        """Of always naming the largest class."""
        return int(self["majority"]) / self.n_test


@dataclass(frozen=True)
class Study:
    """One analysis in the ok runs of a spec. `planned`: all the runs there should be, if that is known."""

    spec: str
    analysis: str
    kind: str
    panels: tuple[Panel, ...]
    planned: Sequence[Run] | None

    @property
    def budgets(self) -> tuple[str, ...]:
        """Those of every run, in rising order."""
        first, *others = self.panels
        there = (eps for eps in first.budgets if all(eps in other.budgets for other in others))
        return tuple(sorted(there, key=lambda eps: as_number(eps) or 0.0))

    def chosen(self, asked: Sequence[str]) -> tuple[str, ...]:
        """The budgets to draw: those asked for, or the largest."""
        if not asked:
            return self.budgets[-1:]
        same = {as_number(eps): eps for eps in self.budgets}
        for eps in asked:
            if same and (as_number(eps) is None or as_number(eps) not in same):
                raise UsageError(f"{self.spec}: {self.analysis} has no eps {eps}; there are {', '.join(self.budgets)}")
        return tuple(same[as_number(eps)] for eps in asked) if same else ()

    def said(self, panels: Sequence[Panel]) -> str:
        """The end of a caption: whose results these are."""
        runs = ", ".join(
            f"{panel.label}: {panel.record.run_id}" if panel.label else panel.record.run_id for panel in panels
        )
        return f"Spec {self.spec}, analysis {self.analysis}; {runs}."


@dataclass(frozen=True)
class Picture:
    """A drawn figure, what it is called, and what it shows."""

    name: str
    figure: Figure
    caption: str


def sheets(panels: Sequence[Panel]) -> Iterator[tuple[str, tuple[Panel, ...]]]:
    """Name and panels of each picture: all of them if they are few, else those of one cell, else one."""
    if len(panels) <= MOST:
        yield "", tuple(panels)
        return
    for cell, members in groupby(panels, key=lambda panel: panel.cell):
        seeds = tuple(members)
        if len(seeds) <= MOST:
            yield cell, seeds
        else:
            yield from ((panel.label, (panel,)) for panel in seeds)


def count(panels: Sequence[Panel]) -> str:
    """How many test points: `n = 2000`."""
    counts = sorted({panel.n_test for panel in panels})
    return "n = " + ", ".join(map(str, counts))


def ball(panel: Panel, eps: str) -> str:
    """The budget as people write it."""
    norm = {"linf": "ℓ∞", "l2": "ℓ2"}[panel.attack.get("norm", "linf")]
    return f"{norm} ε = {eps}"
