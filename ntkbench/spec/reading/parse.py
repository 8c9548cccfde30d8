"""Read YAML text into a tree of nodes, each with the place (file, line, column) where it was written.

    root = parse("width: 512", "spec.yaml")
    root.entries["width"].place     # spec.yaml:1:8

YAML is data here: one document of bounded size, without tags and merge keys. PyYAML reads the characters, with libyaml
where that is installed (17 times as fast). What they mean is decided here: `1e-2` and `inf` are numbers, `8/255` is a
fraction, `on`, `no`, dates and `010` are text, and a key that is given twice is a mistake. Mistakes are collected and
raised as one SpecError; reading ends at the first that makes the rest unreadable.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from ntkbench.errors import MOST, Problem, SpecError
from ntkbench.files import TooLarge, read_bounded
from ntkbench.spec.document import Node, SourcePosition, found, mapping
from ntkbench.spec.reading import lookalikes
from ntkbench.spec.reading.scalars import _UNPRINTABLE, _control, _readable, scalar
from ntkbench.text import did_you_mean

try:
    from yaml import CSafeLoader as Fast
except ImportError:  # without libyaml: the same, slower
    from yaml import SafeLoader as Fast

MAX_BYTES = 200_000
"""largest size of a file, in bytes"""
MAX_NODES = 20_000
"""largest number of keys and values in a text; an alias counts as all that it stands for"""
MAX_DEPTH = 30
"""deepest nesting of lists and mappings"""
MAX_KEY = 200
"""most characters of a key"""
MAX_KEYS = 200
"""most keys of one mapping"""
_EXPLAINED = 20_000
"""characters up to which a text that is not YAML is read again by PyYAML's own parser, whose messages are better"""

# PyYAML's message, the plainer message, and whether to point at the start of the construct rather than at where the
# mistake was noticed.
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
    """Return the top-level mapping of a file.

    Raise SpecError with all that is wrong, also where the file is missing, too large, or not UTF-8 text.
    """
    return parse(_text(file), file)


def parse(text: str, file: str, line: int = 1, column: int = 1) -> Node:
    """Return the top-level mapping of a text that starts at `line`, `column` (from 1) of `file`; SpecError if it has
    none."""
    start = SourcePosition(file, line, column)
    root = parse_value(text, file, line, column)
    if root.value is None:
        raise SpecError([start.problem("", "nothing here; `ntkbench init` writes an example to start from")])
    if not isinstance(root.value, dict):
        raise SpecError([root.place.problem("", f"a spec is a mapping of `key: value` lines, found {found(root)}")])
    return mapping(root.value, start)


def parse_value(text: str, file: str, line: int = 1, column: int = 1) -> Node:
    """Return the node of a text that may hold any value, such as that of `--set`; raise SpecError as `parse` does."""
    builder = _Builder(file, line, column)
    if bad := _UNPRINTABLE.search(text):
        raise SpecError([builder.place_in(text, bad.start()).problem("", _control(bad[0]))])
    try:
        root = builder.document(text, Fast)
    except yaml.MarkedYAMLError as error:
        if odd := lookalikes.in_a_text(text):
            raise SpecError([builder.place_in(text, odd[0]).problem("", f"not YAML: {odd[1]}")]) from None
        if len(text) > _EXPLAINED:
            raise builder.not_yaml(error) from None
        builder = _Builder(file, line, column)
        try:
            root = builder.document(text, yaml.SafeLoader)
        except yaml.MarkedYAMLError as better:
            raise builder.not_yaml(better) from None
        except ValueError:  # of a version with too many digits
            raise builder.not_yaml(error) from None
    if builder.problems:
        raise SpecError(builder.problems)
    return root


def _text(file: str) -> str:
    """Return the text of a file; raise SpecError where it cannot be read or is no UTF-8 text."""

    def refuse(message: str, line: int = 1) -> SpecError:
        return SpecError([SourcePosition(file, line, 1).problem("", message)])

    try:
        found = read_bounded(file, MAX_BYTES)
    except TooLarge:
        raise refuse(f"larger than {MAX_BYTES // 1000} kB; this is not a spec") from None
    except FileNotFoundError:
        raise refuse("there is no such file") from None
    except IsADirectoryError:
        raise refuse("a folder, not a file") from None
    except (OSError, ValueError) as error:
        raise refuse(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if found.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise refuse("UTF-16 text; save the file as UTF-8")
    if b"\0" in found:
        raise refuse("a binary file; a spec is YAML, a text file in UTF-8")
    try:
        return found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = found.count(b"\n", 0, error.start) + 1
        raise refuse("not UTF-8 text; save the file as UTF-8", line) from None


def _plainer(error: yaml.MarkedYAMLError) -> tuple[Any, str]:
    """Return PyYAML's mark of a mistake (None where it has none), and a message in plain words."""
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
    """A translator of PyYAML's events into nodes, for one text.

    Mistakes that leave the rest readable are collected in `problems`; others raise SpecError with all found so far.
    """

    file: str
    line: int
    """line of the file at which the text starts"""
    column: int
    """column of that line at which the text starts"""
    problems: list[Problem] = field(default_factory=list)
    anchors: dict[str, tuple[Node, int]] = field(default_factory=dict)
    """by name: the node, and how many nodes it counts as when it is repeated"""
    open_anchors: list[str] = field(default_factory=list)
    """anchors whose values are being read: an alias of one of them would contain itself"""
    nodes: int = 0
    """nodes counted so far"""

    def place(self, mark: Any) -> SourcePosition:
        return self.place_at(mark.line, mark.column)

    def place_at(self, row: int, column: int) -> SourcePosition:
        """Return the place at a row and a column of the text, both from 0."""
        return SourcePosition(self.file, self.line + row, column + (self.column if row == 0 else 1))

    def place_in(self, text: str, at: int) -> SourcePosition:
        """Return the place of the character at an index of the whole text."""
        return self.place_at(text.count("\n", 0, at), at - (text.rfind("\n", 0, at) + 1))

    def report(self, place: SourcePosition, message: str) -> None:
        self.problems.append(place.problem("", message))
        if len(self.problems) > MOST:
            raise SpecError(self.problems)

    def not_yaml(self, error: yaml.MarkedYAMLError) -> SpecError:
        mark, message = _plainer(error)
        place = self.place(mark) if mark else SourcePosition(self.file, self.line, self.column)
        return SpecError([*self.problems, place.problem("", "not YAML: " + message)])

    def document(self, text: str, loader: Any) -> Node:
        """Return the root node of the text, an empty one where there is none; a second document is a problem."""
        events = yaml.parse(text, Loader=loader)
        root: Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    self.report(self.place(event.start_mark), "a second document starts here; one file holds one spec")
                    return root
                root = self.node(next(events), events, 0)
        start = SourcePosition(self.file, self.line, self.column)
        return root or Node(None, start, start)

    def node(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
        """Return the node that begins with an event, and take the rest of its events from `events`."""
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
            self.report(place, f"the tag {shown}; a spec is plain data, tags are not allowed")
        if anchor:
            self.open_anchors.append(anchor)
        node = Node(self.value(event, events, depth, place), place, place)
        if anchor:
            self.open_anchors.remove(anchor)
            self.anchors[anchor] = node, self.nodes - before
        return node

    def value(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int, place: SourcePosition):
        if isinstance(event, yaml.MappingStartEvent):
            return self.entries(events, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return tuple(self.node(item, events, depth + 1) for item in _until(events, yaml.SequenceEndEvent))
        assert isinstance(event, yaml.ScalarEvent)
        if not event.style and (odd := lookalikes.in_a_value(event.value)):
            self.report(replace(place, column=place.column + odd[0]), odd[1])
            return None
        try:
            text = _readable(event.value)
            return text if event.style or event.tag else scalar(text)
        except ValueError as error:
            self.report(place, str(error))
            return None

    def entries(self, events: Iterator[yaml.Event], depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for event in _until(events, yaml.MappingEndEvent):
            key = self.node(event, events, depth + 1)
            node = self.node(next(events), events, depth + 1)
            if not isinstance(event, yaml.ScalarEvent):
                self.report(key.place, "a key must be plain text; put it in quotes if it is")
            elif event.value == "<<" and not event.style:
                self.report(key.place, "merge keys (<<) are not supported; use `extends`, or repeat the fields")
            elif len(event.value) > MAX_KEY:
                self.report(key.place, f"a key of {len(event.value)} characters; {MAX_KEY} are the most")
            elif event.value in entries:
                first = entries[event.value].key
                self.report(key.place, f"the key {event.value} stands here twice, first on line {first.line}")
            else:
                entries[event.value] = Node(node.value, node.place, key.place)
            if len(entries) > MAX_KEYS:
                raise SpecError([*self.problems, key.place.problem("", f"more than {MAX_KEYS} keys in one mapping")])
        return entries

    def alias(self, event: yaml.AliasEvent, place: SourcePosition) -> Node:
        """Return the node that an alias stands for, or an empty one with a problem reported."""
        name = event.anchor
        if name in self.open_anchors:
            self.report(place, f"*{name} stands inside &{name}; a value cannot contain itself")
        elif name not in self.anchors:
            self.report(place, f"*{name} refers to no anchor above" + did_you_mean(name, self.anchors))
        else:
            node, size = self.anchors[name]
            self.count(size, place)
            return node
        return Node(None, place, place)

    def count(self, nodes: int, place: SourcePosition) -> None:
        """Count nodes; raise SpecError beyond `MAX_NODES`, which aliases of aliases would reach in a few lines."""
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            message = f"more than {MAX_NODES} values, aliases written out; this is not a spec"
            raise SpecError([*self.problems, place.problem("", message)])


def _until(events: Iterator[yaml.Event], end: type[yaml.Event]) -> Iterator[yaml.Event]:
    for event in events:
        if isinstance(event, end):
            return
        yield event
