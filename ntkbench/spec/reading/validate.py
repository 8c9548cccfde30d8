"""Validate the nodes of a document as pydantic models, each section by itself.

So a mistake in one section hides none in another, and a section that the cells of a matrix share is read once.
`plan.read` uses one `Validator` for all cells of a spec:

    draft, problems = Validator().draft(root)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from ntkbench.errors import MOST, Problem
from ntkbench.spec.cell import BY_ID, NOT_IN_THE_CELL, Cell, Header
from ntkbench.spec.data import Synthetic
from ntkbench.spec.document import Node, Path, mapping, plain
from ntkbench.spec.reading import messages


@dataclass(frozen=True)
class Draft:
    """A cell as far as it can be read: a mistake in one section leaves the others to be checked together."""

    root: Node
    sections: Mapping[str, Any]
    """values of the sections, by name"""
    broken: frozenset[str]
    """names of the sections with mistakes"""

    def whole(self, *names: str) -> bool:
        """Return whether none of these sections has a mistake."""
        return not self.broken.intersection(names)

    @property
    def sized(self) -> bool:
        """Return whether the numbers of examples and of classes, and the shape of an example, are known."""
        dataset = self.cell.data.dataset if self.whole("data") else None
        return dataset is not None and (isinstance(dataset, Synthetic) or self.cell.data.entry is not None)

    @cached_property
    def cell(self) -> Cell:
        """Return the sections as a cell, not validated again; broken ones may be None or incomplete."""
        return Cell.model_construct(**self.sections)

    def of_network(self, name: str) -> "Draft":
        """Return the draft of the cell in which a further network is the run's own, without attacks.

        What the network says itself is at its own place, and the rest at that of the run's.
        """
        written = {
            field: node
            for field, node in self.root.at(("networks", name)).entries.items()
            if node.value is not None and field in Cell.model_fields
        }
        left = {key: node for key, node in self.root.entries.items() if key not in BY_ID}
        own = self.cell.as_own(name).model_copy(update={"attacks": {}})
        return Draft(self.root.with_entries({**left, **written}), dict(own), self.broken.difference(written))

    def problem(self, path: Path, message: str) -> Problem:
        """Return a problem at the value of `path`; if the field is not written out, at the section that lacks it."""
        node = self.root.at(path)
        parent = self.root.at(path[:-1])
        return (node.place if node is not parent else parent.key).problem(path, message)


@dataclass
class Validator:
    """Validates documents, and remembers each section by its node: the cells of a matrix share most of them."""

    read: dict[tuple[str, int], tuple[Any, Node, tuple[Problem, ...]]] = field(default_factory=dict)
    """memory: (section, identity of a node) -> value, node, problems"""

    def header(self, root: Node) -> tuple[Header | None, tuple[Problem, ...]]:
        """Return the header of a document (None if it has mistakes) and its mistakes."""
        own = {key: node for key, node in root.entries.items() if key in NOT_IN_THE_CELL}
        return _validated(Header, root.with_entries(own))

    def draft(self, root: Node) -> tuple[Draft, tuple[Problem, ...]]:
        """Return the sections of a cell, and the problems of all of them, unknown sections included."""
        sections: dict[str, Any] = {}
        problems: list[Problem] = []
        broken: set[str] = set()
        for name, info in Cell.model_fields.items():
            value, found = self._section(name, root)
            problems.extend(found)
            if found:
                broken.add(name)
            if value is not None or (name in root.entries and not found):
                sections[name] = value
            elif info.is_required():
                sections[name] = {} if name in BY_ID else None
        strange = [key for key in root.entries if key not in _KNOWN]
        problems.extend(messages.unknown((key,), root) for key in strange[:MOST])
        return Draft(root, sections, frozenset(broken)), tuple(problems)

    def _section(self, name: str, root: Node) -> tuple[Any, tuple[Problem, ...]]:
        """Return one section and its problems; a section with ids is read one entry at a time."""
        node = root.child(name)
        if node is None:
            required = Cell.model_fields[name].is_required()
            return None, (messages.missing((name,), root),) if required else ()
        if name not in BY_ID or not node.entries:
            return self._remembered(name, node, root)
        merged: dict[str, Any] = {}
        found: list[Problem] = []
        for key, entry in node.entries.items():
            part = root.with_entries({name: node.with_entries({key: entry})})
            value, problems = self._remembered(f"{name}.{key}", entry, part)
            merged |= value or {}
            found.extend(problems)
            if len(found) > MOST:
                break
        return merged, tuple(found)

    def _remembered(self, name: str, node: Node, root: Node) -> tuple[Any, tuple[Problem, ...]]:
        """Return a section, or an entry of one, and its problems; they are computed once for each node.

        The node is kept with the result, so that Python gives its identity to no other node.
        """
        known = self.read.get((name, id(node)))
        if known is None:
            section = name.partition(".")[0]
            part = mapping({section: root.entries[section]}, root.place)
            alone, problems = _validated(_model(section), part)
            known = self.read[name, id(node)] = getattr(alone, section, None), node, problems
        return known[0], known[2]


_KNOWN = NOT_IN_THE_CELL | frozenset(Cell.model_fields)
"""keys that the top level of a spec may have"""


@cache
def _model(name: str) -> type[BaseModel]:
    """Return a model that has one section of a cell alone."""
    info = Cell.model_fields[name]
    return create_model(name, __config__=ConfigDict(strict=True), **{name: (info.annotation, info)})  # pyright: ignore


def _validated(model: type[BaseModel], root: Node) -> tuple[Any, tuple[Problem, ...]]:
    """Return the model of a node and no problems, or None and the problems."""
    try:
        return model.model_validate(plain(root)), ()
    except ValidationError as error:
        return None, tuple(messages.problems(error, root))


def ids(draft: Draft, section: str) -> set[str] | None:
    """Return the ids that are written in a section, broken or not; None if the section is no mapping at all."""
    node = draft.root.child(section)
    if node is None:
        return set()
    return set(node.entries) if isinstance(node.value, Mapping) else None
