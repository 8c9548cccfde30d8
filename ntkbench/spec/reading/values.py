"""Read a spec from Python values, such as those of a notebook, into the tree of nodes that YAML text becomes.

    root = document({"ntkbench": 1, "name": "mine", "width": 64}, "spec")

Values have no lines: their places have the line 0 and count them, so that mistakes are told in the order of the spec.
"""

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import count

from ntkbench.errors import SpecError
from ntkbench.spec.document import Node, SourcePosition
from ntkbench.spec.reading.parse import MAX_DEPTH

_WORDS = {"inf": math.inf}
"""texts that unquoted YAML reads as numbers, and that Python has no literal for"""


def document(value: Mapping[str, object], file: str) -> Node:
    """Return the document of a mapping; raise SpecError for keys that are no text, and for values that are no data.

    `file` is what messages call the spec.
    """
    return node(value, file)


def node(value: object, file: str) -> Node:
    """Return the node of any value: mappings, lists and tuples, texts, numbers, fractions, truth values and None.

    Numbers of NumPy and other libraries count as what their method `item` returns.
    """
    return _node(value, SourcePosition(file, 0, 0), (), count(1))


def _node(value: object, place: SourcePosition, path: tuple[str | int, ...], numbers: Iterator[int]) -> Node:
    """Return the node of a value at a path of the document; `numbers` counts the values."""
    if len(path) > MAX_DEPTH:
        raise SpecError([place.problem(path[:2], f"nested deeper than {MAX_DEPTH} levels")])
    if isinstance(value, Mapping):
        entries = {}
        for key, below in value.items():
            here = SourcePosition(place.file, 0, next(numbers))
            if not isinstance(key, str):
                raise SpecError([here.problem(path, f"a key must be text, and this is {key!r}")])
            entries[key] = _node(below, here, (*path, key), numbers)
        return Node(entries, place, place)
    if isinstance(value, list | tuple):
        items = (
            _node(below, SourcePosition(place.file, 0, next(numbers)), (*path, i), numbers)
            for i, below in enumerate(value)
        )
        return Node(tuple(items), place, place)
    if not isinstance(value, str | int | float | Fraction | None) and getattr(value, "shape", None) == ():
        value = value.item()  # type: ignore[attr-defined]
    if not isinstance(value, str | int | float | Fraction | None):
        message = f"a spec is plain data, and this is of the type {type(value).__name__}"
        raise SpecError([place.problem(path, message)])
    return Node(_WORDS.get(value, value) if isinstance(value, str) else value, place, place)
