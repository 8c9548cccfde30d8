"""The package as its source tells it: which module imports what, read with `ast`, nothing executed."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_MUTATORS = {"append", "add", "update", "setdefault", "pop", "clear", "extend", "insert", "remove", "discard"}


@dataclass(frozen=True)
class Module:
    """One file: its dotted name, its syntax tree, and the modules of the house that there are."""

    name: str
    tree: ast.Module
    house: frozenset[str]

    @cached_property
    def imports(self) -> frozenset[str]:
        """All modules named in import statements, those inside functions included; not those for type checkers."""
        return frozenset(name for node in _runs(self.tree) for name in self._named(node))

    def _named(self, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                yield module if module in self.house else node.module

    @property
    def hidden_imports(self) -> Iterator[tuple[str, str]]:
        """Functions and the modules that import statements inside of them name."""
        for function in ast.walk(self.tree):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from ((function.name, to) for node in ast.walk(function) for to in self._named(node))

    @property
    def classes(self) -> list[str]:
        """The names of the classes that are defined here."""
        return [node.name for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)]

    @property
    def relative_imports(self) -> list[int]:
        return [node.lineno for node in ast.walk(self.tree) if isinstance(node, ast.ImportFrom) and node.level]

    def attributes(self) -> Iterator[str]:
        """Dotted names that are used: `jax.config.update`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute):
                yield ast.unparse(node)

    def calls(self) -> Iterator[str]:
        """Functions that are called, as they are written."""
        return (ast.unparse(node.func) for node in ast.walk(self.tree) if isinstance(node, ast.Call))

    def asks_for(self) -> Iterator[str]:
        """Classes that something is asked to be an instance of."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
                classes = node.args[1]
                yield from map(ast.unparse, classes.elts if isinstance(classes, ast.Tuple) else [classes])

    def compared_strings(self) -> set[str]:
        """Literals that something is compared with, `case` included."""
        found = set()
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.Compare, ast.MatchValue)):
                constants = (part for part in ast.walk(node) if isinstance(part, ast.Constant))
                found |= {part.value for part in constants if isinstance(part.value, str)}
        return found

    def effects_at_import(self) -> list[str]:
        """Statements outside of functions whose result nobody keeps."""
        return [
            ast.unparse(node)
            for node in self.tree.body
            if isinstance(node, (ast.For, ast.While, ast.With))
            or (isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant))
        ]

    def mutated_globals(self) -> list[str]:
        """Names of the module that its functions write to."""
        names = {target.id for node in self.tree.body for target in _targets(node) if isinstance(target, ast.Name)}
        found = []
        for function in (node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)):
            for node in ast.walk(function):
                if isinstance(node, ast.Global):
                    found += node.names
                written = [target.value for target in _targets(node) if isinstance(target, ast.Subscript)]
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _MUTATORS:
                    written.append(node.func.value)
                found += [target.id for target in written if isinstance(target, ast.Name) and target.id in names]
        return found


def _runs(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _runs(node)


def _targets(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, (ast.AnnAssign, ast.AugAssign)) else []


def read(package: Path) -> dict[str, Module]:
    """Every module of a package by its dotted name."""
    files = {_dotted(path, package): path for path in sorted(package.rglob("*.py"))}
    names = frozenset(files)
    return {name: Module(name, ast.parse(path.read_text("utf-8")), names) for name, path in files.items()}


def _dotted(path: Path, package: Path) -> str:
    return ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")


def within(name: str, *folders: str) -> bool:
    """Whether a module is one of these, or below one."""
    return any(name == folder or name.startswith(f"{folder}.") for folder in folders)


def reach(house: dict[str, Module], name: str) -> dict[str, tuple[str, ...]]:
    """Everything that a module imports, at first or at several hands, each with the way there."""
    ways: dict[str, tuple[str, ...]] = {}
    waiting: list[tuple[str, tuple[str, ...]]] = [(name, (name,))]
    while waiting:
        here, way = waiting.pop(0)
        for target in sorted(house[here].imports) if here in house else ():
            if target not in ways:
                ways[target] = (*way, target)
                waiting.append((target, ways[target]))
    return ways


def cycles(house: dict[str, Module]) -> list[tuple[str, ...]]:
    """The ways of modules back to themselves."""
    return [ways[name] for name in house if name in (ways := reach(house, name))]
