"""Read the rules of a leaderboard, and check the cells of an entry against them.

A track's `track.yaml` holds the experiments of an entry, the fields that are frozen, bounded or free, and the columns
that entries are ranked by. `submit` makes entries by these rules, `recompute` and `verify` check them.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from ntkbench.boards.outcomes import counts_correct_only, is_coded
from ntkbench.boards.tracks.columns import Column, Rank, Requirement
from ntkbench.boards.tracks.constraints import Allowed, Pattern, known, violations
from ntkbench.documents import Document, Facts, Line, Natural, accept, explain
from ntkbench.errors import NtkbenchError
from ntkbench.plan.seeding import SeedOf, for_seed, shared
from ntkbench.spec.cell import LATER, Cell
from ntkbench.spec.document import Node, plain
from ntkbench.spec.extensions import known_metrics
from ntkbench.spec.identity import leaves, normalized, resolved
from ntkbench.spec.reading import parse
from ntkbench.spec.reading.extends import merge
from ntkbench.text import one_line

FILE = "track.yaml"
"""name of the file with a track's rules"""
NAME = r"^[a-z0-9][a-z0-9-]{0,60}@[0-9]{1,4}$"
"""pattern of a track's name, such as transfer-fashion@2"""
ONE = "cell"
"""label of the only target of a track that names none"""
QUALIFY = "qualify"
"""word in `exempt` that frees an entry from all requirements"""
_LOOSEST = 0.05
"""largest tolerance, as a fraction of the metric's range"""
Dotted = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$", max_length=200)]
"""dotted path of a field of a cell"""
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", max_length=60)]
"""label of a target"""


class Reference(Document):
    """A row to compare with, which has no rank and is in no test: an entry, a fixed number, or the mean of a column."""

    about: Line
    """description of the row, in a line"""
    exempt: tuple[Line, ...] = ()
    """rules that this entry may break: frozen paths, patterns of `constrain`, and `qualify`"""
    value: float | None = None
    """a number that the row has by definition, in place of an entry"""
    column: Line | None = None
    """the title of a column, in place of an entry: the row has its mean over all entries"""

    @model_validator(mode="after")
    def _one(self) -> "Reference":
        if (self.value is not None) + (self.column is not None) + bool(self.exempt) > 1:
            raise ValueError("a reference is an entry (exempt), a value, or a column; not several of these")
        return self

    @property
    def is_entry(self) -> bool:
        """Return whether the row is the entry of that name, not a number."""
        return self.value is None and self.column is None


class Track(Document):
    """The rules of one version of a leaderboard; any change of them makes a new version, `name@2`."""

    schema_: Literal["ntkbench.track/2"] = Field(alias="schema")
    name: Annotated[str, Field(pattern=NAME)]
    title: Line
    about: Annotated[str, Field(max_length=10_000)]
    spec: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*\.yaml$", max_length=200)]
    """the spec that entries come from, relative to the repository"""
    frozen: Annotated[tuple[Dotted, ...], Field(min_length=1)]
    """paths at which every cell of an entry equals its target"""
    free: tuple[Dotted, ...]
    """paths at which a cell may differ from its target; there all cells of an entry are equal"""
    constrain: dict[Pattern, Allowed] = Field(default={})
    """bounds of free fields by path: a value, several, or `{min: ..., max: ...}`; `*` stands for any step of a path"""
    qualify: tuple[Requirement, ...] = ()
    """numbers that every run of an entry has to reach"""
    allow_failed: tuple[Line, ...] = ()
    """codes of checks that may fail; no other may"""
    references: dict[Line, Reference] = Field(default={})
    rank: Rank
    """column by which entries are ranked"""
    columns: tuple[Column, ...] = ()
    min_seeds: Annotated[Natural, Field(ge=1)]
    """least number of seeds of an entry"""
    seed_of: SeedOf = "run"
    """what the seeds of an entry draw, as in specs: the run alone, or a training subset too"""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """chance that any two equally good entries on the whole board are told apart"""
    tolerance: dict[Line, Annotated[float, Field(ge=0)]] = Field(default={"fraction": 0.01})
    """largest difference, by unit, between a number that is computed again and the claimed one"""
    mini: Facts
    """overrides that make a run small enough to repeat on two cores; those of fields that a cell lacks are ignored"""
    cell: Facts
    """the experiment that the targets vary, resolved"""
    targets: Annotated[dict[Label, Facts], Field(min_length=1)]
    """experiments that an entry consists of, resolved, by label; in the file, overrides of `cell`"""

    @model_validator(mode="after")
    def _comparable(self) -> "Track":
        if not self.by_point and self.min_seeds < 2:
            raise ValueError(f"min_seeds: {self.rank} is compared over seeds, which needs 2 of them or more")
        counted = [column for column in self.measured if counts_correct_only(column.metric, column.where)]
        for column in counted:
            about = {"target": column.where["target"]} if "target" in column.where else {}
            if not any(each.metric == "accuracy" and about.items() <= each.where.items() for each in self.measured):
                raise ValueError(f"columns: {column} counts what its target has right; add a column with its accuracy")
        return self

    @model_validator(mode="after")
    def _tolerant(self) -> "Track":
        for metric in (known_metrics()[column.metric] for column in self.measured):
            if metric.unit not in self.tolerance:
                raise ValueError(f"tolerance: how far may a number in {metric.unit} be off? e.g. {metric.unit}: 0.01")
            low, high = metric.range
            if self.tolerance[metric.unit] > (loosest := _LOOSEST * (high - low)):
                raise ValueError(f"tolerance.{metric.unit}: at most {loosest:g}, 5 % of the range of {metric.name}")
        return self

    @model_validator(mode="after")
    def _complete(self) -> "Track":
        for field in Cell.model_fields.keys() - LATER:
            if not any(within(path, (field,)) for path in (*self.frozen, *self.free)):
                raise ValueError(f"{field} is neither frozen nor free")
        for path in (*self.frozen, *self.free):
            if path.split(".")[0] not in Cell.model_fields:
                raise ValueError(f"{path} is no part of an experiment")
        for pattern in self.constrain:
            if not known(pattern):
                raise ValueError(f"constrain.{pattern}: no experiment has such a path")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> "Track":
        for label, cell in self.cells.items():
            differ = differing(fields(self.base), fields(cell))
            if loose := sorted(set(differ) - set(self.frozen_of(differ))):
                raise ValueError(f"targets.{label}: {loose[0]} is free, so no target can set it")
            if broken := [*violations(self.constrain, fields(cell))]:
                raise ValueError(f"targets.{label}: {broken[0]}")
        for name, reference in self.references.items():
            for rule in reference.exempt:
                if rule != QUALIFY and rule not in self.constrain and not within(rule, self.frozen):
                    raise ValueError(f"references.{name}: exempt: {rule} is no rule of this track")
            if reference.column is not None and reference.column not in [each.title for each in self.all_columns]:
                raise ValueError(f"references.{name}: column: no column is called {reference.column!r}")
        return self

    @property
    def by_point(self) -> bool:
        """Return whether entries are compared on the same test points."""
        return is_coded(self.rank.metric, self.rank.where)

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """Return the column that entries are ranked by, then the others."""
        return (self.rank, *self.columns)

    @property
    def measured(self) -> tuple[Column, ...]:
        """Return the numbers that an entry has of each run: all columns, then those of its requirements."""
        return (*self.all_columns, *self.qualify)

    @cached_property
    def base(self) -> Cell:
        """Return the experiment that the targets vary."""
        return Cell.model_validate(self.cell)

    @cached_property
    def cells(self) -> Mapping[str, Cell]:
        """Return the experiments that an entry consists of, by the labels of the targets."""
        return {label: Cell.model_validate(cell) for label, cell in self.targets.items()}

    @cached_property
    def _expected(self) -> Mapping[str, Mapping[str, Any]]:
        return {label: fields(cell) for label, cell in self.cells.items()}

    def exempt(self, name: str) -> tuple[str, ...]:
        """Return the rules that the entry of this name may break."""
        return self.references[name].exempt if name in self.references else ()

    def is_reference(self, name: str) -> bool:
        """Return whether the entry of this name has no rank."""
        return name in self.references and self.references[name].is_entry

    def differences(self, label: str, cell: Cell, exempt: Collection[str] = ()) -> list[str]:
        """Return a line for each frozen field in which a cell departs from the target of that label."""
        expected, found = self._expected[label], fields(cell)
        return [
            f"{path}: the track has {shown(expected, path)}, the runs have {shown(found, path)}"
            for path in self.frozen_of(differing(expected, found))
            if not within(path, exempt)
        ]

    def violations(self, cell: Cell, exempt: Collection[str] = ()) -> list[str]:
        """Return a line for each field of a cell that leaves the bounds of `constrain`."""
        rules = {pattern: allowed for pattern, allowed in self.constrain.items() if pattern not in exempt}
        return [*violations(rules, fields(cell))]

    def unequal(self, cells: Iterable[Cell]) -> list[str]:
        """Return a line for each free field in which the cells of one entry differ from each other."""
        every = [fields(cell) for cell in cells]
        paths = {path for each in every for path in differing(every[0], each)}
        return [
            f"{path}: what is free is the same in all cells of an entry, here it is "
            f"{', '.join(dict.fromkeys(shown(each, path) for each in every))}"
            for path in sorted(paths - set(self.frozen_of(paths)))
        ]

    def frozen_of(self, paths: Iterable[str]) -> list[str]:
        """Return those of the paths that no entry may change."""
        return [path for path in paths if within(path, (*self.frozen, *LATER)) and not within(path, self.free)]

    def of_seed(self, cell: Cell, seed: int) -> Cell:
        """Return the cell that is run for a seed of an entry, with its own training subset if `seed_of` is data."""
        return for_seed(cell, seed, self.seed_of)

    def shared(self, cell: Cell) -> Cell:
        """Return the cell of an entry from one of its runs: the inverse of `of_seed`."""
        return shared(cell) if self.seed_of == "data" else cell

    def small(self, cell: Cell) -> Cell:
        """Return the cell with the overrides of `mini`, without those of fields that it does not have."""
        try:
            return Cell.model_validate(_overridden(resolved(cell), self.mini))
        except ValidationError as error:
            raise NtkbenchError(explain(error, f"{self.name}: mini does not fit this experiment")) from None


def read(folder: Path) -> Track:
    """Return the track in a folder `<name>@<version>`; NtkbenchError names the field of a mistake."""
    path = folder / FILE
    root = parse.read(str(path))
    experiment, mini, targets = root.child("cell"), root.child("mini"), root.child("targets")
    if experiment is None:
        raise NtkbenchError(f"{path}: cell: the experiment is missing")
    cell = _cell(experiment, f"{path}: cell")
    overrides = {label: merge(experiment, node) for label, node in targets.entries.items()} if targets else {}
    cells = {label: _cell(node, f"{path}: targets.{label}") for label, node in overrides.items()} or {ONE: cell}
    if mini is not None:
        _cell(merge(experiment, mini), f"{path}: mini")
    value = {key: _json(node) for key, node in root.entries.items()}
    made = {"name": folder.name, "cell": resolved(cell), "targets": {k: resolved(each) for k, each in cells.items()}}
    return accept(Track, value | made, path)


def _cell(node: Node, place: str) -> Cell:
    try:
        return Cell.model_validate(plain(node))
    except ValidationError as error:
        raise NtkbenchError(explain(error, place)) from None


def _json(node: Node) -> Any:
    """Return a YAML value as JSON; fractions and infinity become text, as in records."""
    if isinstance(node.value, Mapping):
        return {key: _json(below) for key, below in node.value.items()}
    if isinstance(node.value, tuple):
        return [_json(below) for below in node.value]
    plain = isinstance(node.value, (str, bool, int, float, type(None))) and node.value not in (inf, -inf)
    return node.value if plain else str(node.value)


def within(path: str, roots: Iterable[str]) -> bool:
    """Return whether a dotted path is one of `roots`, or below one."""
    return any(path == root or path.startswith(root + ".") for root in roots)


def fields(cell: Cell) -> dict[str, Any]:
    """Return all fields of a cell by their dotted paths, in normalized notation."""
    return dict(leaves(resolved(normalized(cell))))


def differing(one: Mapping[str, Any], two: Mapping[str, Any]) -> list[str]:
    """Return the paths at which the fields of two cells differ."""
    return [path for path in sorted(one.keys() | two.keys()) if one.get(path) != two.get(path)]


def shown(leaves: Mapping[str, Any], path: str) -> str:
    """Return the value at a path as messages show it."""
    return one_line(leaves[path]) if path in leaves else "nothing"


def _overridden(value: Mapping[str, Any], mini: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value with overrides merged in; those of keys that are absent or null are ignored."""
    known = {key: new for key, new in mini.items() if value.get(key) is not None}
    both = {key: isinstance(new, Mapping) and isinstance(value[key], Mapping) for key, new in known.items()}
    return {**value, **{key: _overridden(value[key], new) if both[key] else new for key, new in known.items()}}
