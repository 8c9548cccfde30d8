"""Read the strings below the fields of a spec's sections from the source, as descriptions in the JSON Schema.

Only `schema` needs them, and most commands never ask for a schema; so they are read at that moment, not on import.
"""

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any

from ntkbench.bench.section import Section


def described(schema: dict[str, Any], model: type[Section]) -> dict[str, Any]:
    """Return the JSON Schema of a model, with the string below each field as its `description` if it has none.

    `schema` is changed in place.
    """
    known = {found.__name__: found for found in _below(Section)}
    for name, part in {model.__name__: schema, **schema.get("$defs", {})}.items():
        texts = _texts(known[name]) if name in known else {}
        for field, about in part.get("properties", {}).items():
            if field in texts:
                about.setdefault("description", texts[field])
    return schema


def _below(model: type[Section]) -> Iterator[type[Section]]:
    """Yield all subclasses of a model, at any depth."""
    for found in model.__subclasses__():
        yield found
        yield from _below(found)


def _texts(model: type[Section]) -> Mapping[str, str]:
    """Return the text of each field of a model, those of its base sections included."""
    texts: dict[str, str] = {}
    for found in reversed(model.__mro__):
        if issubclass(found, Section):
            texts |= _written(found.__module__).get(found.__name__, {})
    return texts


@cache
def _written(module: str) -> Mapping[str, Mapping[str, str]]:
    """Return, by class and field, the string literal that follows the field in the source of a module."""
    classes = [
        node for node in ast.parse(inspect.getsource(sys.modules[module])).body if isinstance(node, ast.ClassDef)
    ]
    return {node.name: dict(_fields(node.body)) for node in classes}


def _fields(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, text in pairwise(body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(value=ast.Constant(value=str(about))):
                yield name, inspect.cleandoc(about)
