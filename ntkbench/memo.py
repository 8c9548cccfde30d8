"""Remember results of functions by the very objects that they were given.

The cells of a matrix share most of their sections as objects. These are frozen, so that an object can stand for what is
in it: to hash or compare it would take as long as the work that is saved.

    @by_identity
    def layers(architecture: Architecture) -> tuple[Layer, ...]: ...
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_MOST = 2**14
"""results that a function keeps: more than one for each run of the largest spec"""


class _Same:
    """Stand for an object in a key: equal to itself alone. The object lives as long as the key."""

    __slots__ = ("it",)

    def __init__(self, it: Any):
        self.it = it

    def __hash__(self) -> int:
        return id(self.it)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.it is other.it


def by_identity(function: Callable[P, T]) -> Callable[P, T]:
    """Return the function with a memory of its last results; an error is not remembered.

    Arguments are positional, and neither they nor the result may ever change.
    """

    @lru_cache(_MOST)
    def remembered(*same: _Same) -> T:
        return function(*(each.it for each in same))  # type: ignore[call-arg]

    @wraps(function)
    def call(*arguments: P.args, **_: P.kwargs) -> T:
        return remembered(*map(_Same, arguments))

    return call
