"""The record of a run: what was asked, what came out, with what, on what. One JSON file a run."""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ntkbench.analyses.measurement import Scalar
from ntkbench.bench import jsonfile
from ntkbench.bench.jsonfile import Document, Facts, Line, Natural, Paragraphs
from ntkbench.bench.statistics import around, wilson
from ntkbench.bench.vocabulary import metric
from ntkbench.errors import NtkbenchError

Status = Literal["ok", "failed", "diverged", "timeout", "oom", "interrupted"]
RunId = Annotated[str, Field(pattern=r"^r[0-9a-z]{12}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Instant = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$")]
_ROUND_OFF = 1e-6
"""how far a number may leave its range before it means nothing"""


class Measured(Document):
    """A number of `n` test points; where it is a proportion, value = k/n."""

    value: float | None
    k: Natural | None
    n: Natural | None

    @model_validator(mode="after")
    def _counted(self) -> "Measured":
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
    """One number of one analysis, and what it is about (`where`)."""

    analysis: Line
    metric: Line
    revision: Natural
    ci95: tuple[float, float] | None
    ci_method: Line | None
    where: dict[Line, bool | int | float | Line]
    unit: Line
    higher_is_better: bool
    reason: Line | None = Field(default=None, exclude_if=lambda reason: reason is None)
    """why there is no value"""


class Request(Document):
    """What was asked for: the coordinates in the spec's matrix, and the whole validated cell."""

    name: Line
    cell: dict[Line, Line]
    seed: Natural
    resolved: Facts


class Series(Document):
    """An array beside the record."""

    file: FileName
    shape: tuple[Natural, ...]
    sha256: Sha256


class Samples(Document):
    """Outcomes per test point beside the record."""

    file: FileName
    columns: tuple[Line, ...]
    sha256: Sha256


class CheckRow(Document):
    """A property that the numbers rest on."""

    code: Line
    ok: bool
    analysis: Line | None = Field(default=None, exclude_if=lambda analysis: analysis is None)
    detail: Facts = Field(default={}, exclude_if=lambda detail: not detail)


class Stage(Document):
    """A part of the run that the store keeps: its key, whether it was there, how long it took."""

    key: Line
    cached: bool
    compile_s: float | None = None
    run_s: float | None = None
    facts: Facts = Field(default={}, exclude_if=lambda facts: not facts)


class Time(Document):
    """UTC."""

    started: Instant
    ended: Instant


class Failure(Document):
    """Why a run is not ok."""

    type: Line
    message: Paragraphs


class Record(Document):
    """All that is kept of one run."""

    schema_: Literal["ntkbench.record/1"] = Field(alias="schema")
    run_id: RunId
    status: Status
    attempt: Annotated[Natural, Field(ge=1)]
    spec: Request
    metrics: tuple[MetricRow, ...]
    series: dict[Line, Series]
    samples: Samples | None
    checks: tuple[CheckRow, ...]
    stages: dict[Line, Stage]
    software: Facts
    jax: Facts
    device: Facts
    execution: Facts
    resources: Facts
    time: Time
    warnings: tuple[Paragraphs, ...]
    error: Failure | None
    sha256: Sha256 | None = Field(default=None, exclude_if=lambda sha256: sha256 is None)
    """of all the rest, see `checksum`; records of earlier versions have none"""

    @model_validator(mode="after")
    def _explained(self) -> "Record":
        if (self.status == "ok") != (self.error is None):
            raise ValueError(f"status {self.status} {'with' if self.error else 'without'} an error")
        return self


def metric_row(analysis: str, scalar: Scalar) -> dict[str, Any]:
    """The row of a record for one number: the vocabulary's words, an interval over its test points."""
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


def validate(record: Mapping[str, Any], place: object = "record") -> Record:
    """The record as a model; a NtkbenchError names every field that is wrong."""
    return jsonfile.accept(Record, dict(record), place)


def write(record: Mapping[str, Any], path: Path) -> None:
    """Validate, then write atomically, with a checksum."""
    valid = validate(record, path)
    of_all = checksum(json.loads(jsonfile.dump(valid)))
    jsonfile.write(path, jsonfile.dump(valid.model_copy(update={"sha256": of_all})))


def checksum(content: Mapping[str, Any]) -> str:
    """Of all fields but `sha256`: a bit that flips in a number leaves a record that looks well."""
    rest = {name: value for name, value in content.items() if name != "sha256"}
    return sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read(path: Path) -> Record:
    """The record in a file; a damaged or foreign file is a NtkbenchError."""
    content = jsonfile.read(path)
    record = jsonfile.parse(Record, content, path)
    if record.sha256 not in (None, checksum(json.loads(content))):
        raise NtkbenchError(f"{path}: sha256: it is not that of the rest; a bit has flipped, or somebody changed it")
    if path.stem != record.run_id:
        raise NtkbenchError(f"{path}: run_id: {record.run_id} does not belong in a file of this name")
    return record


def read_all(folder: Path) -> tuple[list[Record], list[NtkbenchError]]:
    """The valid records of a folder in the order of their names, and what is wrong with the others."""
    records, damaged = [], []
    for path in sorted(folder.glob("*.json")):
        try:
            records.append(read(path))
        except NtkbenchError as error:
            damaged.append(error)
    return records, damaged


def distinct(records: Iterable[Record], section: str) -> list[dict[str, Any]]:
    """What records say in a section of facts (`software`, `device`), each once, in their order."""
    kept: list[dict[str, Any]] = []
    for each in records:
        if (facts := getattr(each, section)) not in kept:
            kept.append(facts)
    return kept


def _meaningful(scalar: Scalar, bounds: tuple[float, float]) -> tuple[float | None, str | None]:
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
    """Over test points: Wilson's of a proportion, Student's of a mean, cut off at the metric's bounds."""
    if scalar.k is not None and scalar.n:
        return wilson(scalar.k, scalar.n), "wilson"
    if scalar.sd is not None and scalar.value is not None and scalar.n is not None and scalar.n > 1:
        low, high = around(scalar.value, scalar.sd, scalar.n)
        return (max(low, bounds[0]), min(high, bounds[1])), "t"
    return None, None
