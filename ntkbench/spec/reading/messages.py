"""Turn what pydantic finds wrong with a spec into plain English, each mistake at its line and column.

Called by the reader of specs: `problems(error, root)` yields the messages, where `root` is the parsed document.
"""

import math
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from pydantic import ValidationError

from ntkbench.errors import MOST, Problem
from ntkbench.spec import schema
from ntkbench.spec.cell import Cell
from ntkbench.spec.document import Node, Path, dotted, found, text
from ntkbench.spec.schema import Schema
from ntkbench.text import did_you_mean, nearest

_OUR_OWN = ("repeated", "mode", "budget")
"""types of pydantic errors that validators of ntkbench raise, with messages fit to show"""
_NO_VALUE = ("union_tag_invalid", "union_tag_not_found", "literal_error")
"""types of pydantic errors that say that a word is none of those known"""


def problems(error: ValidationError, root: Node) -> Iterator[Problem]:
    """Yield one problem for each place with a mistake: the first that pydantic found there.

    `root`: the document, whose nodes know their places. A list with mistakes in its items is not reported itself. No
    more than `MOST + 1` errors of pydantic are considered.
    """
    details: dict[Path, Mapping[str, Any]] = {}
    for detail in error.errors(include_url=False)[: MOST + 1]:
        details.setdefault(_path(detail, root), detail)
    for path, detail in details.items():
        deeper = any(len(other) > len(path) and other[: len(path)] == path for other in details)
        if not (deeper and (root.at(path).items or detail["type"] == "too_short")):
            yield _problem(path, detail, root)


def unknown(path: Path, root: Node) -> Problem:
    """Return the problem of a key that no field has.

    Its message names the field that was probably meant, the kind that has such a field, or the fields there are.
    """
    name, parent = str(path[-1]), root.at(path[:-1])
    holder = schema.at(path[:-1], root) or {}
    known = schema.fields(schema.chosen(holder, parent))
    elsewhere = None if nearest(name, known, 0.8) else schema.elsewhere(name, schema.paths(root))
    why = (
        _of_another(name, holder, known) or (elsewhere and f"; did you mean {elsewhere}?") or did_you_mean(name, known)
    )
    return root.at(path).key.problem(path, f"unknown field{why}")


def missing(path: Path, root: Node) -> Problem:
    """Return the problem of a required field that is absent; it points at the mapping that lacks the field."""
    field = schema.at(path, root) or {}
    holder = schema.at(path[:-1], root) or {}
    about = f": {field.get('description') or expected(field)}"
    if path[-1] == schema.tag(holder):
        about = f"; write {path[-1]}: {' or '.join(schema.tags(holder))}"
    elif "examples" in field:
        about += f", such as {path[-1]}: {field['examples'][0]}"
    elif "const" in field:
        about = f"; write {path[-1]}: {field['const']}"
    return root.at(path[:-1]).key.problem(path, "missing" + about)


def expected(field: Schema) -> str:
    """Return what a field accepts, in English.

    A type's own text (`notation.Expects`) comes first; otherwise it follows from the schema: `a whole number, 1 or
    more, or null`.
    """
    if "$comment" in field:
        return field["$comment"]
    if "$ref" not in field and not field.get("anyOf"):
        return _simple(field)
    nullable = any(branch.get("type") == "null" for branch in schema.branches(field))
    if (name := schema.tag(field)) and not nullable:
        return f"a mapping with {name}: {', '.join(schema.tags(field))}"
    members = field.get("anyOf") or tuple(schema.branches(field))
    return ", or ".join(dict.fromkeys(expected(member) for member in members))


def _simple(field: Schema) -> str:
    """Return what a schema without alternatives accepts."""
    if words := schema.words(field):
        return ", ".join(map(str, words)) if len(words) == 1 else "one of " + ", ".join(map(str, words))
    kind = field.get("type")
    if kind == "integer":
        return "a whole number" + _range(field)
    if kind == "array":
        return f"a list of {expected(field['items'])}"
    names = {"null": "null", "string": "text", "boolean": "true or false", "number": "a number", "object": "a mapping"}
    return names.get(str(kind), "something else")


def _range(field: Schema) -> str:
    """Return the bounds of an integer, to append to its name; 0 is the least where the schema gives none."""
    low = field.get("minimum", field.get("exclusiveMinimum", -1) + 1)
    return f" from {low} to {field['maximum']}" if "maximum" in field else f", {low} or more"


def _path(detail: Mapping[str, Any], root: Node) -> Path:
    """Return the path of an error in the document: pydantic's path, without the alternatives of unions it tried."""
    path: Path = ()
    node: Node | None = root
    steps = (*detail["loc"], *detail.get("ctx", {}).get("at", ()))
    for number, key in enumerate(steps):
        below = node.child(key) if node is not None else None
        last = number == len(steps) - 1
        if below is not None or (last and detail["type"] == "missing"):
            path, node = (*path, key), below
    if detail["type"].startswith("union_tag"):
        path = (*path, str(detail["ctx"]["discriminator"]).strip("'"))
    return path


def _problem(path: Path, detail: Mapping[str, Any], root: Node) -> Problem:
    """Return the message for one error of pydantic at `path`."""
    node, field = root.at(path), schema.at(path, root) or {}
    kind = detail["type"]
    if kind == "extra_forbidden":
        return unknown(path, root)
    if kind in ("missing", "union_tag_not_found"):
        return missing(path, root)
    if detail["loc"] and detail["loc"][-1] == "[key]":
        return node.key.problem(
            path, "not a good id; it is made of letters, digits, '_' and '-', and starts with a letter or a digit"
        )
    if kind in _OUR_OWN:
        return node.place.problem(path, detail["msg"])
    if kind == "too_short" and not node.entries and not node.items:
        return node.place.problem(path, "empty; " + _needs_one(path, field))
    if kind in _NO_VALUE and isinstance(node.value, str):
        return node.place.problem(path, _no_such_word(path, node.value, root))
    wanted = expected(field)
    hint = _several(path, node, wanted) or _hint(node.value, wanted)
    return node.place.problem(path, f"expected {wanted}, found {found(node)}{hint}")


def _several(path: Path, node: Node, wanted: str) -> str:
    """Return how to try several values of a field, where a list stands for its one value; otherwise an empty text."""
    a_value = path[0] in Cell.model_fields and not any(isinstance(key, int) for key in path)
    if not a_value or any(word in wanted for word in ("list", "mapping")) or len(node.items) < 2:
        return ""
    return f"; several values are an axis of the matrix: write matrix: {{{dotted(path)}: {text(node)}}}"


def _needs_one(path: Path, field: Schema) -> str:
    """Return what an empty list or mapping should hold."""
    return (
        f"expected {expected(field)}"
        if field.get("type") != "object"
        else f"a spec needs one of the {dotted(path)} at least"
    )


def _no_such_word(path: Path, word: str, root: Node) -> str:
    """Return the message for a word that is none of those known, with the nearest one or a hint."""
    holder, parent = schema.at(path[:-1], root) or {}, root.at(path[:-1])
    if path[-1] == schema.tag(holder):
        known = schema.tags(holder)
        near = nearest(word, known)
        listed = ", ".join(known)
        return f"unknown {path[-1]} {word!r}" + (f"; did you mean {near}? ({listed})" if near else f"; known: {listed}")
    field = schema.at(path, root) or {}
    words = [str(w) for branch in schema.branches(field) for w in schema.words(branch)]
    near = nearest(word, words) if parent else None
    return f"expected {expected(field)}, found {word!r}" + (
        f"; did you mean {near}?" if near else _hint(word, expected(field))
    )


def _of_another(name: str, holder: Schema, known: Mapping[str, Schema]) -> str | None:
    """Return the kinds that have a field of this name, to append to a message; None if no other kind has it.

    `known`: the fields of the kind that is written.
    """
    if name in known:
        return None
    tag = schema.tag(holder)
    owners = [
        str(schema.words(branch["properties"][tag])[0])
        for branch in schema.branches(holder)
        if tag and name in branch.get("properties", {}) and tag in branch["properties"]
    ]
    return f" here; it belongs to {tag}: {' or '.join(owners)}" if owners else None


def _hint(value: object, wanted: str) -> str:
    """Return how to correct a common slip of notation (`8 / 255`, `50%`, `yes`, quoted numbers), or an empty text."""
    if isinstance(value, str):
        if re.fullmatch(r"\d+ */ *\d+", value) and "number" in wanted:
            return f"; write {value.replace(' ', '')} without spaces"
        if (match := re.fullmatch(r"(\d+(?:\.\d+)?) *%", value)) and "fraction" in wanted:
            return f"; write a fraction of 1: {Fraction(match[1]) / 100}"
        if value.lower() in ("yes", "on", "no", "off") and "true" in wanted:
            return f"; write {'true' if value.lower() in ('yes', 'on') else 'false'}"
        if re.fullmatch(r"[-+]?\d[\d_]*(\.\d+)?", value) and "number" in wanted:
            return f"; write {value.replace('_', '').lstrip('0') or 0} without quotes"
    if isinstance(value, float) and math.isfinite(value) and value.is_integer() and "whole number" in wanted:
        return f"; write {int(value)}"
    if value is None and wanted == "a mapping":
        return "; leave the key out, or write {}"
    if value is not None and not isinstance(value, (str, dict, tuple)) and "text" in wanted:
        return "; put it in quotes"
    return ""
