"""The JSON Schema of a spec file (docs/spec-v1.schema.json), and questions to it: which paths there are, and what can
stand at one. Editors use the schema; messages, the reference pages and `--set` ask the questions.
"""

import ast
import inspect
import json
import sys
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from itertools import pairwise, product
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from ntkbench.spec.cell import BY_ID, Cell, Header
from ntkbench.spec.document import Node, Path
from ntkbench.spec.extensions import Kinds
from ntkbench.spec.identity import canonical
from ntkbench.spec.section import Section, WrittenOut

# The strings below the fields of sections become descriptions in the JSON Schema. They are read from the source files
# when a schema is asked for, which most commands never do.


def described(schema: dict[str, Any], model: type[Section]) -> dict[str, Any]:
    """Return the JSON Schema of a model, with the string below each field as its `description` if it has none.

    `schema` is changed in place.
    """
    known = {found.__name__: found for found in _subclasses(Section)}
    for name, part in {model.__name__: schema, **schema.get("$defs", {})}.items():
        texts = _texts(known[name]) if name in known else {}
        for field, about in part.get("properties", {}).items():
            if field in texts:
                about.setdefault("description", texts[field])
    return schema


def _subclasses(model: type[Section]) -> Iterator[type[Section]]:
    """Yield all subclasses of a model, at any depth."""
    for found in model.__subclasses__():
        yield found
        yield from _subclasses(found)


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


Schema = Mapping[str, Any]
"""a JSON Schema, or a part of one"""
_AXIS = {
    "description": "a path with the list of its values, or a name whose labels each set several paths",
    "anyOf": [
        {"type": "array", "minItems": 1},
        {"type": "object", "minProperties": 1, "additionalProperties": {"type": "object"}},
    ],
}
_EXCLUDE = {
    "description": "cells to leave out, each by the labels of some of its axes",
    "type": "array",
    "items": {"type": "object", "minProperties": 1},
}


@cache
def document() -> Schema:
    """Return the schema of a whole spec file.

    Nothing is required, at any depth: a file may extend another, which has the rest.
    """
    header, cell = (
        _partial(described(model.model_json_schema(schema_generator=WrittenOut), model)) for model in (Header, Cell)
    )
    properties = {**header["properties"], **cell["properties"]}
    fields = {key: {"$ref": f"#/properties/{key}"} for key in cell["properties"]}
    properties["matrix"] |= {"properties": {"exclude": _EXCLUDE}, "additionalProperties": _AXIS}
    properties["smoke"] |= {
        "properties": {**fields, **{key: {"$ref": f"#/properties/{key}"} for key in ("matrix", "seeds", "run")}},
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ntkbench spec, version 1",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": {**header.get("$defs", {}), **cell["$defs"]},
    }


def _partial(schema: Any) -> Any:
    """Return a schema without `required`, and with `anyOf` in place of `oneOf`.

    A mapping without its `kind`, which stands in another file, may be any of the alternatives.
    """
    if isinstance(schema, list):
        return [_partial(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key not in ("required", "discriminator")}
    return {"anyOf" if key == "oneOf" else key: _partial(value) for key, value in kept.items()}


def dumps() -> str:
    """Return the text of docs/spec-v1.schema.json.

    It allows null at the ids of kernels, networks, attacks and analyses: that drops what an extended file has there.
    """
    whole = canonical(document())
    for section in BY_ID:
        ((ids, below),) = whole["properties"][section]["patternProperties"].items()
        whole["properties"][section]["patternProperties"][ids] = {
            "anyOf": [*below.get("anyOf", [below]), {"type": "null"}]
        }
    return json.dumps(whole, indent=1, allow_nan=False) + "\n"


def branches(schema: Schema) -> Iterator[Schema]:
    """Yield the alternatives of a schema, with references followed; a schema without alternatives is its only one."""
    if reference := schema.get("$ref"):
        target: Any = document()
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
        yield from branches(target)
    elif members := schema.get("anyOf"):
        for member in members:
            yield from branches(member)
    else:
        yield schema


def tag(schema: Schema) -> str | None:
    """Return the field that tells the alternatives apart: `kind`, `mode` or `op`; None if they have none of these."""
    fields = {name for branch in branches(schema) for name in branch.get("properties", ())}
    return next((name for name in ("kind", "mode", "op") if name in fields), None)


def tags(schema: Schema) -> tuple[str, ...]:
    """Return the values that the field of `tag` can have."""
    name = tag(schema)
    return tuple(word for branch in branches(schema) for word in words(branch.get("properties", {}).get(name, {})))


def words(schema: Schema) -> tuple[Any, ...]:
    """Return the literals that a schema allows; none where it allows anything else."""
    return (schema["const"],) if "const" in schema else tuple(schema.get("enum", ()))


def chosen(schema: Schema, node: Node | None) -> tuple[Schema, ...]:
    """Return the alternatives that a value can mean, by its `kind` if it has one; all where that tells nothing."""
    every, name = tuple(branches(schema)), tag(schema)
    said = node.child(name) if node is not None and name else None
    fitting = [branch for branch in every if said and said.value in words(branch.get("properties", {}).get(name, {}))]
    return tuple(fitting) or every


def fields(schemas: tuple[Schema, ...]) -> Mapping[str, Schema]:
    """Return the fields of some alternatives together, with their schemas."""
    return {name: field for schema in schemas for name, field in schema.get("properties", {}).items()}


def step(schema: Schema, key: str | int, node: Node | None) -> Schema | None:
    """Return the schema of what stands below `schema` at `key`; None if nothing can.

    `node` is the value that is there, whose `kind` chooses between alternatives.
    """
    for branch in chosen(schema, node):
        if isinstance(key, int):
            if "items" in branch:
                return branch["items"]
            if key < len(branch.get("prefixItems", ())):
                return branch["prefixItems"][key]
        elif key in branch.get("properties", {}):
            return branch["properties"][key]
        elif "patternProperties" in branch:
            return next(iter(branch["patternProperties"].values()))
    return None


def at(path: Path, root: Node) -> Schema | None:
    """Return the schema of what can stand at `path` of a document; None if nothing can."""
    schema: Schema | None = document()
    node: Node | None = root
    for key in path:
        schema = step(schema, key, node) if schema is not None else None
        node = node.child(key) if node is not None else None
    return schema


def paths(root: Node, sections: Collection[str] | None = None) -> frozenset[str]:
    """Return every dotted path that a document may have, over all kinds of its sections; ids are those that it has.

    They are read off the models, which is faster than the JSON Schema, that only mistakes need. `sections`: those whose
    paths are asked for; None for all, and the axes of the matrix.
    """
    fields = Cell.model_fields | {name: Header.model_fields[name] for name in ("run", *_SCALARS)}
    found = {
        f"{place}{below}"
        for name, field in fields.items()
        if sections is None or name in sections
        for place, annotation in _by_id(name, field.rebuild_annotation(), root.child(name))
        for below in _below(annotation)
    }
    if sections is None:
        axes = root.child("matrix")
        found |= {"matrix", *(f"matrix.{axis}" for axis in (axes.entries if axes else ()))}
    return frozenset(found)


def holds(path: str, node: Node, known: Collection[str]) -> bool:
    """Return whether `path` can be set to the value of `node`: a path of `known`, or a new id with a whole mapping."""
    section, _, name = path.partition(".")
    new = section in BY_ID and name and "." not in name and isinstance(node.value, Mapping)
    return path in known or bool(new)


_SCALARS = tuple(name for name in Header.model_fields if name not in ("run", "matrix", "smoke", "extends"))
"""fields of the header that hold a value, and no paths below it"""


def elsewhere(name: str, known: Collection[str]) -> str | None:
    """Return the path that ends in this name and is nearer to the top than all others that do; None without such a
    path."""
    same = sorted((path.count("."), path) for path in known if path.rpartition(".")[2] == name)
    return same[0][1] if same and (len(same) == 1 or same[0][0] < same[1][0]) else None


def _by_id(name: str, annotation: Any, node: Node | None) -> Iterator[tuple[str, Any]]:
    """Yield a section's path and annotation, and those of each member that the document's `node` has in it by id."""
    yield name, annotation
    mappings = [each for each in alternatives(annotation) if get_origin(each) is dict]
    for mapping, identifier in product(mappings, node.entries if node else ()):
        yield f"{name}.{identifier}", get_args(mapping)[1]


def _below(annotation: Any) -> Iterator[str]:
    """Yield what can follow the path of a value of this type: nothing, or the path of a field of its models."""
    yield ""
    for each in alternatives(annotation):
        if _is_model(each):
            yield from _below_model(each)


@cache
def _below_model(model: type[BaseModel]) -> tuple[str, ...]:
    return tuple(
        f".{name}{below}" for name, field in model.model_fields.items() for below in _below(field.rebuild_annotation())
    )


def alternatives(annotation: Any) -> Iterator[Any]:
    """Yield the types of which a value may be one: members of unions, however nested, and models of other packages."""
    parts = get_args(annotation)  # of Annotated: the type, then its metadata
    if get_origin(annotation) in (Union, UnionType):
        for part in parts:
            yield from alternatives(part)
    elif get_origin(annotation) is Annotated:
        yield from alternatives(parts[0])
        for about in parts[1:]:
            yield from about.models if isinstance(about, Kinds) else ()
    else:
        yield annotation


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that an annotation names, also as items of lists and values of mappings."""
    for each in alternatives(annotation):
        if _is_model(each):
            yield each
        else:
            for part in get_args(each):
                yield from models(part)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
