"""Hand units of work to other processes, hear what comes back, and do in them what is asked."""

import functools
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from typing import Any, Protocol, runtime_checkable

from ntkbench.errors import NtkbenchError
from ntkbench.plan.keys import Shared
from ntkbench.plan.runs import Run, Unit
from ntkbench.run.interrupt import interruptible
from ntkbench.run.job import Job
from ntkbench.run.progress import BufferedProgress, Progress
from ntkbench.run.worker import Worker

# Hand units of work to other processes, and pass on what these report.
#
# The executors `pool` (processes of this machine) and `cluster` (Ray) implement `Executor` and call `drive`. The parent
# process imports no JAX and holds no results: workers write these to the store themselves.


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

    def check(self, units: Sequence[Unit]) -> "Future[Any]":
        """Start a check, in one worker, that the units' data sets are there and its memory is not far too small."""
        ...

    def do(self, unit: Unit, *, wait: bool, halve: bool) -> "Future[Any]":
        """Start the execution of a unit in a worker.

        `wait`: wait for another command that is executing the unit, instead of skipping it. `halve`: use tiles of half
        the size, since memory ran out before.
        """
        ...

    def give_up(self, unit: Unit, lost: ProcessLost) -> "Future[Any]":
        """Start a task that records every unfinished run of the unit as ended by the loss of its process."""
        ...

    def result(self, future: "Future[Any]") -> BufferedProgress | None:
        """Return what a finished task reported; None if it was skipped for another command, or cancelled.

        Raise ProcessLost if the task's process died, and whatever the task itself raised.
        """
        ...

    def interrupt(self) -> None:
        """Ask every running task to stop in order, so that the runs at work are recorded as interrupted."""
        ...


def drive(executor: Executor, units: Sequence[Unit], progress: Progress) -> None:
    """Execute all units with an executor, and report their runs to `progress`.

    A unit that another command on the same store is executing is moved to the end of the queue and waited for. A unit
    whose process dies is tried again, with tiles of half the size if memory ran out; it is given up after
    `executor.max_deaths` deaths, or the second one for lack of memory. KeyboardInterrupt stops the workers in order
    and is raised again. Raise ProcessLost if the process dies that records a unit as given up.
    """
    if heard := executor.result(executor.check(units)):
        heard.tell(progress)
    left = deque((unit, False) for unit in units)
    busy: dict[Future[Any], Unit] = {}
    deaths: Counter[str] = Counter()
    given_up: set[str] = set()
    try:
        while left or busy:
            while left and len(busy) < executor.capacity:
                unit, waits = left.popleft()
                busy[executor.do(unit, wait=waits, halve=False)] = unit
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
                        busy[executor.give_up(unit, lost)] = unit
                    else:
                        busy[_again(executor, unit, lost, progress)] = unit
                    continue
                if heard is None:
                    left.append((unit, True))
                else:
                    heard.tell(progress)
    except KeyboardInterrupt:
        executor.interrupt()
        for future in wait(busy).done:
            _tell_the_rest(executor, future, progress)
        raise


def _again(executor: Executor, unit: Unit, lost: ProcessLost, progress: Progress) -> "Future[Any]":
    """Start another attempt at a unit whose process died, with tiles of half the size if memory ran out."""
    starved = isinstance(lost, StarvedError)
    progress.warn(f"{lost}; again{', with half the tiles' if starved else ''}")
    return executor.do(unit, wait=True, halve=starved)


def _tell_the_rest(executor: Executor, future: "Future[Any]", progress: Progress) -> None:
    """Report the runs that ended before an interrupt; errors of their task no longer matter."""
    with suppress(Exception):
        if heard := executor.result(future):
            heard.tell(progress)


# The functions that a worker process executes for the process that drives a plan.
#
# `pool` and `cluster` send them to other processes. Each process keeps the worker of its job between calls, and with it
# data, kernels and compiled programs.


@functools.cache
def _worker(job: Job) -> Worker:
    """Return the worker of a job in this process, made at the first call."""
    return Worker(job)


def check(job: Job, units: Sequence[Unit]) -> BufferedProgress:
    """Check that this process has the data sets and the memory that the units need; return its warnings.

    Raises DataError for a missing data set, and UsageError if there is far too little memory.
    """
    _worker(job).check(units, heard := BufferedProgress())
    return heard


def share(job: Job, run: Run, stage: Shared, name: str) -> None:
    """Compute and store what several runs have in common; a failure is ignored here.

    Each run that needs it then meets the same failure, and its record tells of it.

    Args:
        stage: `kernel` or `craft` (examples that an attack makes on a kernel).
        name: the id of the kernel or of the attack in the run's cell.
    """
    with suppress(Exception):
        _worker(job).compute_stage(run, stage, name)


def do(job: Job, unit: Unit, wait: bool, halve: bool) -> BufferedProgress | None:
    """Execute what is left of a unit, and return what its runs reported; None if another process holds the unit.

    Args:
        wait: whether to wait for that other process instead.
        halve: whether to begin with half the memory for a tile.

    After an interrupt, what was reported until then is returned.
    """
    heard = BufferedProgress()
    try:
        with interruptible():
            done = _worker(job).execute(unit, heard, wait=wait, halve=halve)
    except KeyboardInterrupt:
        return heard
    return heard if done else None


def give_up(job: Job, unit: Unit, lost: ProcessLost) -> BufferedProgress:
    """Record the runs that are left of a unit as ended by `lost`, the death of their process; return the reports."""
    _worker(job).give_up(unit, lost, heard := BufferedProgress())
    return heard
