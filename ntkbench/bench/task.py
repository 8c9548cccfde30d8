"""The functions that a worker process executes for the process that drives a plan.

`pool` and `cluster` send them to other processes. Each process keeps the worker of its job between calls, and with it
data, kernels and compiled programs.
"""

import functools
from collections.abc import Sequence
from contextlib import suppress

from ntkbench.bench.drive import ProcessLost
from ntkbench.bench.interrupt import interruptible
from ntkbench.bench.job import Job
from ntkbench.bench.plan import Run
from ntkbench.bench.progress import Heard
from ntkbench.bench.stages import Shared
from ntkbench.bench.unit import Unit
from ntkbench.bench.worker import Worker


@functools.cache
def _worker(job: Job) -> Worker:
    """Return the worker of a job in this process, made at the first call."""
    return Worker(job)


def check(job: Job, units: Sequence[Unit]) -> Heard:
    """Check that this process has the data sets and the memory that the units need; return its warnings.

    Raises DataError for a missing data set, and UsageError if there is far too little memory.
    """
    _worker(job).check(units, heard := Heard())
    return heard


def share(job: Job, run: Run, stage: Shared, name: str) -> None:
    """Compute and store what several runs have in common; a failure is ignored here.

    Each run that needs it then meets the same failure, and its record tells of it.

    Args:
        stage: `kernel` or `craft` (examples that an attack makes on a kernel).
        name: the id of the kernel or of the attack in the run's cell.
    """
    with suppress(Exception):
        _worker(job).share(run, stage, name)


def do(job: Job, unit: Unit, wait: bool, halve: bool) -> Heard | None:
    """Execute what is left of a unit, and return what its runs reported; None if another process holds the unit.

    Args:
        wait: whether to wait for that other process instead.
        halve: whether to begin with half the memory for a tile.

    After an interrupt, what was reported until then is returned.
    """
    heard = Heard()
    try:
        with interruptible():
            done = _worker(job).do(unit, heard, wait=wait, halve=halve)
    except KeyboardInterrupt:
        return heard
    return heard if done else None


def give_up(job: Job, unit: Unit, lost: ProcessLost) -> Heard:
    """Record the runs that are left of a unit as ended by `lost`, the death of their process; return the reports."""
    _worker(job).give_up(unit, lost, heard := Heard())
    return heard
