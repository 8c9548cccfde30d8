"""How long things take: steps that fit into a few seconds, and when a state is worth keeping."""

import time
from dataclasses import dataclass, field

_SECONDS = 2.0
"""that a training goes on before somebody hears of it"""
_FASTER = 4
"""times as many steps at once as before, at most: the first ones say little, as they are compiled"""
_KEPT = 5.0
"""seconds between two states that are kept, at least"""
_SHARE = 20
"""times as long as it takes to keep a state is the least until the next"""


@dataclass
class Pace:
    """How many steps of a training take about `_SECONDS`, by those before."""

    _most: int = 1
    _before: tuple[int, float] | None = None

    def __call__(self, step: int) -> int:
        """At most so many from this step on."""
        now = time.perf_counter()
        if self._before is not None:
            steps, seconds = step - self._before[0], max(now - self._before[1], 1e-9)
            self._most = max(1, int(min(_FASTER * self._most, _SECONDS * steps / seconds)))
        self._before = step, now
        return self._most


@dataclass
class Keeping:
    """Whether so much time has passed since a state was kept that another one is worth its writing."""

    _last: float = field(default_factory=lambda: time.perf_counter())
    _took: float = 0.0

    @property
    def is_due(self) -> bool:
        return time.perf_counter() - self._last > max(_KEPT, _SHARE * self._took)

    def kept(self, took: float) -> None:
        """One was kept just now, in so many seconds."""
        self._last, self._took = time.perf_counter(), took
