"""Compare what two records asked for and measured, number by number, within tolerances."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ntkbench import documents
from ntkbench.errors import NtkbenchError
from ntkbench.plan.runs import Run
from ntkbench.spec.cell import Cell
from ntkbench.spec.identity import leaves, normalized, resolved
from ntkbench.store.record import MetricRow, Record
from ntkbench.text import one_line


@dataclass(frozen=True)
class Comparison:
    """A claimed number beside the measured one, with the largest difference that is allowed."""

    what: str
    claimed: float | None
    measured: float | None
    tolerance: float

    @property
    def ok(self) -> bool:
        """Return whether both have no value, or values within the tolerance."""
        if self.claimed is None or self.measured is None:
            return self.claimed is self.measured
        # Round-off in the subtraction must not decide at the limit of the tolerance.
        return abs(self.claimed - self.measured) <= self.tolerance * (1 + 1e-9)

    def told(self, claimed: str, measured: str) -> str:
        """Return both values as text, each with the word for its side."""
        one, other = (shown(value, "nothing") for value in (self.claimed, self.measured))
        return f"{self.what}: {one} {claimed}, {other} {measured}"


def shown(value: float | None, absent: str = "–") -> str:
    """Return a value with six significant digits, the text `absent` for None."""
    return absent if value is None else f"{value:.6g}"


_ABSENT = "-"
"""stands for a value that one of the runs does not have"""


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return, by dotted path, the two values as text wherever two nested mappings differ."""
    ours, theirs = dict(leaves(one)), dict(leaves(other))
    shown = {path: (_shown(ours, path), _shown(theirs, path)) for path in {**ours, **theirs}}
    return {path: sides for path, sides in shown.items() if sides[0] != sides[1]}


def asked(of: Record) -> dict[str, Any]:
    """Return cell and seed of a record, normalized so that two notations of one experiment are equal.

    NtkbenchError if the cell is not valid here, such as one of an extension that is not installed.
    """
    try:
        return {**resolved(normalized(Cell.model_validate(of.spec.resolved))), "seed": of.spec.seed}
    except ValidationError as error:
        raise NtkbenchError(documents.explain(error, f"{of.run_id}: spec.resolved")) from None


def run_of(record: Record) -> Run:
    """Return the run of a record. Raise NtkbenchError if its cell is not valid here."""
    asked(record)  # raises the error
    spec = record.spec
    return Run(spec.name, Cell.model_validate(spec.resolved), spec.cell, spec.seed, record.run_id)


def _shown(values: Mapping[str, Any], path: str) -> str:
    """Return the value at a path as text."""
    value = values.get(path, _ABSENT)
    return one_line(value if isinstance(value, str) else json.dumps(value))


TOLERANCE = {"fraction": 0.01, "cosine": 0.01, "correlation": 0.01, "epochs": 2.0, "features": 1.0, "directions": 1.0}
"""by unit, how far the values of one run on two machines may be apart and count as equal; as in the rules of tracks"""
_RELATIVE = 0.05
"""the same for all other units, as a share of the larger absolute value"""


def matched(ours: Record, theirs: Record) -> list[tuple[MetricRow, MetricRow | None, MetricRow | None]]:
    """Return the numbers of two records in pairs: those of one analysis, metric, revision and labels.

    Before each pair stands a row that says what the number is; None stands for a row that one of the records lacks.
    """
    here, there = ({_about(row): row for row in each.metrics} for each in (ours, theirs))
    return [(row, here.get(about), there.get(about)) for about, row in {**here, **there}.items()]


def comparisons(ours: Record, theirs: Record) -> list[Comparison]:
    """Return a comparison for each value that either record of a run has; a value that one of them lacks is None."""
    return [_compared(*rows) for rows in matched(ours, theirs)]


def _compared(about: MetricRow, *rows: MetricRow | None) -> Comparison:
    """Return the comparison of one value, from its rows in both records; one of the rows may be None."""
    one, other = (row and row.value for row in rows)
    tolerance = TOLERANCE.get(about.unit, _RELATIVE * max(abs(one or 0), abs(other or 0)))
    return Comparison(_about(about), one, other, tolerance)


def _about(row: MetricRow) -> str:
    """Return the text by which the same value is found in another record: analysis, metric, revision, coordinates."""
    where = "".join(f" {name}={value}" for name, value in sorted(row.where.items()))
    return f"{row.analysis} {row.metric}/{row.revision}{where}"
