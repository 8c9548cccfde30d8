"""The JSON Schema of a spec file, and what can be asked of it: which paths there are, what stands at one."""

import json
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from ntkbench.bench.document import Node, Path
from ntkbench.bench.extensions import Kinds
from ntkbench.bench.identity import canonical
from ntkbench.bench.prose import described
from ntkbench.bench.spec import BY_ID, Cell, Header

Schema = Mapping[str, Any]
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
    """Of a whole file. Nothing is required, at any depth: a file may extend another, which has the rest."""
    header, cell = (_partial(described(model.model_json_schema(), model)) for model in (Header, Cell))
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
    """Without `required`; what was one of several kinds may then be any of them, as its kind may stand elsewhere."""
    if isinstance(schema, list):
        return [_partial(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key not in ("required", "discriminator")}
    return {"anyOf" if key == "oneOf" else key: _partial(value) for key, value in kept.items()}


def dumps() -> str:
    """The text of docs/spec-v1.schema.json."""
    return json.dumps(canonical(document()), indent=1, allow_nan=False) + "\n"


def branches(schema: Schema) -> Iterator[Schema]:
    """The alternatives, references followed."""
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
    """The field that tells the alternatives apart: `kind`, `mode`, `op`, or none."""
    fields = {name for branch in branches(schema) for name in branch.get("properties", ())}
    return next((name for name in ("kind", "mode", "op") if name in fields), None)


def tags(schema: Schema) -> tuple[str, ...]:
    """What may stand in that field."""
    name = tag(schema)
    return tuple(word for branch in branches(schema) for word in words(branch.get("properties", {}).get(name, {})))


def words(schema: Schema) -> tuple[Any, ...]:
    """The literals that a schema allows."""
    return (schema["const"],) if "const" in schema else tuple(schema.get("enum", ()))


def chosen(schema: Schema, node: Node | None) -> tuple[Schema, ...]:
    """The alternatives that a value can mean, by its `kind` if it has one."""
    every, name = tuple(branches(schema)), tag(schema)
    said = node.child(name) if node is not None and name else None
    fitting = [branch for branch in every if said and said.value in words(branch.get("properties", {}).get(name, {}))]
    return tuple(fitting) or every


def fields(schemas: tuple[Schema, ...]) -> Mapping[str, Schema]:
    """The fields of some alternatives together."""
    return {name: field for schema in schemas for name, field in schema.get("properties", {}).items()}


def step(schema: Schema, key: str | int, node: Node | None) -> Schema | None:
    """What stands below `schema` at `key`; None if nothing can."""
    for branch in chosen(schema, node):
        if isinstance(key, int):
            if "items" in branch:
                return branch["items"]
        elif key in branch.get("properties", {}):
            return branch["properties"][key]
        elif "patternProperties" in branch:
            return next(iter(branch["patternProperties"].values()))
    return None


def at(path: Path, root: Node) -> Schema | None:
    """What can stand at `path` of a document; None if nothing can."""
    schema: Schema | None = document()
    node: Node | None = root
    for key in path:
        schema = step(schema, key, node) if schema is not None else None
        node = node.child(key) if node is not None else None
    return schema


def paths(root: Node) -> frozenset[str]:
    """Every dotted path that this document may have, of any kind; ids are those that it has.

    Read off the models: their JSON Schema takes longer to make than all the rest, and only mistakes need it.
    """
    fields = Cell.model_fields | {name: Header.model_fields[name] for name in ("run", *_SCALARS)}
    found = {
        path for name, field in fields.items() for path in _below(name, field.rebuild_annotation(), root.child(name))
    }
    axes = root.child("matrix")
    return frozenset(found | {"matrix", *(f"matrix.{axis}" for axis in (axes.entries if axes else ()))})


def holds(path: str, node: Node, known: Collection[str]) -> bool:
    """Whether `path` can be set to this value: a field, or a new id with a whole mapping."""
    section, _, name = path.partition(".")
    new = section in BY_ID and name and "." not in name and isinstance(node.value, Mapping)
    return path in known or bool(new)


_SCALARS = tuple(name for name in Header.model_fields if name not in ("run", "matrix", "smoke", "extends"))


def elsewhere(name: str, known: Collection[str]) -> str | None:
    """The path that ends in this name, if there is one nearer to the top than all others."""
    same = sorted((path.count("."), path) for path in known if path.rpartition(".")[2] == name)
    return same[0][1] if same and (len(same) == 1 or same[0][0] < same[1][0]) else None


def _below(path: str, annotation: Any, node: Node | None) -> Iterator[str]:
    yield path
    parts = get_args(annotation)  # of Annotated: what is annotated, and with what
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            yield from _below(f"{path}.{name}", field.rebuild_annotation(), node.child(name) if node else None)
    elif get_origin(annotation) is dict:
        for name in node.entries if node else ():
            yield from _below(f"{path}.{name}", parts[1], node.child(name) if node else None)
    elif get_origin(annotation) in (Union, UnionType):
        for part in parts:
            yield from _below(path, part, node)
    elif get_origin(annotation) is Annotated:
        added = (model for about in parts[1:] if isinstance(about, Kinds) for model in about.models)
        for part in (parts[0], *added):
            yield from _below(path, part, node)
