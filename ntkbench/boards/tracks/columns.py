"""The columns of a leaderboard: which number of a record each shows, which ranks, and what an entry has to reach.

They are parts of `track.yaml`; a column picks a number by its metric and by labels of what it is about:

    rank: {title: robust at 8/255, metric: robust_accuracy, where: {eps: 8/255}, order: descending}
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import model_validator

from ntkbench.documents import Document, Line
from ntkbench.errors import NtkbenchError
from ntkbench.spec.extensions import known_metrics, metric
from ntkbench.store.record import MetricRow
from ntkbench.text import did_you_mean

Scale = Literal["share", "linear", "log"]


class Column(Document):
    """A number of each run: `metric`, and `where`, the labels that a row of the record must have."""

    title: Line
    metric: Line
    where: dict[Line, Line]

    @model_validator(mode="after")
    def _known(self) -> "Column":
        if self.metric not in known_metrics():
            raise ValueError(f"there is no metric {self.metric!r}{did_you_mean(self.metric, known_metrics())}")
        return self

    @property
    def revision(self) -> int:
        """The revision of the metric's definition that this version of ntkbench computes."""
        return metric(self.metric).revision

    def row(self, metrics: Sequence[MetricRow], place: object) -> MetricRow:
        """Return the one row of a record that this column shows; rows with equal value and counts are one.

        NtkbenchError, which names `place`, if there is none or if several differ.
        """
        rows = self.rows(metrics)
        if not rows:
            raise NtkbenchError(f"{place}: no {self}")
        if len({(row.value, row.k, row.n) for row in rows}) > 1:
            raise NtkbenchError(f"{place}: {len(rows)} different numbers are {self}")
        return rows[0]

    def rows(self, metrics: Sequence[MetricRow]) -> list[MetricRow]:
        """Return all rows of a record with this metric whose labels include those of the column."""
        return [row for row in metrics if row.metric == self.metric and self.where.items() <= _text(row.where).items()]

    def __str__(self) -> str:
        about = ", ".join(f"{name} {label}" for name, label in self.where.items())
        return f"{self.metric}{f' with {about}' if about else ''}"


class Rank(Column):
    """The column by which entries are ranked, and whether high or low numbers are good."""

    order: Literal["descending", "ascending"]
    scale: Scale | None = None
    """share: numbers in [0, 1]; log: positive numbers, compared as ratios; linear: any numbers; null: by the metric"""

    @property
    def on(self) -> Scale:
        """The scale on which entries are compared: the given one, or the one that suits the metric."""
        if self.scale is not None:
            return self.scale
        if self.metric == "kernel_drift":
            return "log"
        return "share" if metric(self.metric).unit == "fraction" else "linear"


class Requirement(Column):
    """A number that every run of an entry has to have within bounds, such as a clean accuracy of at least 0.8."""

    min: float | None = None
    """smallest value that qualifies; null: no bound"""
    max: float | None = None
    """largest value that qualifies; null: no bound"""

    @model_validator(mode="after")
    def _bounded(self) -> "Requirement":
        if self.min is None and self.max is None:
            raise ValueError(f"{self}: give it a min or a max")
        return self

    @property
    def limits(self) -> list[str]:
        """The bounds in words, such as `at least 0.8`."""
        ends = (("at least", self.min), ("at most", self.max))
        return [f"{word} {end:g}" for word, end in ends if end is not None]

    def refusal(self, value: float | None, seed: int) -> str | None:
        """Return why the value of a seed's run does not qualify; None if it does."""
        if value is None:
            return f"{self} has no value in seed {seed}"
        if self.min is not None and value < self.min:
            return f"{self} is {value:.4g} in seed {seed}; the track asks for at least {self.min:g}"
        if self.max is not None and value > self.max:
            return f"{self} is {value:.4g} in seed {seed}; the track asks for at most {self.max:g}"
        return None


def _text(where: Mapping[str, Any]) -> dict[str, str]:
    """Return labels as text, the form that columns have them in."""
    return {name: str(value) for name, value in where.items()}
