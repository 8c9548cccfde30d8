"""What is written below the fields of a section: the reference's text.

Read from the source when a schema is asked for, since most commands never do.
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
    """The JSON Schema of a model, in which each field has its text."""
    known = {found.__name__: found for found in _below(Section)}
    for name, part in {model.__name__: schema, **schema.get("$defs", {})}.items():
        texts = _texts(known[name]) if name in known else {}
        for field, about in part.get("properties", {}).items():
            if field in texts:
                about.setdefault("description", texts[field])
    return schema


def _below(model: type[Section]) -> Iterator[type[Section]]:
    for found in model.__subclasses__():
        yield found
        yield from _below(found)


def _texts(model: type[Section]) -> Mapping[str, str]:
    """Its own, and those of the models that it builds on."""
    texts: dict[str, str] = {}
    for found in reversed(model.__mro__):
        if issubclass(found, Section):
            texts |= _written(found.__module__).get(found.__name__, {})
    return texts


@cache
def _written(module: str) -> Mapping[str, Mapping[str, str]]:
    """By class and field: the string that follows the field."""
    classes = [
        node for node in ast.parse(inspect.getsource(sys.modules[module])).body if isinstance(node, ast.ClassDef)
    ]
    return {node.name: dict(_fields(node.body)) for node in classes}


def _fields(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, text in pairwise(body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(value=ast.Constant(value=str(about))):
                yield name, inspect.cleandoc(about)
