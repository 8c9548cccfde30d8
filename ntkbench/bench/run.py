"""Execute a plan: one record for each run, written the moment the run ends.

A run with an ok record is never repeated. Interrupted runs are always tried again, failed ones unless `options.retry`
is off. Two calls on one store, on one machine or on several, take different units of work.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ntkbench.bench import cluster, cost, here, pool
from ntkbench.bench.job import Job, Options
from ntkbench.bench.ledger import attempts, left, statuses
from ntkbench.bench.plan import Plan
from ntkbench.bench.progress import Watcher
from ntkbench.bench.record import Status
from ntkbench.bench.store import Store
from ntkbench.bench.unit import units


def execute(plan: Plan, store: Store, roots: Sequence[Path], options: Options, progress: Watcher) -> Counter[Status]:
    """Execute what is left of a plan; return how many of its runs ended how, those of earlier calls included.

    Units of work go to a Ray cluster with `options.executor` "ray", else to several processes where there are several
    accelerators or workers are asked for, else to this process. `roots` are the folders of data sets. Raises DataError
    if a data set is missing, StorageError if the store cannot be written.
    """
    tried = [(run, attempts(store, run)) for run in left(store, plan.runs, options.retry)]
    if tried:
        store.prepare()
    progress.begin(len(plan.runs), len(plan.runs) - len(tried))
    estimate = cost.estimate(plan)
    job = Job(store, tuple(roots), plan.header.run, options, estimate.peak_bytes, estimate.advice)
    if work := units(tried):
        workers = min(options.workers or len(pool.accelerators()), len(work))
        if options.executor == "ray":
            cluster.execute(job, work, progress)
        elif workers > 1:
            pool.execute(job, work, progress, workers)
        else:
            here.execute(job, work, progress)
    return statuses(store, plan)
