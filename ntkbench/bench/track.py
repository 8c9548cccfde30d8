"""A leaderboard's rules: the experiment, what of it is frozen, what it is ranked by."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from ntkbench.bench import parse
from ntkbench.bench.document import Node, plain
from ntkbench.bench.identity import leaves, normalized, resolved
from ntkbench.bench.jsonfile import Document, Facts, Line, Natural, accept, explain, printable
from ntkbench.bench.merge import merge
from ntkbench.bench.record import MetricRow
from ntkbench.bench.spec import Cell
from ntkbench.bench.suggest import did_you_mean
from ntkbench.bench.vocabulary import METRICS
from ntkbench.errors import NtkbenchError

FILE = "track.yaml"
NAME = r"^[a-z0-9][a-z0-9-]{0,60}@[0-9]{1,4}$"
Dotted = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$", max_length=200)]


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

    def row(self, metrics: Sequence[MetricRow], place: object) -> MetricRow:
        """The one row of a record that this column shows."""
        rows = [row for row in metrics if row.metric == self.metric and self.where.items() <= _text(row.where).items()]
        if not rows:
            raise NtkbenchError(f"{place}: no {self}")
        if len({(row.value, row.k, row.n) for row in rows}) > 1:
            raise NtkbenchError(f"{place}: {len(rows)} different numbers are {self}")
        return rows[0]

    def __str__(self) -> str:
        about = ", ".join(f"{name} {label}" for name, label in self.where.items())
        return f"{self.metric}{f' with {about}' if about else ''}"


class Rank(Column):
    """What entries are ranked by."""

    order: Literal["descending", "ascending"]

    @property
    def by_point(self) -> bool:
        """Whether two entries can be compared by it point by point."""
        return is_by_point(self.metric, self.where)


class Ties(Document):
    """When two entries share a rank."""

    rule: Literal["paired", "welch"] = "paired"
    """paired: over seeds and the same test points, of a share of these; welch: over seeds, of any other number"""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """the chance that entries which are equally good get different ranks, on the whole board"""


class Track(Document):
    """The rules. A change of them makes a new version, `name@2`."""

    schema_: Literal["ntkbench.track/1"] = Field(alias="schema")
    name: Annotated[str, Field(pattern=NAME)]
    title: Line
    about: Annotated[str, Field(max_length=10_000)]
    spec: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*\.yaml$", max_length=200)]
    """the spec that entries come from, relative to the repository"""
    frozen: Annotated[tuple[Dotted, ...], Field(min_length=1)]
    """paths at which every entry equals `cell`"""
    free: tuple[Dotted, ...]
    """paths at which it need not"""
    rank: Rank
    columns: tuple[Column, ...] = ()
    min_seeds: Annotated[Natural, Field(ge=1)]
    ties: Ties = Ties()
    tolerance: dict[Line, Annotated[float, Field(ge=0)]] = Field(default={"fraction": 0.01})
    """by unit, how far a number that is computed again may be from the one that was claimed"""
    mini: Facts
    """overrides that make a run small enough to try again on two cores; what an entry does not have stays as it is"""
    cell: Facts
    """the experiment, resolved"""

    @model_validator(mode="after")
    def _comparable(self) -> "Track":
        if self.by_point and not self.rank.by_point:
            raise ValueError(
                f"{self.rank}: entries cannot be compared by it point by point; for seeds, ties.rule: welch"
            )
        if not self.by_point and self.min_seeds < 2:
            raise ValueError("entries that are compared over seeds need 2 of them or more; raise min_seeds")
        return self

    @model_validator(mode="after")
    def _tolerant(self) -> "Track":
        for unit in dict.fromkeys(METRICS[column.metric].unit for column in self.all_columns):
            if unit not in self.tolerance:
                raise ValueError(f"tolerance: how far may a number in {unit} be off? e.g. tolerance: {{{unit}: 0.01}}")
        return self

    @model_validator(mode="after")
    def _complete(self) -> "Track":
        for field in Cell.model_fields:
            if not any(within(path, (field,)) for path in (*self.frozen, *self.free)):
                raise ValueError(f"{field} is neither frozen nor free")
        for path in (*self.frozen, *self.free):
            if path.split(".")[0] not in Cell.model_fields:
                raise ValueError(f"{path} is no part of an experiment")
        return self

    @property
    def by_point(self) -> bool:
        """Whether entries are compared on the same test points."""
        return self.ties.rule == "paired"

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """The one that ranks, then the others."""
        return (self.rank, *self.columns)

    @cached_property
    def reference(self) -> Cell:
        return Cell.model_validate(self.cell)

    @cached_property
    def _expected(self) -> dict[str, Any]:
        return fields(self.reference)

    def differences(self, cell: Cell) -> list[str]:
        """Where a cell departs from what is frozen: `path: expected, found`."""
        expected, found = self._expected, fields(cell)
        return [
            f"{path}: the track has {shown(expected, path)}, the runs have {shown(found, path)}"
            for path in self.frozen_of(differing(expected, found))
        ]

    def frozen_of(self, paths: Iterable[str]) -> list[str]:
        """Those of the paths that no entry may change."""
        return [path for path in paths if within(path, self.frozen) and not within(path, self.free)]

    def small(self, cell: Cell) -> Cell:
        """The cell with the overrides of `mini`, where it has what they override."""
        try:
            return Cell.model_validate(_overridden(resolved(cell), self.mini))
        except ValidationError as error:
            raise NtkbenchError(explain(error, f"{self.name}: mini does not fit this experiment")) from None


def read(folder: Path) -> Track:
    """The track of a folder `<name>@<version>`; a mistake in it is an error that names the field."""
    path = folder / FILE
    root = parse.read(str(path))
    experiment, mini = root.child("cell"), root.child("mini")
    if experiment is None:
        raise NtkbenchError(f"{path}: cell: the experiment is missing")
    cell = _cell(experiment, f"{path}: cell")
    if mini is not None:
        _cell(merge(experiment, mini), f"{path}: mini")
    value = {key: _json(node) for key, node in root.entries.items()}
    return accept(Track, value | {"name": folder.name, "cell": resolved(cell)}, path)


def _cell(node: Node, place: str) -> Cell:
    try:
        return Cell.model_validate(plain(node))
    except ValidationError as error:
        raise NtkbenchError(explain(error, place)) from None


def _json(node: Node) -> Any:
    """YAML's values in JSON: fractions are text."""
    if isinstance(node.value, Mapping):
        return {key: _json(below) for key, below in node.value.items()}
    if isinstance(node.value, tuple):
        return [_json(below) for below in node.value]
    return node.value if isinstance(node.value, (str, bool, int, float, type(None))) else str(node.value)


def _text(where: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in where.items()}


def is_by_point(metric: str, where: Mapping[str, str]) -> bool:
    """Whether a number is a share of test points."""
    shares = ("accuracy", "robust_accuracy", "eigenspace_robustness")
    denominators = {"transfer_rate": ("target_correct", "all")} | dict.fromkeys(shares, (None,))
    return where.get("denominator") in denominators.get(metric, ())


def within(path: str, roots: Iterable[str]) -> bool:
    """Whether a path is one of some, or below one."""
    return any(path == root or path.startswith(root + ".") for root in roots)


def fields(cell: Cell) -> dict[str, Any]:
    """All fields of a cell by their dotted paths, in the one notation there is."""
    return dict(leaves(resolved(normalized(cell))))


def differing(one: Mapping[str, Any], two: Mapping[str, Any]) -> list[str]:
    """The paths at which two cells differ."""
    return [path for path in sorted(one.keys() | two.keys()) if one.get(path) != two.get(path)]


def shown(leaves: Mapping[str, Any], path: str) -> str:
    """A field in a message."""
    return printable(leaves[path]) if path in leaves else "nothing"


def _overridden(value: Mapping[str, Any], mini: Mapping[str, Any]) -> dict[str, Any]:
    known = {key: new for key, new in mini.items() if value.get(key) is not None}
    both = {key: isinstance(new, Mapping) and isinstance(value[key], Mapping) for key, new in known.items()}
    return {**value, **{key: _overridden(value[key], new) if both[key] else new for key, new in known.items()}}
