"""The input of all pictures: one analysis in the runs of one spec, as `plot.studies` collects it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ntkbench.data.catalog import CATALOG
from ntkbench.errors import NtkbenchError, UsageError
from ntkbench.labels import label_key, same_label
from ntkbench.plan.runs import Run
from ntkbench.store.record import MetricRow, Record

MOST = 6
"""most panels of one picture"""
NORMS: Mapping[str, str] = MappingProxyType({"linf": "ℓ∞", "l2": "ℓ2"})
"""norms as captions have them"""
_SYNTHETIC = (-1, 1)
"""classes of a synthetic data set, which is not in the catalog"""


def asked(record: Record) -> Mapping[str, Any]:
    """Return the resolved cell of a run as plain JSON values."""
    return record.spec.resolved


@dataclass(frozen=True)
class Panel:
    """One run as a picture shows it: its labels, its record, and the arrays of one analysis.

    `panel["name"]` is a series of the analysis. A series that the record lacks raises NtkbenchError.
    """

    cell: str
    """label of the cell, the same for all its seeds"""
    label: str
    """label of the run: that of the cell, and the seed where there are several"""
    analysis: str
    """id of the analysis"""
    record: Record
    series: Mapping[str, np.ndarray]
    labels: np.ndarray | None = None
    """true class of each test point as a number from 0 on; None where it is not needed or not known"""

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.series:
            raise NtkbenchError(
                f"run {self.record.run_id} has no series {self.analysis}.{name}: it was made by another version; "
                "run its spec again in a new store"
            )
        return self.series[name]

    @property
    def asked(self) -> Mapping[str, Any]:
        """Return the fields of the analysis, as the resolved cell has them."""
        return asked(self.record)["analyses"][self.analysis]

    @property
    def attack(self) -> Mapping[str, Any]:
        """Return the fields of the attack that the analysis names; empty where it names none."""
        return asked(self.record)["attacks"].get(self.asked.get("attack"), {})

    @property
    def budgets(self) -> tuple[str, ...]:
        """Return the perturbation budgets of the attack as texts such as 8/255."""
        return tuple(self.attack.get("eps", ()))

    @property
    def turns(self) -> tuple[int, ...]:
        """Return the epochs at which a later phase of the training begins; none where it has one phase."""
        training = asked(self.record)["training"]
        if phases := training.get("phases"):
            return tuple(accumulate(phase["epochs"] for phase in phases[:-1]))
        return (training["linearize_at"],) if training.get("linearize_at") else ()

    def at(self, eps: str) -> int:
        """Return the index of a budget along the axis of budgets of the series."""
        return self.budgets.index(eps)

    def rows(self, metric: str, analysis: str | None = None, **about: str) -> Iterator[MetricRow]:
        """Yield the rows of a metric that are about these labels, such as attack="pgd".

        `analysis`: the id of another analysis of the run.
        """
        for row in self.record.metrics:
            if (row.analysis, row.metric) == (analysis or self.analysis, metric) and about.items() <= row.where.items():
                yield row

    def number(self, metric: str) -> float | None:
        """Return the value of a metric that the analysis has one row of; None without a row or a value."""
        return next(
            (row.value for row in self.record.metrics if row.analysis == self.analysis and row.metric == metric), None
        )

    @property
    def n_test(self) -> int:
        return int(self["n_test"])

    @property
    def chance(self) -> float:
        """Return the accuracy of guessing, 1 / number of classes."""
        return 1 / len(self._classes or _SYNTHETIC)

    def class_name(self, test: int) -> str:
        """Return the name of a test point's class, or its number; an empty text where it is not known."""
        if self.labels is None:
            return ""
        label, classes = int(self.labels[test]), self._classes
        return str(classes[label]) if classes else f"class {label}"

    @property
    def _classes(self) -> Sequence[Any]:
        """Return the classes in the order of their labels, by name as far as these are known; empty of other data."""
        data = asked(self.record)["data"]
        every = CATALOG.get(data["dataset"].get("name"))
        names = every.classes if every else ()
        return [names[each] if names and isinstance(each, int) else each for each in data["classes"] or ()] or names

    @property
    def majority(self) -> float:
        """Return the accuracy of always naming the largest class."""
        return int(self["majority"]) / self.n_test


@dataclass(frozen=True)
class PlottedAnalysis:
    """One analysis in all runs of a spec that are ok."""

    spec: str
    """name of the spec"""
    analysis: str
    """id of the analysis"""
    kind: str
    panels: tuple[Panel, ...]
    planned: Sequence[Run] | None
    """all runs that the spec plans; None where only records are known"""

    @property
    def budgets(self) -> tuple[str, ...]:
        """Return the budgets that every run has, in rising order."""
        first, *others = self.panels
        there = (eps for eps in first.budgets if all(eps in other.budgets for other in others))
        return tuple(sorted(there, key=label_key))

    def chosen(self, asked: Sequence[str]) -> tuple[str, ...]:
        """Return the budgets to draw: those asked for, or the largest.

        Raise UsageError for one that some run does not have; a study without budgets has none, whatever is asked for.
        """
        if not asked:
            return self.budgets[-1:]
        found = []
        for eps in asked if self.budgets else ():
            same = [budget for budget in self.budgets if same_label(budget, eps)]
            if not same:
                raise UsageError(f"{self.spec}: {self.analysis} has no eps {eps}; there are {', '.join(self.budgets)}")
            found += same
        return tuple(found)

    def complete_cells(self) -> Iterator[tuple[str, tuple[Panel, ...]]]:
        """Yield label and runs of each cell of which no planned run is missing: a mean over some seeds would
        mislead."""
        found = {panel.record.run_id for panel in self.panels}
        cell_of = {run.id: tuple(run.coordinates.items()) for run in self.planned or ()}
        broken = {cell for run, cell in cell_of.items() if run not in found}
        for label, several in groupby(self.panels, key=lambda panel: panel.cell):
            seeds = tuple(several)
            if cell_of.get(seeds[0].record.run_id) not in broken:
                yield label, seeds

    def provenance(self, panels: Sequence[Panel]) -> str:
        """Return the end of a caption: spec, analysis, and the ids of the runs."""
        runs = ", ".join(
            f"{panel.label}: {panel.record.run_id}" if panel.label else panel.record.run_id for panel in panels
        )
        return f"Spec {self.spec}, analysis {self.analysis}; {runs}."


@dataclass(frozen=True)
class Picture:
    """A figure with the part of its file name that tells it from others of the study, and its caption."""

    name: str
    figure: Figure
    caption: str


def figures_of(panels: Sequence[Panel]) -> Iterator[tuple[str, tuple[Panel, ...]]]:
    """Yield name and panels of each picture: all runs together where they are at most `MOST`.

    Otherwise each cell has its own picture, and a cell with too many seeds one for each run.
    """
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
    """Return the number of test points as captions have it, `n = 2000`."""
    counts = sorted({panel.n_test for panel in panels})
    return "n = " + ", ".join(map(str, counts))


def ball(panel: Panel, eps: str) -> str:
    """Return a budget with its norm as captions have it, `ℓ∞ ε = 8/255`."""
    return f"{NORMS[panel.attack.get('norm', 'linf')]} ε = {eps}"
