"""Units handed to other processes, and what comes back. The parent knows no JAX, and its memory does not grow."""

from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from typing import Any, Protocol, runtime_checkable

from ntkbench.bench.progress import Heard, Progress
from ntkbench.bench.unit import Unit
from ntkbench.errors import NtkbenchError


class ProcessLost(NtkbenchError):  # noqa: N818 (what happened to a run, as its record tells it)
    """The process that executed a unit died."""


class StarvedError(ProcessLost, MemoryError):
    """The process that executed a unit was ended because memory ran out."""


@runtime_checkable
class Crew(Protocol):
    """Other processes, which take units."""

    capacity: int
    """units that are handed over at once"""
    patience: int
    """how often the processes that execute a unit may die before it is given up"""

    def check(self, units: Sequence[Unit]) -> "Future[Any]":
        """That all there must be is there."""
        ...

    def do(self, unit: Unit, *, wait: bool, halve: bool) -> "Future[Any]":
        """Execute it, perhaps with half the tiles."""
        ...

    def give_up(self, unit: Unit, lost: ProcessLost) -> "Future[Any]":
        """Record what is left of it as ended."""
        ...

    def result(self, future: "Future[Any]") -> Heard | None:
        """What was told; None if another call on the same store is at the unit. ProcessLost."""
        ...

    def interrupt(self) -> None:
        """All that is being done ends in order."""
        ...


def drive(crew: Crew, units: Sequence[Unit], progress: Progress) -> None:
    """All units. Those that another call on the same store is at come last, and are waited for."""
    if heard := crew.result(crew.check(units)):
        heard.tell(progress)
    left = deque((unit, False) for unit in units)
    busy: dict[Future[Any], Unit] = {}
    deaths: Counter[str] = Counter()
    try:
        while left or busy:
            while left and len(busy) < crew.capacity:
                unit, waits = left.popleft()
                busy[crew.do(unit, wait=waits, halve=False)] = unit
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                unit = busy.pop(future)
                try:
                    heard = crew.result(future)
                except ProcessLost as lost:
                    deaths[unit.key] += 1
                    busy[_after(crew, unit, lost, deaths[unit.key], progress)] = unit
                    continue
                if heard is None:
                    left.append((unit, True))
                else:
                    heard.tell(progress)
    except KeyboardInterrupt:
        crew.interrupt()
        for future in wait(busy).done:
            _tell_the_rest(crew, future, progress)
        raise


def _after(crew: Crew, unit: Unit, lost: ProcessLost, deaths: int, progress: Progress) -> "Future[Any]":
    """Again, or not any more."""
    starved = isinstance(lost, StarvedError)
    if deaths >= (2 if starved else crew.patience):
        return crew.give_up(unit, lost)
    progress.warn(f"{lost}; again{', with half the tiles' if starved else ''}")
    return crew.do(unit, wait=True, halve=starved)


def _tell_the_rest(crew: Crew, future: "Future[Any]", progress: Progress) -> None:
    """What had ended before the interrupt; how the rest ends is no matter."""
    with suppress(Exception):
        if heard := crew.result(future):
            heard.tell(progress)
