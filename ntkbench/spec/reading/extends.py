"""Merge spec documents: the files that a spec extends, its `smoke` section, and settings by path.

`plan` loads a spec and applies `--set`; `matrix` applies the settings of each cell in the same way:

    root = load("spec.yaml")
    root = merge(root, overlay(overrides(["training.epochs=10"]), root.place))

Every node keeps the place where it was written, so that messages point there.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ntkbench.errors import MOST, Problem, SpecError
from ntkbench.spec.cell import BY_ID, Cell
from ntkbench.spec.document import Node, SourcePosition, mapping
from ntkbench.spec.reading import parse, shipped
from ntkbench.text import nearest

MAX_FILES = 50
"""the most files that a spec may extend, directly or through others"""
_SEVERAL = re.compile(r"[^\s,'\"\[\]{}]+(,[^\s,'\"\[\]{}]+)+")
"""values of `--set` that commas separate, without quotes, brackets and spaces"""
_REPLACED_BY_SMOKE = ("matrix", "seeds")
"""sections that `smoke` replaces whole instead of merging"""
_SUFFIXES = (".yaml", ".yml")


def merge(below: Node, above: Node) -> Node:
    """Merge two documents; `above` wins.

    Mappings merge key by key, unless they are of different kinds; everything else is replaced whole. A kernel, an
    attack or an analysis of `below` that is null in `above` is removed.
    """
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
    """Merge two nodes; removals by null are left to `merge`."""
    if not (isinstance(below.value, Mapping) and isinstance(above.value, Mapping)) or _another_kind(below, above):
        return above
    entries = dict(below.value)
    for key, node in above.value.items():
        entries[key] = _merged(entries[key], node) if key in entries else node
    return Node(entries, above.place, above.key)


def _another_kind(below: Node, above: Node) -> bool:
    """Return whether two mappings are of different kinds, so that their fields must not be mixed.

    Training modes count as one kind, except for `none`: the others have all fields in common.
    """
    kinds = [node.child("kind") for node in (below, above)]
    modes = [node.child("mode") for node in (below, above)]
    if all(kinds):
        return kinds[0].value != kinds[1].value  # pyright: ignore[reportOptionalMemberAccess]
    if all(modes):
        return [mode.value for mode in modes if mode].count("none") == 1
    return False


def nested(path: str, node: Node) -> Node:
    """Return the document {a: {b: value}} for the path `a.b` and a value, placed at the value's key.

    In `matrix.training.epochs` the name of the axis, with its dots, is one step.
    """
    section, _, axis = path.partition(".")
    for step in reversed([section, axis] if section == "matrix" and axis else path.split(".")):
        node = mapping({step: Node(node.value, node.place, node.key)}, node.key)
    return node


def overlay(settings: Iterable[tuple[str, Node]], place: SourcePosition) -> Node:
    """Return all settings as one document at `place`, to be merged at once, so that their order does not matter."""
    together = mapping({}, place)
    for path, node in settings:
        together = _merged(together, nested(path, node))
    return together


def load(file: str) -> Node:
    """Return a file merged over everything that it extends. Raise SpecError with all mistakes of all files.

    `file` may also be the name of a spec that comes with ntkbench, such as `quickstart`.
    """
    file = shipped.resolve(file)
    return merged(parse.read(file), file)


def merged(root: Node, file: str) -> Node:
    """Return the document of `file` merged over everything that it extends, whose paths are relative to the file.

    Raise SpecError with all mistakes of all files.
    """
    loading = _Loading()
    root = loading.extended(root, (file,))
    if root.size > parse.MAX_NODES or any(len(node.entries) > parse.MAX_KEYS for node in root.entries.values()):
        message = f"more than {parse.MAX_NODES} values, or {parse.MAX_KEYS} keys in one mapping, in all files together"
        loading.problems.append(root.key.problem("extends", message))
    if loading.problems:
        raise SpecError(loading.problems)
    return root


@dataclass
class _Loading:
    """The loading of a spec and of the files that it extends, each of which is read once."""

    problems: list[Problem] = field(default_factory=list)
    known: dict[str, Node | None] = field(default_factory=dict)
    """documents by the real path of their file; None for files with mistakes"""

    def extended(self, root: Node, chain: tuple[str, ...]) -> Node:
        """Return a document merged over its bases; `chain`: the files that led to it, itself last."""
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
        """Return the merged document of a file under `extends`; None, with a problem noted, if it cannot be used."""
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
        """Return why a file under `extends` is not read; None if it may be.

        Absolute paths and names that do not end like a spec's are refused: a spec from a stranger must not open other
        files.
        """
        if real in visited:
            return f"files that extend each other: {' -> '.join([*chain[visited.index(real) :], file])}"
        if os.path.isabs(name):
            return f"{name} is an absolute path; write the path relative to this file"
        if not os.path.isfile(file):
            return f"{file} is {_why_not(file)}"
        if not real.endswith(_SUFFIXES):
            return f"{file} is not named like a spec (of a link, its target's name counts): {' or '.join(_SUFFIXES)}"
        return f"more than {MAX_FILES} files" if len(self.known) >= MAX_FILES else None


def _references(named: Node, problems: list[Problem]) -> Sequence[Node]:
    """Return the names of files under `extends`; note a problem for what is no name."""
    references = named.items if isinstance(named.value, tuple) else (named,)
    for node in references:
        if not isinstance(node.value, str):
            problems.append(node.place.problem("extends", "expected the name of a file, or a list of names"))
    return [node for node in references if isinstance(node.value, str)]


def _why_not(file: str) -> str:
    """Return why a file cannot be read, with the name that was probably meant."""
    if os.path.isdir(file):
        return "a folder; name a file in it"
    folder, name = os.path.split(file)
    near = nearest(name, os.listdir(folder or ".")) if os.path.isdir(folder or ".") else None
    return "not there" + (f"; did you mean {near}?" if near else "; paths are relative to the file that names them")


def smoked(root: Node) -> Node:
    """Return the document with its `smoke` section applied.

    `matrix` and `seeds` of that section replace those of the document; everything else merges.
    """
    smoke = root.child("smoke")
    if smoke is None:
        return root
    replaced = {key for key in _REPLACED_BY_SMOKE if key in smoke.entries}
    kept = {key: node for key, node in root.entries.items() if key not in replaced | {"smoke"}}
    merged = merge(root.with_entries(kept), smoke)
    return Node(merged.value, root.place, root.key)


def overrides(assignments: Sequence[str]) -> list[tuple[str, Node]]:
    """Return the path and value of each assignment `path=value`; the n-th is line n of the file `--set`.

    Values that commas separate, such as `width=16,32`, are an axis of the matrix: a list for `matrix.width`. Those of
    `seeds` are a list of seeds. Raise SpecError with all assignments that cannot be read.
    """
    problems, settings = [], []
    for line, assignment in enumerate(assignments, 1):
        path, equals, value = assignment.partition("=")
        place = SourcePosition("--set", line, 1)
        if not (equals and value.strip() and re.fullmatch(r"[\w-]+(\.[\w-]+)*", path)):
            problems.append(
                place.problem("", f"{assignment!r} is not path=value, such as data.n_train=100 or width=null")
            )
            continue
        try:
            several = bool(_SEVERAL.fullmatch(value)) and (path == "seeds" or path.split(".")[0] in Cell.model_fields)
            node = parse.parse_value(f"[{value}]" if several else value, "--set", line, len(path) + 2 - several)
            path = f"matrix.{path}" if several and path != "seeds" else path
            settings.append((path, Node(node.value, node.place, place)))
        except SpecError as error:
            problems.extend(error.problems)
    if problems:
        raise SpecError(problems)
    return settings
