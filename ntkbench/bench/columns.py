"""The numbers of a leaderboard: which row of a record a column shows, what ranks, what an entry has to reach."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import model_validator

from ntkbench.bench.jsonfile import Document, Line
from ntkbench.bench.ranking import Scale
from ntkbench.bench.record import MetricRow
from ntkbench.bench.suggest import did_you_mean
from ntkbench.bench.vocabulary import METRICS
from ntkbench.errors import NtkbenchError


class Column(Document):
    """A number of each run, by its metric and what it is about."""

    title: Line
    metric: Line
    where: dict[Line, Line]

    @model_validator(mode="after")
    def _known(self) -> "Column":
        if self.metric not in METRICS:
            raise ValueError(f"there is no metric {self.metric!r}{did_you_mean(self.metric, METRICS)}")
        return self

    @property
    def revision(self) -> int:
        """The revision of the metric's definition that this version of ntkbench computes."""
        return METRICS[self.metric].revision

    def row(self, metrics: Sequence[MetricRow], place: object) -> MetricRow:
        """Return the one row of a record that this column shows."""
        rows = self.rows(metrics)
        if not rows:
            raise NtkbenchError(f"{place}: no {self}")
        if len({(row.value, row.k, row.n) for row in rows}) > 1:
            raise NtkbenchError(f"{place}: {len(rows)} different numbers are {self}")
        return rows[0]

    def rows(self, metrics: Sequence[MetricRow]) -> list[MetricRow]:
        """Return all rows of a record that fit this column."""
        return [row for row in metrics if row.metric == self.metric and self.where.items() <= _text(row.where).items()]

    def __str__(self) -> str:
        about = ", ".join(f"{name} {label}" for name, label in self.where.items())
        return f"{self.metric}{f' with {about}' if about else ''}"


class Rank(Column):
    """What entries are ranked by."""

    order: Literal["descending", "ascending"]
    scale: Scale | None = None
    """share: of numbers in [0, 1]; log: of positive numbers, compared as ratios; linear; null: by the metric"""

    @property
    def on(self) -> Scale:
        """The scale on which entries are compared."""
        if self.scale is not None:
            return self.scale
        if self.metric == "kernel_drift":
            return "log"
        return "share" if METRICS[self.metric].unit == "fraction" else "linear"


class Requirement(Column):
    """A number that every run of an entry has to reach."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> "Requirement":
        if self.min is None and self.max is None:
            raise ValueError(f"{self}: give it a min or a max")
        return self

    @property
    def limits(self) -> list[str]:
        """The bounds in words."""
        ends = (("at least", self.min), ("at most", self.max))
        return [f"{word} {end:g}" for word, end in ends if end is not None]

    def refusal(self, value: float | None, seed: int) -> str | None:
        """Return why the number of a seed does not qualify; None where it does."""
        if value is None:
            return f"{self} has no value in seed {seed}"
        if self.min is not None and value < self.min:
            return f"{self} is {value:.4g} in seed {seed}; the track asks for at least {self.min:g}"
        if self.max is not None and value > self.max:
            return f"{self} is {value:.4g} in seed {seed}; the track asks for at most {self.max:g}"
        return None


def _text(where: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in where.items()}
