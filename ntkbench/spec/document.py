"""YAML documents as trees of values that remember their line and column.

`parse` makes the trees, `merge` and `matrix` change them, and rules report mistakes by them:

    yield draft.root.at(("attacks", "ntk", "eps")).place.problem("attacks.ntk.eps", "a budget is missing")
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from ntkbench.errors import Problem

Scalar = str | int | float | bool | Fraction | None
"""a value that is neither a mapping nor a list; `8/255` is a Fraction where it was written as one"""
Path = tuple[str | int, ...]
"""steps from the root of a document: keys of mappings, indices of lists"""


@dataclass(frozen=True, slots=True, order=True)
class SourcePosition:
    """The place of a value in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def problem(self, path: Path | str, message: str) -> Problem:
        """Return a problem here; `path` is the field that the message names."""
        return Problem(self.file, self.line, self.column, path if isinstance(path, str) else dotted(path), message)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A value with its place, and the place of its key (its own place if it has no key)."""

    value: "Mapping[str, Node] | tuple[Node, ...] | Scalar"
    place: SourcePosition
    key: SourcePosition

    @property
    def entries(self) -> "Mapping[str, Node]":
        """The nodes of a mapping by key; empty for any other value."""
        return self.value if isinstance(self.value, Mapping) else {}

    @property
    def items(self) -> "tuple[Node, ...]":
        """The nodes of a list; empty for any other value."""
        return self.value if isinstance(self.value, tuple) else ()

    def child(self, step: str | int) -> "Node | None":
        """Return the node at a key of a mapping or an index of a list; None if there is none."""
        if isinstance(step, str):
            return self.entries.get(step)
        return self.items[step] if step < len(self.items) else None

    def at(self, path: Path) -> "Node":
        """Return the node at `path`; if the document does not go so far, the last node on the way there."""
        node: Node = self
        for step in path:
            below = node.child(step)
            if below is None:
                return node
            node = below
        return node

    @property
    def size(self) -> int:
        """The number of values below this node, at any depth."""
        return sum(1 + below.size for below in (*self.entries.values(), *self.items))

    def with_entries(self, entries: "Mapping[str, Node]") -> "Node":
        """Return a mapping with these entries at the place of this node."""
        return Node(entries, self.place, self.key)


def mapping(entries: Mapping[str, Node], place: SourcePosition) -> Node:
    """Return a mapping without a key of its own, such as a whole document."""
    return Node(entries, place, place)


def placed(value: object, place: SourcePosition) -> Node:
    """Return a value of dicts, lists and scalars as a node, all of which is at one place; the inverse of `plain`."""
    if isinstance(value, Mapping):
        return Node({key: placed(below, place) for key, below in value.items()}, place, place)
    if isinstance(value, (list, tuple)):
        return Node(tuple(placed(item, place) for item in value), place, place)
    assert value is None or isinstance(value, Scalar)
    return Node(value, place, place)


def plain(node: Node) -> object:
    """Return the value without places: dicts, lists, scalars."""
    if isinstance(node.value, Mapping):
        return {key: plain(below) for key, below in node.value.items()}
    if isinstance(node.value, tuple):
        return [plain(below) for below in node.value]
    return node.value


def dotted(path: Path) -> str:
    """Return a path as messages show it: `attacks.ntk.eps[1]`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def text(node: Node) -> str:
    """Return a value as short YAML, the labels of a matrix's cells: `512`, `8/255`, `{kind: fc, depth: 3}`."""
    value = node.value
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {text(below)}" for key, below in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(text, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def found(node: Node) -> str:
    """Return what a message calls a value that is not as expected: `a list of 3`, `the text 'x'`, `nothing`."""
    value = node.value
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, tuple):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    if isinstance(value, Fraction):
        return f"the fraction {value.numerator}/{value.denominator}"
    shown = text(node) if not isinstance(value, float) else repr(value)
    return shown if len(shown) <= 40 else f"a number of {len(shown)} digits"
