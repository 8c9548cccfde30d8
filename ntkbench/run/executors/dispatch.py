"""Hand units of work to other processes, and repeat what they report.

The executors `pool` (processes of this machine) and `cluster` (Ray) implement `Executor` and call `drive`, which asks
for tasks with one verb; a worker process does them with `call`:

    executor.call("execute", unit=unit, wait=False)        # in the parent: a Future
    call(job, "execute", {"unit": unit, "wait": False})    # in the worker: Worker.execute(unit, wait=False)

The parent process does not use JAX and holds no results: workers write these to the store themselves.
"""

import functools
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import nullcontext, suppress
from typing import Any, Literal, Protocol, runtime_checkable

from ntkbench.errors import NtkbenchError
from ntkbench.plan.cost.tiles import TiledMatrix
from ntkbench.plan.runs import Unit
from ntkbench.run.interrupt import interruptible
from ntkbench.run.job import Job
from ntkbench.run.progress import BufferedProgress, Progress
from ntkbench.run.worker import Worker

Task = Literal["check", "fill", "compute_stage", "execute", "give_up"]
"""what a worker process is asked for: the name of a method of `Worker`"""


class ProcessLost(NtkbenchError):  # noqa: N818 (what happened to a run, as its record tells it)
    """The process that executed a unit died."""


class StarvedError(ProcessLost, MemoryError):
    """The process that executed a unit was ended because memory ran out."""


@runtime_checkable
class Executor(Protocol):
    """A set of worker processes that execute units: the interface that `drive` needs of an executor."""

    capacity: int
    """the largest number of units in work at once"""
    max_deaths: int
    """the number of deaths of its process after which a unit is given up"""

    def call(self, task: Task, **arguments: Any) -> "Future[Any]":
        """Start a task in a worker process: the method `task` of its `Worker`, with these arguments."""
        ...

    def result(self, future: "Future[Any]") -> BufferedProgress | None:
        """Return what a finished task reported; None if it was skipped for another command, or cancelled.

        Raise ProcessLost if the task's process died, and whatever the task itself raised.
        """
        ...

    def interrupt(self) -> None:
        """Ask every running task to stop in order, so that the runs at work are recorded as interrupted."""
        ...


def drive(executor: Executor, units: Sequence[Unit], progress: Progress, matrices: Sequence[TiledMatrix] = ()) -> None:
    """Execute all units with an executor, and report their runs to `progress`.

    Before the units, all processes compute the tiles of `matrices` together. A unit that another command on the same
    store is executing is moved to the end of the queue and waited for. A unit whose process dies is tried again, with
    tiles of half the size if memory ran out; it is given up after `executor.max_deaths` deaths, or the second one for
    lack of memory. KeyboardInterrupt stops the workers in order and is raised again. Raise ProcessLost if the process
    dies that records a unit as given up.
    """
    if heard := executor.result(executor.call("check", units=list(units))):
        heard.tell(progress)
    _fill(executor, matrices, progress)
    left = deque((unit, False) for unit in units)
    busy: dict[Future[Any], Unit] = {}
    deaths: Counter[str] = Counter()
    given_up: set[str] = set()
    try:
        while left or busy:
            while left and len(busy) < executor.capacity:
                unit, waits = left.popleft()
                busy[executor.call("execute", unit=unit, wait=waits)] = unit
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                unit = busy.pop(future)
                try:
                    heard = executor.result(future)
                except ProcessLost as lost:
                    if unit.key in given_up:  # no process lives long enough to record even that
                        raise
                    deaths[unit.key] += 1
                    if deaths[unit.key] >= (2 if isinstance(lost, StarvedError) else executor.max_deaths):
                        given_up.add(unit.key)
                        busy[executor.call("give_up", unit=unit, failure=lost)] = unit
                    else:
                        busy[_again(executor, unit, lost, progress)] = unit
                    continue
                if heard is None:
                    left.append((unit, True))
                else:
                    heard.tell(progress)
    except KeyboardInterrupt:
        _stop(executor, busy, progress)
        raise


def _fill(executor: Executor, matrices: Sequence[TiledMatrix], progress: Progress) -> None:
    """Have every process compute tiles of these matrices, each matrix until none of its tiles is left.

    A process that dies loses one tile, which another one or the unit that needs it computes.
    """
    left = deque(matrix for matrix in matrices for _ in range(min(executor.capacity, matrix.tiles)))
    busy: set[Future[Any]] = set()
    try:
        while left or busy:
            while left and len(busy) < executor.capacity:
                busy.add(executor.call("fill", matrix=left.popleft()))
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                busy.remove(future)
                with suppress(ProcessLost):
                    if heard := executor.result(future):
                        heard.tell(progress)
    except BaseException:
        _stop(executor, busy, progress)
        raise


def _stop(executor: Executor, busy: Iterable["Future[Any]"], progress: Progress) -> None:
    """Ask the tasks that are at work to stop in order, and report what they did until then."""
    executor.interrupt()
    for future in wait(busy).done:
        _tell_the_rest(executor, future, progress)


def _again(executor: Executor, unit: Unit, lost: ProcessLost, progress: Progress) -> "Future[Any]":
    """Start another attempt at a unit whose process died, with tiles of half the size if memory ran out."""
    starved = isinstance(lost, StarvedError)
    progress.warn(f"{lost}; again{', with half the tiles' if starved else ''}")
    return executor.call("execute", unit=unit, wait=True, halve=starved)


def _tell_the_rest(executor: Executor, future: "Future[Any]", progress: Progress) -> None:
    """Report the runs that ended before an interrupt; errors of their task no longer matter."""
    with suppress(Exception):
        if heard := executor.result(future):
            heard.tell(progress)


@functools.cache
def _worker(job: Job) -> Worker:
    """Return the worker of a job in this process, made at the first call.

    It is kept between calls, and with it data, kernels and compiled programs.
    """
    return Worker(job)


def call(job: Job, task: Task, arguments: Mapping[str, Any], *needs: Any) -> BufferedProgress | None:
    """Do in this process, a worker, what the process that drives the plan asks for, and return what was reported.

    Return None if another process holds the unit. After an interrupt, what was reported until then is returned.

    Args:
        task: the method of `Worker`.
        arguments: its arguments, without `progress`.
        needs: results of tasks that have ended before; they are not used.
    """
    heard = BufferedProgress()
    try:
        with interruptible() if task in ("execute", "fill") else nullcontext():
            held = getattr(_worker(job), task)(**arguments, progress=heard)
    except KeyboardInterrupt:
        return heard
    return None if held is False else heard
