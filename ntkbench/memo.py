"""Remember results of functions by the very objects that they were given.

The cells of a matrix share most of their sections as objects. These are frozen, so that an object can stand for what is
in it: to hash or compare it would take as long as the work that is saved.

    @by_identity
    def layers(architecture: Architecture) -> tuple[Layer, ...]: ...
"""

from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_MOST = 2**14
"""results that a function keeps: more than one for each run of the largest spec"""


def by_identity(function: Callable[P, T]) -> Callable[P, T]:
    """Return the function with a memory of its last results; an error is not remembered.

    Arguments are positional, and neither they nor the result may ever change.
    """
    # An object that is kept with its result lives as long as its `id` stands for it.
    remembered: dict[tuple[int, ...], tuple[T, tuple[Any, ...]]] = {}
    lock = Lock()

    @wraps(function)
    def call(*arguments: P.args, **_: P.kwargs) -> T:
        same = tuple(map(id, arguments))
        if (known := remembered.get(same)) is not None:
            return known[0]
        found = function(*arguments)  # type: ignore[call-arg]
        with lock:
            remembered[same] = found, arguments
            if len(remembered) > _MOST:
                del remembered[next(iter(remembered))]
        return found

    return call
