"""Execute units of work in this process: train the seeds of a unit together, then measure and record each run.

A run's record is written the moment the run ends, and nothing else counts as a result. A run that fails, runs out of
memory or takes too long gets a record that says so, and the next one begins; only an interrupt, or a store that cannot
be written, ends them all. `execute` uses a worker in the process of the command, `dispatch` one in each other process.

    worker = Worker(job)
    worker.execute(unit, progress, wait=True)
"""

import traceback
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from ntkbench import files
from ntkbench.analyses.measurement import Measurement
from ntkbench.plan import keys, memory
from ntkbench.plan.cost.estimate import require_resources
from ntkbench.plan.cost.tiles import TiledMatrix, tiled
from ntkbench.plan.runs import Run, Unit
from ntkbench.render import size
from ntkbench.run import environment, settings
from ntkbench.run.build import attacks
from ntkbench.run.build.poison import clean
from ntkbench.run.group import RunNetworks, networks_of_runs
from ntkbench.run.interrupt import Clock, deferred_interrupts
from ntkbench.run.job import Job
from ntkbench.run.measure import measurements
from ntkbench.run.predictors import Predictors
from ntkbench.run.progress import Progress, noted_in_store
from ntkbench.run.recording import RunEnd, Stopwatch, keep
from ntkbench.run.shared import SharedStages
from ntkbench.spec.attacks import GivenImages
from ntkbench.spec.cell import Cell
from ntkbench.spec.training import Pretrained
from ntkbench.store import running
from ntkbench.store.groups import cached, groups
from ntkbench.store.lookup import attempts, is_pending
from ntkbench.store.record import StageRow

T = TypeVar("T")


class Worker:
    """Executes units of one job, and keeps data, kernels and compiled programs from one unit to the next."""

    def __init__(self, job: Job):
        settings.keep_programs(job.options.programs)
        environment.require_device()
        tile_bytes = memory.tile_bytes(job.run.tile_bytes, environment.accelerator_bytes())
        self.job, self.shared = job, SharedStages(job.store, job.roots, tile_bytes, job.given)

    def check(self, units: Iterable[Unit], progress: Progress) -> None:
        """Raise, before hours of work, DataError if data sets or given images are missing or are not as known, and
        UsageError if the plan takes far more memory or disk than there is, unless forced; warn if it takes more."""
        runs = [run for unit in units for run in unit.runs]
        job, there = self.job, environment.accelerator_bytes() or memory.host_bytes()
        matrices, free = tiled(runs, cached(runs, job.store)).values(), files.free_bytes(job.store.root)
        for said in require_resources(job.needed_bytes, there, job.advice, matrices, free, force=job.options.force):
            progress.warn(said)
        check_inputs(self.shared, {id(run.cell): run.cell for run in runs}.values())

    def compute_stage(self, run: Run, stage: keys.Shared, name: str, progress: Progress) -> None:
        """Compute what the run has in common with others, if the store lacks it: a kernel, or examples crafted on it.

        A failure is not reported here: each run that needs the stage meets it again, and its record tells of it.

        Args:
            stage: `poison`, `kernel`, `solve`, or `craft` for the examples that an attack makes on a kernel.
            name: the id of the kernel or of the attack in the run's cell.
            progress: told what is being done.
        """
        progress.working(run, f"{stage} {name}")
        cell, shared = run.cell, self.shared.telling(partial(progress.working, run))
        with suppress(Exception):
            if stage == "poison":
                shared.poisoned(cell)
            elif stage == "kernel":
                shared.decomposed(cell, name, whole=False)
            elif stage == "solve":
                shared.solved(cell, name)
            else:
                threat = attacks.attack(cell, name)
                source = shared.regression(cell, threat.source).value
                shared.crafted(cell, threat, shared.evaluator(cell, threat.source, source, cell.numerics.kernel))

    def fill(self, matrix: TiledMatrix, progress: Progress) -> None:
        """Compute tiles of a kernel matrix that the store lacks, beside other processes that do so.

        A failure is a warning, as a run of this part meets it again; for another part, or of the disk, it is raised.
        """
        run, name = matrix.run, matrix.kernel
        progress.working(run, f"kernel {name}")
        try:
            self.shared.telling(partial(progress.working, run)).fill(run.cell, name, matrix.part)
        except Exception as failure:
            if matrix.part or environment.is_of_the_store(failure):
                raise
            progress.warn(f"tiles of kernel {name}: {environment.message(failure).splitlines()[0]}")

    def execute(self, unit: Unit, progress: Progress, *, wait: bool, halve: bool = False) -> bool:
        """Execute what is left of a unit; return whether this process had it.

        Args:
            progress: told what is being done, how each run ends, and what to warn of.
            wait: whether to wait for a process that holds the unit. Without it, False is returned at once.
            halve: whether to begin with half the memory for a tile.
        """
        return self._with_lock(unit, progress, wait, self._execute, halve)

    def give_up(self, unit: Unit, failure: Exception, progress: Progress) -> bool:
        """Record what is left of a unit as ended by `failure`, which is what happened to its process."""
        return self._with_lock(unit, progress, True, lambda execution, runs: execution.fail(runs, failure))

    def _with_lock(
        self,
        unit: Unit,
        progress: Progress,
        wait: bool,
        work: Callable[["_UnitExecution", Sequence[Run]], None],
        halve: bool = False,
    ) -> bool:
        """Call `work` with a `_UnitExecution` and the runs that are left, while the unit is locked and noted.

        Return False if another process holds the unit and it is not waited for.
        """
        store, shared = self.job.store, self.shared
        with store.lock(running.lock(unit.key), wait=wait) as held:
            if not held:
                return False
            runs = [run for run, tried in zip(unit.runs, unit.tried, strict=True) if self._is_to_do(run, tried)]
            if runs:
                shared, failure = self._after_a_death(unit, progress)
                shared = shared.with_half_tiles() if halve else shared
                with noted_in_store(store, unit, shared.tile_bytes, progress) as noting:
                    execution = _UnitExecution(self.job, shared, noting)
                    execution.fail(runs, failure) if failure else work(execution, runs)
        environment.release_compiled_programs()
        return True

    def _is_to_do(self, run: Run, tried: int) -> bool:
        """Return whether a run is still to be done.

        A failed run is not if another process has tried it since the plan was made; an interrupted one always is.
        """
        retry = self.job.options.retry and attempts(self.job.store, run) == tried
        return is_pending(self.job.store, run, retry)

    def _after_a_death(self, unit: Unit, progress: Progress) -> tuple[SharedStages, MemoryError | None]:
        """Return the shared stages to go on with, if the system has ended the process that was at the unit for memory.

        The first time they have half the memory for a tile; the second time the runs are to fail with the error
        that is returned beside it.
        """
        before, tile_bytes = running.find(self.job.store, unit.key), self.shared.tile_bytes
        if before is None or not before.oom_killed_since:
            return self.shared, None
        if before.tile_bytes < tile_bytes:
            said = f"the system ended the process twice because memory ran out ({before.doing})"
            return self.shared, MemoryError(f"{said}; {_LESS_MEMORY}")
        progress.warn(f"the system ended a process for memory ({before.doing}); tried again with half the tiles")
        return self.shared.with_half_tiles(), None

    def _execute(self, execution: "_UnitExecution", runs: Sequence[Run]) -> None:
        """Train and measure the runs, one group of seeds after another; runs without a network are only measured.

        Runs with further networks alone are taken as the groups of the first one are.
        """
        cell = runs[0].cell
        environment.reset_peak_memory()
        if not (names := keys.networks_needed(cell)):
            for run in runs:
                execution.run(run, RunNetworks())
            return
        drawn = {run.id: run.cell.seed_of(names[0], run.seed) for run in runs}
        for seeds in groups(self.job.store, cell.as_own(names[0]), set(drawn.values())):
            execution.group([run for run in runs if drawn[run.id] in seeds], seeds)


def check_inputs(shared: SharedStages, cells: Collection[Cell]) -> None:
    """Raise DataError if a data set, or a file of images or weights, is not there or not as known."""
    for first in {cell.data.dataset: cell for cell in cells}.values():
        shared.data(clean(first))
    for cell in cells:
        for name, attack in cell.attacks.items():
            if isinstance(attack, GivenImages):
                shared.given_images(cell, name)
        owns = (cell, *map(cell.as_own, cell.networks))
        for own in (each for each in owns if isinstance(each.training, Pretrained)):
            shared.networks(own, (0,))


_LESS_MEMORY = "a smaller run.tile_bytes or width, fewer examples, numerics.kernel: float32 or a larger machine help"
"""advice of messages about memory that ran out"""


@dataclass
class _UnitExecution:
    """The execution of one unit: its job, the shared stages, and the progress to report to."""

    job: Job
    shared: SharedStages
    progress: Progress

    def group(self, runs: Sequence[Run], seeds: tuple[int, ...]) -> None:
        """Train the networks of the runs, then measure and record each run; if training fails, all of them fail.

        `seeds`: those of the group that the runs' own networks train in. The training images are poisoned first.
        """
        every, watch, tick = int(self.job.run.checkpoint_every), Stopwatch(), self._clock(runs[0], len(runs))
        cell, before = runs[0].cell, dict[str, StageRow]()

        def trained(shared: SharedStages) -> dict[str, RunNetworks]:
            if cell.data.poison:
                Predictors(shared.telling(tick), cell, None, tick, before).poisoned()
            return networks_of_runs(shared, runs, seeds, every=every, tick=tick)

        networks, failure, _ = self._attempt(trained, tick)
        if networks is None:
            return self.fail(runs, failure, watch)
        for run in runs:
            own = networks.pop(run.id)
            self.run(run, replace(own, stages={**before, **own.stages}))

    def fail(self, runs: Sequence[Run], failure: BaseException | None, watch: Stopwatch | None = None) -> None:
        """Record the same failure for all of these runs."""
        for run in runs:
            self._record(run, RunEnd(watch or Stopwatch(), self.shared, failure=failure))

    def run(self, run: Run, networks: RunNetworks) -> None:
        """Measure one run, which has these networks, and write its record."""
        watch, tick, stages = Stopwatch(), self._clock(run), {**networks.stages}

        def measured(shared: SharedStages) -> dict[str, Measurement]:
            return measurements(Predictors(shared.telling(tick), run.cell, networks.own, tick, stages, networks.others))

        results, failure, shared = self._attempt(measured, tick)
        self._record(run, RunEnd(watch, shared, results or {}, failure, networks.own, stages))

    def _clock(self, run: Run, runs: int = 1) -> Clock:
        """Return a clock that reports what a run is doing and enforces `run.timeout`, here for so many runs at once."""
        return Clock(partial(self.progress.working, run), self.job.run.timeout, runs)

    def _attempt(
        self, work: Callable[[SharedStages], T], clock: Clock
    ) -> tuple[T | None, BaseException | None, SharedStages]:
        """Return the result of `work` or what stopped it, and the shared stages that it was done with.

        If memory runs out, the work is done once more with half the memory for a tile.
        """
        result, failure = self._once(work, self.shared, clock)
        if failure is None or environment.status_of(failure) != "oom":
            return result, failure, self.shared
        self.progress.warn(
            f"out of memory ({environment.message(failure).splitlines()[0]}); again, with half the tiles"
        )
        traceback.clear_frames(failure.__traceback__)  # which keep arrays alive
        smaller = self.shared.with_half_tiles()
        environment.release_compiled_programs(0.0)
        result, failure = self._once(work, smaller, clock)
        if failure is not None and environment.status_of(failure) == "oom":
            said = f"{environment.message(failure)}: also with tiles of {size(smaller.tile_bytes)}; {_LESS_MEMORY}"
            failure = MemoryError(said).with_traceback(failure.__traceback__)
        return result, failure, smaller

    def _once(
        self, work: Callable[[SharedStages], T], shared: SharedStages, clock: Clock
    ) -> tuple[T | None, BaseException | None]:
        """Return the result of `work` or what stopped it, and report the warnings that it gave.

        StorageError is raised: it says nothing about the run, and the next one would meet it too.
        """
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                return clock.ended(lambda: work(shared)), None
            except (Exception, KeyboardInterrupt) as failure:
                if environment.is_of_the_store(failure):
                    raise
                return None, failure
            finally:
                environment.return_memory()
                for warning in caught:
                    self.progress.warn(str(warning.message))

    def _record(self, run: Run, end: RunEnd) -> None:
        """Keep how a run ended, and report it.

        Interrupts wait until all is written; an interrupt that ended the run is then raised again.
        """
        seconds = end.watch.seconds
        with deferred_interrupts():
            kept = keep(self.job, run, end)
            self.progress.ended(run, kept.status, seconds, kept.error.message.splitlines()[0] if kept.error else "")
        if isinstance(end.failure, KeyboardInterrupt):
            raise end.failure
