"""Bounds that a leaderboard sets on what it leaves free: path patterns with wildcards, and the values allowed there.

They are `constrain` in a `track.yaml`; a pattern applies to every field of a cell whose path it matches:

violations({"kernels.*.kind": "infinite"}, fields(cell))    # of a cell with an empirical kernel `late`:
# kernels.late.kind: the track asks for infinite, the runs have empirical
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import Field

from ntkbench.documents import Document, Line
from ntkbench.spec import cell, schema
from ntkbench.spec.document import Node, SourcePosition, mapping
from ntkbench.text import one_line

Pattern = Annotated[str, Field(pattern=r"^([A-Za-z0-9_-]+|\*)(\.([A-Za-z0-9_-]+|\*))*$", max_length=200)]
Value = Line | bool | int | float | None
"""a value that a field of a cell may have"""


class Range(Document):
    """The numbers from `min` to `max`, both included; null: no bound."""

    min: float | None = None
    max: float | None = None

    def __str__(self) -> str:
        ends = (("at least", self.min), ("at most", self.max))
        return " and ".join(f"{word} {end:g}" for word, end in ends if end is not None)


Allowed = Range | Value | Annotated[tuple[Value, ...], Field(min_length=1)]
"""the values that a pattern allows: a range, one value, or several"""


def violations(rules: Mapping[str, Allowed], leaves: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each field (`leaves`: values by path) that matches a pattern and has a value not allowed.

    What is asked of a training is asked of one in a single mode; one in phases has no such fields, and is refused.
    """
    if "training.phases" in leaves and any(pattern.startswith("training.") for pattern in rules):
        yield "training.phases: the track asks for a training in one mode, the runs have phases"
    for pattern, allowed in rules.items():
        for path, value in leaves.items():
            if matches(pattern, path) and not _is_allowed(value, allowed):
                yield f"{path}: the track asks for {words(allowed)}, the runs have {_word(value)}"


def matches(pattern: str, path: str) -> bool:
    """Return whether a path matches a pattern, in which `*` stands for any one step."""
    one, two = pattern.split("."), path.split(".")
    return len(one) == len(two) and all(a in ("*", b) for a, b in zip(one, two, strict=True))


def known(pattern: str) -> bool:
    """Return whether some cell can have a path that matches the pattern, so that it is no misspelling."""
    return any(all(map(_fits, pattern.split("."), path.split("."))) for path in _paths(pattern.count(".")))


@cache
def _paths(dots: int) -> frozenset[str]:
    """Return all paths with that many dots that a cell can have, with `*` for ids."""
    place = SourcePosition("", 1, 1)
    ids = mapping({"*": mapping({}, place)}, place)
    root: Node = mapping(dict.fromkeys(cell.BY_ID, ids), place)
    return frozenset(path for path in schema.paths(root) if path.count(".") == dots)


def _fits(wanted: str, step: str) -> bool:
    """Return whether two steps can be equal; `*` on either side is any."""
    return "*" in (wanted, step) or wanted == step


def _is_allowed(value: Any, allowed: Allowed) -> bool:
    """Return whether a value is allowed; true and 1 are different values, though Python holds them equal."""
    if isinstance(allowed, Range):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return (
            number and (allowed.min is None or value >= allowed.min) and (allowed.max is None or value <= allowed.max)
        )
    choices = allowed if isinstance(allowed, tuple) else (allowed,)
    return any(value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in choices)


def words(allowed: Allowed) -> str:
    """Return allowed values as messages show them: `at least 1 and at most 4`, `fgsm or pgd`."""
    if isinstance(allowed, Range):
        return str(allowed)
    return " or ".join(map(_word, allowed if isinstance(allowed, tuple) else (allowed,)))


def _word(value: Any) -> str:
    """Return a value as a spec writes it."""
    return ({None: "null", True: "true", False: "false"}[value]) if _is_word(value) else one_line(value)


def _is_word(value: Any) -> bool:
    return value is None or isinstance(value, bool)
