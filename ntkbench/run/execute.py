"""Execute a plan: one record for each run, written the moment the run ends.

A run with an ok record is never repeated. Interrupted runs are always tried again, failed ones unless `options.retry`
is off. Two calls on one store, on one machine or on several, take different units of work.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ntkbench.analyses.crafting import Crafted
from ntkbench.data.dataset import Dataset
from ntkbench.plan import keys, memory, selections
from ntkbench.plan.cost import estimate as cost_estimate
from ntkbench.plan.cost.tiles import TiledMatrix, tiled
from ntkbench.plan.runs import Plan, Run, Unit, units
from ntkbench.plan.runs import key as units_key
from ntkbench.run import environment
from ntkbench.run.build.poison import clean
from ntkbench.run.executors import cluster, pool
from ntkbench.run.job import Job, Options
from ntkbench.run.predictors import Predictors, of_earlier_run
from ntkbench.run.progress import PlanProgress, Progress
from ntkbench.run.shared import SharedStages
from ntkbench.run.worker import Worker
from ntkbench.spec.attacks import SELF
from ntkbench.store import running
from ntkbench.store.groups import cached
from ntkbench.store.lookup import attempts, pending, statuses
from ntkbench.store.record import Status
from ntkbench.store.store import Store

_EVERY = 50
"""epochs between checkpoints of a training that is done again"""

# The executor that runs units in this process, one after the other.


def execute_here(job: Job, units: Sequence[Unit], progress: Progress, matrices: Sequence[TiledMatrix] = ()) -> None:
    """Execute all units; those that another process is executing are left for the end, and waited for.

    Before them, the tiles of `matrices` that other parts of the plan need are computed. Raise an error before the first
    unit if a data set is missing or the memory is far too small.
    """
    worker = Worker(job)
    worker.check(units, progress)
    for matrix in matrices:
        worker.fill(matrix, progress)
    waiting = [unit for unit in units if not worker.execute(unit, progress, wait=False)]
    for unit in waiting:
        worker.execute(unit, progress, wait=True)


@dataclass(frozen=True)
class AttackedExamples:
    """The test examples of a run, and what one of its attacks makes of them."""

    data: Dataset
    crafted: Crafted
    key: str
    """key of the crafted examples in the store; empty if they were made again"""


def attacked(run: Run, attack_id: str, store: Store, roots: Sequence[Path]) -> AttackedExamples:
    """Return what an attack makes of a run's test examples: from the store if it keeps them, else made again.

    The store keeps what is made on infinite kernels. Other examples need the run's network, which is trained again
    unless it is in the store.
    """
    cell, shared = run.cell, _shared(store, roots)
    source = getattr(cell.attacks[attack_id], "source", None)
    is_shared = keys.is_shared(cell.kernels.get(source or ""))
    key = keys.craft_key(cell, attack_id) if is_shared else ""
    if key and (stored := store.load("craft", key)) is not None:
        return AttackedExamples(shared.data(cell), Crafted(**stored.arrays), key)
    store.prepare()
    with store.lock(running.lock(units_key(run))):
        # What an infinite kernel makes is made again without the network.
        predictors = Predictors(shared, cell, None) if is_shared else of_earlier_run(shared, run, (), _EVERY)
        judge = source or next(selections.shown_to(cell, attack_id), SELF)
        _, crafted = predictors.attacked(attack_id, predictors.evaluator(judge))
    return AttackedExamples(shared.data(cell), crafted, "")


@dataclass(frozen=True)
class PoisonedExamples:
    """The data of a run before and after its training images were poisoned."""

    clean: Dataset
    poisoned: Dataset


def poisoned(run: Run, store: Store, roots: Sequence[Path]) -> PoisonedExamples:
    """Return the data of a run that poisons its training images: these from the store if it keeps them, else made
    again."""
    shared = _shared(store, roots)
    store.prepare()
    return PoisonedExamples(shared.data(clean(run.cell)), shared.data(run.cell))


def weights(run: Run, at: str, store: Store, roots: Sequence[Path]) -> dict[str, np.ndarray]:
    """Return the weights of a run's network at `init`, `final` or an epoch that the run kept, by name.

    The network is trained again unless it is in the store.
    """
    shared = _shared(store, roots)
    store.prepare()
    with store.lock(running.lock(units_key(run))):
        return of_earlier_run(shared, run, (), _EVERY).named_weights(at)


def _shared(store: Store, roots: Sequence[Path]) -> SharedStages:
    """Return shared stages for runs that were executed before; UsageError if JAX finds no device."""
    environment.require_device()
    return SharedStages(store, tuple(roots), memory.tile_bytes(None, environment.accelerator_bytes()))


def execute(
    plan: Plan,
    store: Store,
    roots: Sequence[Path],
    options: Options,
    progress: PlanProgress,
    given: Mapping[str, Any] | None = None,
    helps: Sequence[TiledMatrix] = (),
) -> Counter[Status]:
    """Execute what is left of a plan; return how many of its runs ended how, those of earlier calls included.

    Units of work go to a Ray cluster with `options.executor` "ray", else to several processes where there are several
    accelerators or workers are asked for, else to this process. `roots` are the folders of data sets. `given` has the
    predictors that architectures of the kind `given` stand for, by their SHA-256; they cannot leave this process.
    `helps` are matrices of other parts of the plan, whose tiles are computed first.
    Raises DataError if a data set is missing, StorageError if the store cannot be written.
    """
    tried = [(run, attempts(store, run)) for run in pending(store, plan.runs, options.retry)]
    if tried or helps:
        store.prepare()
    progress.begin(len(plan.runs), len(plan.runs) - len(tried))
    estimate = cost_estimate.estimate(plan)
    job = Job(store, tuple(roots), plan.header.run, options, estimate.peak_bytes, estimate.advice, given or {})
    work, processes = units(tried), options.workers or len(pool.accelerators())
    if not (work or helps):
        return statuses(store, plan)
    if given or (options.executor == "local" and processes <= 1):
        execute_here(job, work, progress, helps)
        return statuses(store, plan)
    own = tiled((run for run, _ in tried), cached([run for run, _ in tried], store))
    matrices = [*own.values(), *helps]
    if options.executor == "ray":
        cluster.execute(job, work, progress, matrices)
    elif (workers := min(processes, max([len(work), *(matrix.tiles for matrix in matrices)]))) > 1:
        pool.execute(job, work, progress, workers, matrices)
    else:
        execute_here(job, work, progress, helps)
    return statuses(store, plan)
