"""Execute a plan: one record for each run, written the moment the run ends.

A run with an ok record is never repeated. Interrupted runs are always tried again, failed ones unless `options.retry`
is off. Two calls on one store, on one machine or on several, take different units of work.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ntkbench.plan.cost import estimate as cost_estimate
from ntkbench.plan.runs import Plan, Unit, units
from ntkbench.run.executors import cluster, pool
from ntkbench.run.job import Job, Options
from ntkbench.run.progress import PlanProgress, Progress
from ntkbench.run.worker import Worker
from ntkbench.store.lookup import attempts, pending, statuses
from ntkbench.store.record import Status
from ntkbench.store.store import Store

# The executor that runs units in this process, one after the other.


def execute_here(job: Job, units: Sequence[Unit], progress: Progress) -> None:
    """Execute all units; those that another process is executing are left for the end, and waited for.

    Raise an error before the first unit if a data set is missing or the memory is far too small.
    """
    worker = Worker(job)
    worker.check(units, progress)
    waiting = [unit for unit in units if not worker.execute(unit, progress, wait=False)]
    for unit in waiting:
        worker.execute(unit, progress, wait=True)


def execute(
    plan: Plan, store: Store, roots: Sequence[Path], options: Options, progress: PlanProgress
) -> Counter[Status]:
    """Execute what is left of a plan; return how many of its runs ended how, those of earlier calls included.

    Units of work go to a Ray cluster with `options.executor` "ray", else to several processes where there are several
    accelerators or workers are asked for, else to this process. `roots` are the folders of data sets. Raises DataError
    if a data set is missing, StorageError if the store cannot be written.
    """
    tried = [(run, attempts(store, run)) for run in pending(store, plan.runs, options.retry)]
    if tried:
        store.prepare()
    progress.begin(len(plan.runs), len(plan.runs) - len(tried))
    estimate = cost_estimate.estimate(plan)
    job = Job(store, tuple(roots), plan.header.run, options, estimate.peak_bytes, estimate.advice)
    if work := units(tried):
        workers = min(options.workers or len(pool.accelerators()), len(work))
        if options.executor == "ray":
            cluster.execute(job, work, progress)
        elif workers > 1:
            pool.execute(job, work, progress, workers)
        else:
            execute_here(job, work, progress)
    return statuses(store, plan)
