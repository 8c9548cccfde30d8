"""The record of a run: one JSON file with what was asked, what was measured, and under which conditions.

Workers write records; tables, plots and leaderboards only read them:

    found = read(store.record(run_id))
    rates = [row.value for row in found.metrics if row.metric == "transfer_rate"]
"""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import from_json

from ntkbench import documents, files
from ntkbench.documents import Document, Facts, Line, Natural, Paragraphs
from ntkbench.errors import NtkbenchError

Status = Literal["ok", "failed", "diverged", "timeout", "oom", "interrupted"]
"""how a run ended; every status but ok comes with an error"""
RunId = Annotated[str, Field(pattern=r"^r[0-9a-z]{12}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Instant = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$")]
"""a moment in UTC, in ISO 8601 with up to nanoseconds"""


class Measured(Document):
    """A value over `n` test points. Of a proportion, `k` of them count and the value is k/n; else `k` is null."""

    value: float | None
    k: Natural | None
    n: Natural | None

    @model_validator(mode="after")
    def _counted(self) -> "Measured":
        """Raise ValueError where the value and the counts contradict each other."""
        if self.k is None:
            return self
        if self.n is None:
            raise ValueError("k without n")
        if self.k > self.n:
            raise ValueError(f"k is {self.k} of n {self.n}")
        if self.value != (self.k / self.n if self.n else None):
            raise ValueError(f"the value is {self.value}, but k/n is {self.k}/{self.n}")
        return self


class MetricRow(Measured):
    """One value of one analysis: the metric, an interval, and what the value is about."""

    analysis: Line
    metric: Line
    revision: Natural
    """the revision of the metric's definition"""
    ci95: tuple[float, float] | None
    """95 % interval over test points; null where counts and standard deviation are not known"""
    ci_method: Line | None
    """wilson (of a proportion) or t (of a mean)"""
    where: dict[Line, bool | int | float | Line]
    """what the value is about, such as `{"attack": "ntk", "eps": "8/255"}`"""
    unit: Line
    higher_is_better: bool | None
    """null: neither way is better"""
    reason: Line | None = Field(default=None, exclude_if=lambda reason: reason is None)
    """why there is no value"""


class Request(Document):
    """The part of a record that says what was asked for: a cell of a spec, and a seed."""

    name: Line
    cell: dict[Line, Line]
    """the labels of the cell in the spec's matrix, by axis"""
    seed: Natural
    resolved: Facts
    """the whole cell with all defaults filled in, as `identity.resolved` gives it"""


class Series(Document):
    """An array of an analysis, such as a value per snapshot: its file beside the record, its shape, and the file's
    hash."""

    file: FileName
    shape: tuple[Natural, ...]
    sha256: Sha256


class Samples(Document):
    """The outcomes per test point: their file beside the record, the names of the columns, and the file's hash."""

    file: FileName
    columns: tuple[Line, ...]
    sha256: Sha256


class CheckRow(Document):
    """The result of a check that values rest on, such as that gradients are not zero."""

    code: Line
    ok: bool
    analysis: Line | None = Field(default=None, exclude_if=lambda analysis: analysis is None)
    """the analysis whose values rest on it; null: those of all"""
    detail: Facts = Field(default={}, exclude_if=lambda detail: not detail)


class StageRow(Document):
    """A part of a run: the seconds that it took, and the object in the store that it made or used."""

    key: Line
    """key of the object; empty where nothing is kept"""
    cached: bool
    """whether the store had the object already"""
    compile_s: float | None = None
    run_s: float | None = None
    facts: Facts = Field(default={}, exclude_if=lambda facts: not facts)
    """what else is known of it, such as a learning rate"""


class Time(Document):
    """The start and the end of a run, in UTC."""

    started: Instant
    ended: Instant


class Failure(Document):
    """The error that a run which is not ok ended with: its type and its message."""

    type: Line
    message: Paragraphs


class Record(Document):
    """All that is kept of one run, except its arrays, which lie beside the record."""

    schema_: Literal["ntkbench.record/1"] = Field(alias="schema")
    run_id: RunId
    status: Status
    attempt: Annotated[Natural, Field(ge=1)]
    """how often the run has been tried, this time included"""
    spec: Request
    metrics: tuple[MetricRow, ...]
    series: dict[Line, Series]
    """by name, which begins with the analysis"""
    samples: Samples | None
    checks: tuple[CheckRow, ...]
    stages: dict[Line, StageRow]
    """by name, such as `training` or `kernel.limit`"""
    software: Facts
    jax: Facts
    device: Facts
    execution: Facts
    resources: Facts
    """what was measured of time and memory, such as `wall_s` and `host_peak_bytes`"""
    time: Time
    warnings: tuple[Paragraphs, ...]
    error: Failure | None
    sha256: Sha256 | None = Field(default=None, exclude_if=lambda sha256: sha256 is None)
    """checksum of all other fields, see `checksum`; records of earlier versions have none"""

    @property
    def failed_checks(self) -> tuple[CheckRow, ...]:
        """The checks that did not hold."""
        return tuple(check for check in self.checks if not check.ok)

    @model_validator(mode="after")
    def _explained(self) -> "Record":
        """Raise ValueError unless exactly the runs that are not ok have an error."""
        if (self.status == "ok") != (self.error is None):
            raise ValueError(f"status {self.status} {'with' if self.error else 'without'} an error")
        return self


def write(record: Record, path: Path) -> None:
    """Write a record with the checksum of what it holds now, atomically."""
    content = record.model_dump(mode="json", by_alias=True, exclude={"sha256"})
    files.write(path, documents.encode(content | {"sha256": checksum(content)}))


def checksum(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all fields but `sha256`: a bit that flips in a number leaves a record that looks well."""
    rest = {name: value for name, value in content.items() if name != "sha256"}
    return sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read(path: Path) -> Record:
    """Return the record in a file.

    Raises NtkbenchError where the file cannot be read, is no valid record, does not match its checksum, or does not
    have the name of its run.
    """
    content = documents.read(path)
    record = documents.parse(Record, content, path)
    if record.sha256 not in (None, checksum(from_json(content))):
        raise NtkbenchError(f"{path}: sha256: it is not that of the rest; a bit has flipped, or somebody changed it")
    if path.stem != record.run_id:
        raise NtkbenchError(f"{path}: run_id: {record.run_id} does not belong in a file of this name")
    return record


def read_all(folder: Path) -> tuple[list[Record], list[NtkbenchError]]:
    """Return the valid records of a folder in the order of their names, and the errors of all others."""
    records, damaged = [], []
    for path in sorted(folder.glob("*.json")):
        try:
            records.append(read(path))
        except NtkbenchError as error:
            damaged.append(error)
    return records, damaged


def distinct(records: Iterable[Record], section: str) -> list[dict[str, Any]]:
    """Return the different values of a section of facts (`software`, `device`) in records, each once, in their
    order."""
    kept: list[dict[str, Any]] = []
    for each in records:
        if (facts := getattr(each, section)) not in kept:
            kept.append(facts)
    return kept
