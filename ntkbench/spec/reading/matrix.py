"""The matrix of a spec: its axes with their labels, and the cells of their product.

An axis is a path with a list of values, or a name whose labels each set several paths; `plan` turns cells into runs:

    matrix = Matrix(root)               # mistakes are collected in matrix.problems
    for corner in matrix.cells():       # corner.labels: {"width": "64", "regime": "linearized"}
        ...
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, product

from ntkbench.errors import MOST, Problem, SpecError
from ntkbench.labels import FIXED
from ntkbench.spec import schema
from ntkbench.spec.cell import NOT_IN_THE_CELL, Cell
from ntkbench.spec.document import Node, Path, found, text
from ntkbench.spec.reading.extends import merge, overlay
from ntkbench.text import did_you_mean, nearest

MAX_RUNS = 10_000
"""the most runs of one spec"""
MAX_VALUES = 300_000
"""the most values that all cells of a spec, written out, may have together"""
MAX_LABEL = 200
"""the most characters of a label"""
EXCLUDE = "exclude"
"""key of the matrix that lists cells to leave out, and so no axis"""


@dataclass(frozen=True)
class Axis:
    """An axis of the matrix: for each of its labels, the paths that it sets and their values."""

    name: str
    node: Node
    labels: Mapping[str, Sequence[tuple[str, Node]]]

    @property
    def size(self) -> int:
        """The most values that one label sets."""
        return max((sum(1 + node.size for _, node in settings) for settings in self.labels.values()), default=0)

    @property
    def leaves(self) -> Mapping[str, Node]:
        """Every path to a single value that some label sets, with the value's node."""
        settings = [setting for several in self.labels.values() for setting in several]
        return {leaf: node for path, value in settings for leaf, node in _leaves(path, value)}


@dataclass(frozen=True)
class Coordinates:
    """One cell of the matrix: its label along each axis, and the document that they give."""

    labels: Mapping[str, str]
    root: Node


class Matrix:
    """The axes of a document, read and checked.

    `axes`: those that were read; `excluded`: the combinations of labels to leave out; `base`: the document's cell
    without the axes; `problems`: all mistakes found. Raise SpecError if there are more than `MOST`.
    """

    def __init__(self, root: Node):
        self.problems: list[Problem] = []
        self.base = root.with_entries({k: v for k, v in root.entries.items() if k not in NOT_IN_THE_CELL})
        self._root = root
        self._node = root.child("matrix")
        self._paths: dict[str, frozenset[str]] = {}
        self.axes = self._axes()
        self.excluded = self._excluded()

    def _report(self, node: Node, name: Path, message: str, key: bool = False) -> None:
        """Note a problem at a node, or at its key; raise SpecError if there are too many."""
        self.problems.append((node.key if key else node.place).problem(("matrix", *name), message))
        if len(self.problems) > MOST:
            raise SpecError(self.problems)

    def _axes(self) -> tuple[Axis, ...]:
        if self._node is None:
            return ()
        axes = [self._axis(name, node) for name, node in self._node.entries.items() if name != EXCLUDE]
        self._once(axes)
        return tuple(axes)

    def _once(self, axes: Sequence[Axis]) -> None:
        """Report axes that set the same path, or a path above or below one of another axis."""
        leaves: dict[str, str] = {}
        above: dict[str, str] = {}
        for axis in axes:
            own = axis.leaves
            for path, node in own.items():
                other = next((leaves[step] for step in _ways(path) if step in leaves), above.get(path))
                if other is not None:
                    self._report(node, (axis.name,), f"{path} is set by the axis {other} too", key=True)
            leaves |= dict.fromkeys(own, axis.name)
            above |= {step: axis.name for path in own for step in _ways(path)}

    def _axis(self, name: str, node: Node) -> Axis:
        """Return an axis; whatever is wrong with it is reported."""
        if name in FIXED and name not in self._below(name):
            self._report(node, (name,), "tables have a column of this name; give the axis another name", key=True)
        if isinstance(node.value, tuple):
            return Axis(name, node, self._listed(name, node))
        if isinstance(node.value, Mapping):
            return Axis(name, node, self._named(name, node))
        self._report(node, (name,), f"expected a list of values, or a mapping of labels, found {found(node)}")
        return Axis(name, node, {})

    def _listed(self, name: str, node: Node) -> Mapping[str, Sequence[tuple[str, Node]]]:
        """Return the labels of an axis that lists the values of the path it is named after."""
        labels: dict[str, list[tuple[str, Node]]] = {}
        if not node.items:
            self._report(node, (name,), "an axis without values; delete it, or list some")
        known = self._known(name, node, (name,), node.items)
        for position, item in enumerate(node.items):
            label = text(item)
            if len(label) > MAX_LABEL:
                message = (
                    f"a value of {len(label)} characters is too long for a label; name it: {{{name[:40]}: its value}}"
                )
                self._report(item, (name, position), message)
            if label in labels:
                self._report(item, (name, position), f"{label} stands here twice")
            labels[label] = [(name, Node(item.value, item.place, item.place))] if known else []
        return labels

    def _named(self, name: str, node: Node) -> Mapping[str, Sequence[tuple[str, Node]]]:
        """Return the labels of an axis whose labels each set several paths."""
        labels: dict[str, list[tuple[str, Node]]] = {}
        if not node.entries:
            self._report(node, (name,), "an axis without labels; delete it, or name some")
        for label, settings in node.entries.items():
            where = (name, label)
            if not isinstance(settings.value, Mapping):
                message = f"expected what the label sets, such as {{training.linearize_at: 0}}, found {found(settings)}"
                self._report(settings, where, message)
            labels[label] = [
                (path, value)
                for path, value in settings.entries.items()
                if self._known(path, value, (*where, path), (value,))
            ]
        return labels

    def _known(self, path: str, node: Node, where: Path, values: Sequence[Node]) -> bool:
        """Return whether the cell has a field at `path`, or takes a new id there; report it if not.

        `values`: all values that the path gets; a new id needs a whole mapping.
        """
        section = path.partition(".")[0]
        if section not in NOT_IN_THE_CELL and all(schema.holds(path, value, self._below(section)) for value in values):
            return True
        if section in NOT_IN_THE_CELL:
            message = "not part of a cell; an axis varies what is computed, this is set once for all runs"
        else:
            message = no_such_path(path, schema.paths(self._root, Cell.model_fields))
        self._report(node, where, message, key=True)
        return False

    def _below(self, section: str) -> frozenset[str]:
        """Return the paths that the document may have in a section; they are found when an axis first sets one."""
        if section not in self._paths:
            self._paths[section] = schema.paths(self._root, (section,))
        return self._paths[section]

    def _excluded(self) -> tuple[Mapping[str, str], ...]:
        """Return the combinations of labels under `exclude`."""
        node = self._node.child(EXCLUDE) if self._node else None
        if node is None:
            return ()
        if not isinstance(node.value, tuple):
            message = f"expected a list such as [{{width: 2048, regime: standard}}], found {found(node)}"
            self._report(node, (EXCLUDE,), message)
        return tuple(self._corner(position, item) for position, item in enumerate(node.items))

    def _corner(self, position: int, item: Node) -> Mapping[str, str]:
        """Return one combination under `exclude`; report axes and labels that do not exist."""
        axes = {axis.name: axis for axis in self.axes}
        if not item.entries:
            message = "expected labels of some axes, such as {width: 2048}, found "
            self._report(item, (EXCLUDE, position), message + (found(item) if item.value else "nothing"))
        for name, label in item.entries.items():
            where = (EXCLUDE, position, name)
            if name not in axes:
                self._report(label, where, "no such axis" + did_you_mean(name, axes), key=True)
            elif text(label) not in axes[name].labels:
                message = f"the axis {name} has no label {text(label)}"
                self._report(label, where, message + did_you_mean(text(label), axes[name].labels))
        return {name: text(label) for name, label in item.entries.items()}

    def too_large(self, seeds: int) -> Problem | None:
        """Return a problem if the cells, with this number of seeds, are too many or too large together."""
        cells = math.prod(len(axis.labels) for axis in self.axes)
        place, values = (self._node or self._root).key, self.base.size + sum(axis.size for axis in self.axes)
        axes = " x ".join(f"{len(axis.labels)} {axis.name}" for axis in self.axes)
        if cells * seeds > MAX_RUNS:
            message = f"{cells * seeds} runs ({axes}{' x ' if axes else ''}{seeds} seeds), more than {MAX_RUNS}"
            return place.problem("matrix" if self._node else "seeds", f"{message}; split the spec")
        if cells * values > MAX_VALUES:
            message = f"{cells} cells ({axes}) of {values} values each, more than {MAX_VALUES} together; split the spec"
            return place.problem("matrix", message)
        return None

    def cells(self) -> Iterator[Coordinates]:
        """Yield the cells that are not excluded, in the order of the axes; the last axis varies fastest."""
        axes = [axis for axis in self.axes if axis.labels]
        excluded: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
        for part in filter(None, self.excluded):
            excluded.setdefault(tuple(part), set()).add(tuple(part.values()))
        for corner in product(*(axis.labels.items() for axis in axes)):
            labels = {axis.name: label for axis, (label, _) in zip(axes, corner, strict=True)}
            if any(tuple(map(labels.get, names)) in corners for names, corners in excluded.items()):
                continue
            settings = [setting for _, several in corner for setting in several]
            yield Coordinates(labels, merge(self.base, overlay(settings, self.base.place)) if settings else self.base)


def _leaves(path: str, node: Node) -> Iterator[tuple[str, Node]]:
    """Yield the path and node of every single value of a setting."""
    if not node.entries:
        yield path, node
    for key, below in node.entries.items():
        yield from _leaves(f"{path}.{key}", below)


def _ways(path: str) -> Iterator[str]:
    """Yield `a`, `a.b` and `a.b.c` for `a.b.c`."""
    return accumulate(path.split("."), lambda above, step: f"{above}.{step}")


def no_such_path(path: str, known: Collection[str]) -> str:
    """Return a message for a path that does not exist, with the one that was probably meant.

    Looks for the path's end first, since people write `linearize_at` for `training.linearize_at`.
    """
    parent, _, last = path.rpartition(".")
    if elsewhere := schema.elsewhere(last, known):
        return f"no such path; did you mean {elsewhere}?"
    siblings = {name.rpartition(".")[2] for name in known if name.rpartition(".")[0] == parent}
    if not siblings:
        near = nearest(path, known)
        return "no such path" + (
            f"; did you mean {near}?" if near else "; a path names a field, such as training.epochs"
        )
    near = nearest(last, siblings)
    prefix = f"{parent}." if parent else ""
    return "no such path; " + (
        f"did you mean {prefix}{near}?" if near else f"{parent or 'a cell'} has {', '.join(sorted(siblings))}"
    )
