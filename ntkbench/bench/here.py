"""The executor that runs units in this process, one after the other."""

from collections.abc import Sequence

from ntkbench.bench.job import Job
from ntkbench.bench.progress import Progress
from ntkbench.bench.unit import Unit
from ntkbench.bench.worker import Worker


def execute(job: Job, units: Sequence[Unit], progress: Progress) -> None:
    """Execute all units; those that another process is executing are left for the end, and waited for.

    Raise an error before the first unit if a data set is missing or the memory is far too small.
    """
    worker = Worker(job)
    worker.check(units, progress)
    waiting = [unit for unit in units if not worker.do(unit, progress, wait=False)]
    for unit in waiting:
        worker.do(unit, progress, wait=True)
