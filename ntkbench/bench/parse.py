"""YAML text -> a tree of located values. YAML is data here: no tags, no merge keys, one document, bounded.

PyYAML reads the characters; what they mean is decided here: `1e-2` and `inf` are numbers, `8/255` is a fraction,
`on`, `no`, dates and `010` are text, a key twice is a mistake.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import yaml

from ntkbench.bench.document import Node, Place, Scalar, found, mapping
from ntkbench.bench.suggest import did_you_mean
from ntkbench.errors import Problem, SpecError

MAX_BYTES = 1_000_000
MAX_NODES = 50_000
MAX_DEPTH = 30
MAX_DIGITS = 300

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_FRACTION = re.compile(r"([-+]?[0-9]+)/([0-9]+)")
_WORDS: dict[str, Scalar] = {"": None, "~": None, "null": None, "true": True, "false": False}
_WORDS |= {sign + dot + "inf": float(sign + "inf") for sign in ("", "+", "-") for dot in ("", ".")}
_WORDS |= {"nan": float("nan"), ".nan": float("nan")}
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# What PyYAML says, what we say, and whether the mistake is where it started or where it was noticed.
_PLAINER = (
    (r"found character '\\t' that cannot start any token", "a tab; YAML is indented with spaces", False),
    (r"found character '(.)' that cannot start any token", r"a value cannot start with \1; put it in quotes", False),
    (
        r"mapping values are not allowed here",
        "a ':' cannot stand here; check the indentation, or quote the text",
        False,
    ),
    (r"could not find expected ':'", "a ':' and a space are missing after this key", True),
    (
        r"expected <block end>, but found .*",
        "this line does not line up with those above; check the indentation",
        False,
    ),
    (
        r"expected ',' or '(.)', but got .*",
        r"the closing \1 is missing, or a comma before {line}:{column}",
        True,
    ),
    (r"found unexpected end of stream", "the closing quote is missing", True),
)


def read(file: str) -> Node:
    """The top-level mapping of a file; SpecError names everything that keeps it from being one."""
    return parse(_text(file), file)


def parse(text: str, file: str, line: int = 1, column: int = 1) -> Node:
    """The top-level mapping of a text that starts at `line`, `column` of `file`."""
    start = Place(file, line, column)
    root = parse_value(text, file, line, column)
    if root.value is None:
        raise SpecError([start.problem("", "nothing here; `ntkbench init` writes an example to start from")])
    if not isinstance(root.value, dict):
        raise SpecError([root.place.problem("", f"a spec is a mapping of `key: value` lines, found {found(root)}")])
    return mapping(root.value, start)


def parse_value(text: str, file: str, line: int = 1, column: int = 1) -> Node:
    """Any value."""
    builder = _Builder(file, line, column)
    if bad := _UNPRINTABLE.search(text):
        row, at = text.count("\n", 0, bad.start()), bad.start() - (text.rfind("\n", 0, bad.start()) + 1)
        place = builder.place_at(row, at)
        raise SpecError([place.problem("", f"the control character U+{ord(bad[0]):04X}; delete it")])
    try:
        root = builder.document(text)
    except yaml.MarkedYAMLError as error:
        mark, message = _plainer(error)
        place = builder.place(mark) if mark else Place(file, line, column)
        raise SpecError([*builder.problems, place.problem("", "not YAML: " + message)]) from None
    if builder.problems:
        raise SpecError(builder.problems)
    return root


def _text(file: str) -> str:
    def refuse(message: str, line: int = 1) -> SpecError:
        return SpecError([Place(file, line, 1).problem("", message)])

    try:
        with Path(file).open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise refuse("there is no such file") from None
    except IsADirectoryError:
        raise refuse("a folder, not a file") from None
    except (OSError, ValueError) as error:
        raise refuse(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > MAX_BYTES:
        raise refuse(f"larger than {MAX_BYTES // 1_000_000} MB; this is not a spec")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise refuse("UTF-16 text; save the file as UTF-8")
    if b"\0" in content:
        raise refuse("a binary file; a spec is YAML, a text file in UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise refuse("not UTF-8 text; save the file as UTF-8", line) from None


def _plainer(error: yaml.MarkedYAMLError) -> tuple[yaml.Mark | None, str]:
    """Where the mistake is, and what it is."""
    said = error.problem or error.context or "unreadable"
    for pattern, plainer, at_start in _PLAINER:
        if match := re.fullmatch(pattern, said):
            noticed = error.problem_mark
            line, column = (noticed.line + 1, noticed.column + 1) if noticed else (0, 0)
            message = match.expand(plainer).replace("{line}", str(line)).replace("{column}", str(column))
            return (at_start and error.context_mark) or noticed, message
    return error.problem_mark or error.context_mark, said


@dataclass
class _Builder:
    """Events of PyYAML -> nodes. Mistakes that leave the rest readable are collected."""

    file: str
    line: int
    column: int
    problems: list[Problem] = field(default_factory=list)
    anchors: dict[str, tuple[Node, int]] = field(default_factory=dict)
    open_anchors: list[str] = field(default_factory=list)
    nodes: int = 0

    def place(self, mark: yaml.Mark) -> Place:
        return self.place_at(mark.line, mark.column)

    def place_at(self, row: int, column: int) -> Place:
        return Place(self.file, self.line + row, column + (self.column if row == 0 else 1))

    def report(self, mark: yaml.Mark, message: str) -> None:
        self.problems.append(self.place(mark).problem("", message))

    def document(self, text: str) -> Node:
        events = yaml.parse(text, Loader=yaml.SafeLoader)
        root: Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    self.report(event.start_mark, "a second document starts here; one file holds one spec")
                    return root
                root = self.node(next(events), events, 0)
        start = Place(self.file, self.line, self.column)
        return root or Node(None, start, start)

    def node(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
        place = self.place(event.start_mark)
        before = self.nodes
        self.count(1, place)
        if depth > MAX_DEPTH:
            raise SpecError([*self.problems, place.problem("", f"nested deeper than {MAX_DEPTH} levels")])
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, place)
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if tag:
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            self.report(event.start_mark, f"the tag {shown}; a spec is plain data, tags are not allowed")
        if anchor:
            self.open_anchors.append(anchor)
        node = Node(self.value(event, events, depth, place), place, place)
        if anchor:
            self.open_anchors.remove(anchor)
            self.anchors[anchor] = node, self.nodes - before
        return node

    def value(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int, place: Place):
        if isinstance(event, yaml.MappingStartEvent):
            return self.entries(events, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return tuple(self.node(item, events, depth + 1) for item in _until(events, yaml.SequenceEndEvent))
        assert isinstance(event, yaml.ScalarEvent)
        if event.style or event.tag:
            return event.value
        try:
            return scalar(event.value)
        except ValueError as error:
            self.problems.append(place.problem("", str(error)))
            return None

    def entries(self, events: Iterator[yaml.Event], depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for event in _until(events, yaml.MappingEndEvent):
            key = self.node(event, events, depth + 1)
            node = self.node(next(events), events, depth + 1)
            if not isinstance(event, yaml.ScalarEvent):
                self.problems.append(key.place.problem("", "a key must be plain text; put it in quotes if it is"))
            elif event.value == "<<" and not event.style:
                self.problems.append(
                    key.place.problem("", "merge keys (<<) are not supported; use `extends`, or repeat the fields")
                )
            elif event.value in entries:
                first = entries[event.value].key
                self.problems.append(
                    key.place.problem("", f"the key {event.value} stands here twice, first on line {first.line}")
                )
            else:
                entries[event.value] = Node(node.value, node.place, key.place)
        return entries

    def alias(self, event: yaml.AliasEvent, place: Place) -> Node:
        name = event.anchor
        if name in self.open_anchors:
            self.problems.append(place.problem("", f"*{name} stands inside &{name}; a value cannot contain itself"))
        elif name not in self.anchors:
            self.problems.append(
                place.problem("", f"*{name} refers to no anchor above" + did_you_mean(name, self.anchors))
            )
        else:
            node, size = self.anchors[name]
            self.count(size, place)
            return node
        return Node(None, place, place)

    def count(self, nodes: int, place: Place) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            message = f"more than {MAX_NODES} values, aliases written out; this is not a spec"
            raise SpecError([*self.problems, place.problem("", message)])


def _until(events: Iterator[yaml.Event], end: type[yaml.Event]) -> Iterator[yaml.Event]:
    for event in events:
        if isinstance(event, end):
            return
        yield event


def scalar(text: str) -> Scalar:
    """What a plain (unquoted) scalar means; ValueError if it is a number that is none."""
    if text in _WORDS:
        return _WORDS[text]
    if match := _FRACTION.fullmatch(text):
        if not int(match[2][:MAX_DIGITS]):
            raise ValueError(f"{text} divides by zero")
        if len(text) > MAX_DIGITS:
            raise ValueError(f"a number of {len(text)} characters; {MAX_DIGITS} are the most")
        return Fraction(int(match[1]), int(match[2]))
    if not (text[0] in "+-.0123456789" and _FLOAT.fullmatch(text)):
        return text
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} characters; {MAX_DIGITS} are the most")
    if _INTEGER.fullmatch(text):
        return int(text)
    number = float(text)
    if abs(number) == float("inf"):
        raise ValueError(f"{text} is too large for a number; write inf if that is meant")
    return number
