"""Adaptive intervals of a training: how many steps until it next reports, and when to save its state.

`training.states` takes a `Pace` as its argument `most`; the loop around it asks a `Keeping` after each report.
"""

import time
from dataclasses import dataclass, field

_SECONDS = 2.0
"""seconds of training between two reports, about"""
_FASTER = 4
"""largest factor by which the number of steps grows at once; the first steps are slow, as they are compiled"""
_KEPT = 5.0
"""least number of seconds between two saved states"""
_SHARE = 20
"""least ratio of the time between two saved states to the time that saving takes, so that it costs 5 % at most"""


@dataclass
class Pace:
    """The number of training steps that take about `_SECONDS`, estimated from the steps since the last call."""

    _most: int = 1
    _before: tuple[int, float] | None = None

    def __call__(self, step: int) -> int:
        """Return how many steps to take at most from `step`, the number of steps done so far."""
        now = time.perf_counter()
        if self._before is not None:
            steps, seconds = step - self._before[0], max(now - self._before[1], 1e-9)
            self._most = max(1, int(min(_FASTER * self._most, _SECONDS * steps / seconds)))
        self._before = step, now
        return self._most


@dataclass
class Keeping:
    """A clock that tells whether enough time has passed since the last saved state to save another."""

    _last: float = field(default_factory=lambda: time.perf_counter())
    _took: float = 0.0

    @property
    def is_due(self) -> bool:
        """Return whether the next state should be saved, by the time since the last save and the time that it took."""
        return time.perf_counter() - self._last > max(_KEPT, _SHARE * self._took)

    def kept(self, took: float) -> None:
        """Note that a state was saved just now, which took so many seconds."""
        self._last, self._took = time.perf_counter(), took
