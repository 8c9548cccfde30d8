"""The executor that is this process itself."""

from collections.abc import Sequence

from ntkbench.bench.job import Job
from ntkbench.bench.progress import Progress
from ntkbench.bench.unit import Unit
from ntkbench.bench.worker import Worker


def execute(job: Job, units: Sequence[Unit], progress: Progress) -> None:
    """All units, one after the other; those that another process is at come last."""
    worker = Worker(job)
    worker.check(units, progress)
    waiting = [unit for unit in units if not worker.do(unit, progress, wait=False)]
    for unit in waiting:
        worker.do(unit, progress, wait=True)
