"""One document out of several: what a spec extends, what overrides it."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ntkbench.bench import parse
from ntkbench.bench.document import Node, Place, mapping
from ntkbench.bench.spec import BY_ID
from ntkbench.bench.suggest import nearest
from ntkbench.errors import MOST, Problem, SpecError

MAX_FILES = 50
_REPLACED_BY_SMOKE = ("matrix", "seeds")
_SUFFIXES = (".yaml", ".yml")


def merge(below: Node, above: Node) -> Node:
    """Deep merge of documents; `above` wins. A mapping of another kind, and all but a mapping, replaces what is below
    whole. A kernel, an attack or an analysis that is null above is not there any more."""
    merged = _merged(below, above)
    for section in BY_ID:
        here, over = merged.entries.get(section), above.entries.get(section)
        dropped = {id for id, node in over.entries.items() if node.value is None} if here and over else set()
        dropped &= below.at((section,)).entries.keys()
        if here and dropped:
            kept = here.with_entries({id: node for id, node in here.entries.items() if id not in dropped})
            merged = merged.with_entries({**merged.entries, section: kept})
    return merged


def _merged(below: Node, above: Node) -> Node:
    if not (isinstance(below.value, Mapping) and isinstance(above.value, Mapping)) or _another_kind(below, above):
        return above
    entries = dict(below.value)
    for key, node in above.value.items():
        entries[key] = _merged(entries[key], node) if key in entries else node
    return Node(entries, above.place, above.key)


def _another_kind(below: Node, above: Node) -> bool:
    """`mode: none` and the other modes have no field in common; the other modes have all."""
    kinds = [node.child("kind") for node in (below, above)]
    modes = [node.child("mode") for node in (below, above)]
    if all(kinds):
        return kinds[0].value != kinds[1].value  # pyright: ignore[reportOptionalMemberAccess]
    if all(modes):
        return [mode.value for mode in modes if mode].count("none") == 1
    return False


def nested(path: str, node: Node) -> Node:
    """`a.b` and a value -> {a: {b: value}}, all of it standing where the value's key stands. The name of an axis is one
    step, dots and all: `matrix.training.epochs`."""
    section, _, axis = path.partition(".")
    for step in reversed([section, axis] if section == "matrix" and axis else path.split(".")):
        node = mapping({step: Node(node.value, node.place, node.key)}, node.key)
    return node


def overlay(settings: Iterable[tuple[str, Node]], place: Place) -> Node:
    """All settings as one mapping to merge at once, so that their order does not matter."""
    together = mapping({}, place)
    for path, node in settings:
        together = _merged(together, nested(path, node))
    return together


def load(file: str) -> Node:
    """The file merged over everything it extends."""
    loading = _Loading()
    root = loading.extended(parse.read(file), (file,))
    if root.size > parse.MAX_NODES or any(len(node.entries) > parse.MAX_KEYS for node in root.entries.values()):
        message = f"more than {parse.MAX_NODES} values, or {parse.MAX_KEYS} keys in one mapping, in all files together"
        loading.problems.append(root.key.problem("extends", message))
    if loading.problems:
        raise SpecError(loading.problems)
    return root


@dataclass
class _Loading:
    """Each file is read once, however many extend it."""

    problems: list[Problem] = field(default_factory=list)
    known: dict[str, Node | None] = field(default_factory=dict)

    def extended(self, root: Node, chain: tuple[str, ...]) -> Node:
        named = root.child("extends")
        result = root.with_entries({key: node for key, node in root.entries.items() if key != "extends"})
        if named is None:
            return result
        bases = [base for each in _references(named, self.problems) if (base := self.base(each, chain))]
        merged = bases[0] if bases else result
        for layer in [*bases[1:], result]:
            merged = merge(merged, layer)
        return Node(merged.value, root.place, root.key)

    def base(self, reference: Node, chain: tuple[str, ...]) -> Node | None:
        file = os.path.join(os.path.dirname(chain[-1]), str(reference.value))
        real, visited = os.path.realpath(file), [os.path.realpath(name) for name in chain]
        if real not in self.known or real in visited:
            if len(self.problems) > MOST:
                raise SpecError(self.problems)
            if problem := self.refused(str(reference.value), file, real, chain, visited):
                self.problems.append(reference.place.problem("extends", problem))
                return None
            try:
                self.known[real] = self.extended(parse.read(file), (*chain, file))
            except SpecError as error:
                self.known[real] = None
                self.problems.extend(error.problems)
        return self.known[real]

    def refused(self, name: str, file: str, real: str, chain: tuple[str, ...], visited: list[str]) -> str | None:
        """Why the file is not read, if so. A spec of a stranger names none that no spec is in."""
        if real in visited:
            return f"files that extend each other: {' -> '.join([*chain[visited.index(real) :], file])}"
        if os.path.isabs(name):
            return f"{name} is a place on one machine; name a file by its way from this one"
        if not os.path.isfile(file):
            return f"{file} is {_why_not(file)}"
        if not real.endswith(_SUFFIXES):
            return (
                f"{file} is no spec by its name (that of a link's end counts), which ends in {' or '.join(_SUFFIXES)}"
            )
        return f"more than {MAX_FILES} files" if len(self.known) >= MAX_FILES else None


def _references(named: Node, problems: list[Problem]) -> Sequence[Node]:
    references = named.items if isinstance(named.value, tuple) else (named,)
    for node in references:
        if not isinstance(node.value, str):
            problems.append(node.place.problem("extends", "expected the name of a file, or a list of names"))
    return [node for node in references if isinstance(node.value, str)]


def _why_not(file: str) -> str:
    if os.path.isdir(file):
        return "a folder; name a file in it"
    folder, name = os.path.split(file)
    near = nearest(name, os.listdir(folder or ".")) if os.path.isdir(folder or ".") else None
    return "not there" + (f"; did you mean {near}?" if near else "; paths are relative to the file that names them")


def smoked(root: Node) -> Node:
    """The document with its `smoke` section applied; `matrix` and `seeds` in it replace, all else merges."""
    smoke = root.child("smoke")
    if smoke is None:
        return root
    replaced = {key for key in _REPLACED_BY_SMOKE if key in smoke.entries}
    kept = {key: node for key, node in root.entries.items() if key not in replaced | {"smoke"}}
    merged = merge(root.with_entries(kept), smoke)
    return Node(merged.value, root.place, root.key)


def overrides(assignments: Sequence[str]) -> list[tuple[str, Node]]:
    """`path=value` -> path and value; the nth of them is line n of the file `--set`."""
    problems, settings = [], []
    for line, assignment in enumerate(assignments, 1):
        path, equals, value = assignment.partition("=")
        place = Place("--set", line, 1)
        if not (equals and value.strip() and re.fullmatch(r"[\w-]+(\.[\w-]+)*", path)):
            problems.append(
                place.problem("", f"{assignment!r} is not path=value, such as data.n_train=100 or width=null")
            )
            continue
        try:
            node = parse.parse_value(value, "--set", line, len(path) + 2)
            settings.append((path, Node(node.value, node.place, place)))
        except SpecError as error:
            problems.extend(error.problems)
    if problems:
        raise SpecError(problems)
    return settings
