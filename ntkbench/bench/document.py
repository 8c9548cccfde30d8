"""A YAML file as plain values that remember where they stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from ntkbench.errors import Problem

Scalar = str | int | float | bool | Fraction | None
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something is written; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def problem(self, path: Path | str, message: str) -> Problem:
        return Problem(self.file, self.line, self.column, path if isinstance(path, str) else dotted(path), message)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A value, where it stands, and where the key before it stands (its own place if it has none)."""

    value: "Mapping[str, Node] | tuple[Node, ...] | Scalar"
    place: Place
    key: Place

    @property
    def entries(self) -> "Mapping[str, Node]":
        """Those of a mapping; nothing else has any."""
        return self.value if isinstance(self.value, Mapping) else {}

    @property
    def items(self) -> "tuple[Node, ...]":
        """Those of a list; nothing else has any."""
        return self.value if isinstance(self.value, tuple) else ()

    def child(self, step: str | int) -> "Node | None":
        if isinstance(step, str):
            return self.entries.get(step)
        return self.items[step] if step < len(self.items) else None

    def at(self, path: Path) -> "Node":
        """The node at `path`, or the last one on the way there."""
        node: Node = self
        for step in path:
            below = node.child(step)
            if below is None:
                return node
            node = below
        return node

    @property
    def size(self) -> int:
        """How many values are below it."""
        return sum(1 + below.size for below in (*self.entries.values(), *self.items))

    def with_entries(self, entries: "Mapping[str, Node]") -> "Node":
        return Node(entries, self.place, self.key)


def mapping(entries: Mapping[str, Node], place: Place) -> Node:
    return Node(entries, place, place)


def plain(node: Node) -> object:
    """The value alone: dicts, lists, scalars."""
    if isinstance(node.value, Mapping):
        return {key: plain(below) for key, below in node.value.items()}
    if isinstance(node.value, tuple):
        return [plain(below) for below in node.value]
    return node.value


def dotted(path: Path) -> str:
    """`attacks.ntk.eps[1]`"""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def text(node: Node) -> str:
    """The canonical short text of a value: `512`, `8/255`, `{kind: fc, depth: 3}`."""
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
    """How a message calls a value."""
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
