"""What other processes do with a unit. They keep their worker, and with it data, kernels and compiled programs."""

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
    return Worker(job)


def check(job: Job, units: Sequence[Unit]) -> Heard:
    """DataError if a data set is missing here."""
    _worker(job).check(units, heard := Heard())
    return heard


def share(job: Job, run: Run, stage: Shared, name: str) -> None:
    """Makes what runs share. If that cannot be, each of them will find out, and its record will say so."""
    with suppress(Exception):
        _worker(job).share(run, stage, name)


def do(job: Job, unit: Unit, wait: bool, halve: bool) -> Heard | None:
    """What the unit's runs told; None if another process is at it."""
    heard = Heard()
    try:
        with interruptible():
            done = _worker(job).do(unit, heard, wait=wait, halve=halve)
    except KeyboardInterrupt:
        return heard
    return heard if done else None


def give_up(job: Job, unit: Unit, lost: ProcessLost) -> Heard:
    """Records what is left of it as ended."""
    _worker(job).give_up(unit, lost, heard := Heard())
    return heard
