"""Execute units of work in this process: train the seeds of a unit together, then measure and record each run.

A run's record is written the moment the run ends, and nothing else counts as a result. A run that fails, runs out of
memory or takes too long gets a record that says so, and the next one begins; only an interrupt, or a store that cannot
be written, ends them all. `execute` uses a worker in the process of the command, `crew` one in each other process.

    worker = Worker(job)
    worker.do(unit, progress, wait=True)
"""

import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from ntkbench.analyses.measurement import Measurement
from ntkbench.errors import UsageError
from ntkbench.plan import memory, timeline
from ntkbench.plan.keys import Shared
from ntkbench.plan.runs import Run, Unit
from ntkbench.render import size
from ntkbench.run import environment
from ntkbench.run.group import Group, train
from ntkbench.run.interrupt import Clock, later
from ntkbench.run.job import Job
from ntkbench.run.measure import Experiment
from ntkbench.run.progress import Progress, keep
from ntkbench.run.recording import _log, _results, _Stopwatch
from ntkbench.run.shared import Laboratory
from ntkbench.spec import identity
from ntkbench.store import record, running
from ntkbench.store.groups import groups
from ntkbench.store.lookup import attempts, is_pending

T = TypeVar("T")
_FAR = 2
"""ratio of estimated to available memory above which nothing is begun: no estimate is that wrong"""


class Worker:
    """Executes units of one job, and keeps data, kernels and compiled programs from one unit to the next."""

    def __init__(self, job: Job):
        environment.require_device()
        tile_bytes = memory.tile_bytes(job.run.tile_bytes, environment.accelerator_bytes())
        self.job, self.laboratory = job, Laboratory(job.store, job.roots, tile_bytes)

    def check(self, units: Iterable[Unit], progress: Progress) -> None:
        """Check, before hours of work, that every data set is there and that memory may suffice.

        DataError if a data set is missing. UsageError if the largest step takes far more memory than there is, unless
        the job is forced; a warning if it takes more.
        """
        self._check_memory(progress)
        for run in {run.cell.data.dataset: run for unit in units for run in unit.runs}.values():
            self.laboratory.data(run.cell)

    def _check_memory(self, progress: Progress) -> None:
        """Warn, or raise a UsageError, if the estimate of the largest step exceeds the memory."""
        needed, there = self.job.needed_bytes, environment.accelerator_bytes() or memory.host_bytes()
        if needed <= there:
            return
        said = f"the largest step takes about {size(needed)}, and there are {size(there)}"
        helps = f"{self.job.advice}, or a larger machine" if self.job.advice else "a larger machine"
        if needed > _FAR * there and not self.job.options.force:
            raise UsageError(f"{said}; what helps is {helps}. --force begins all the same")
        progress.warn(f"{said}: it may run out of memory; what helps is {helps}")

    def share(self, run: Run, stage: Shared, name: str) -> None:
        """Compute what the run has in common with others, if the store lacks it: a kernel, or examples crafted on it.

        `name` is the id of the kernel or of the attack in the run's cell.
        """
        self.laboratory.share(run.cell, stage, name)

    def do(self, unit: Unit, progress: Progress, *, wait: bool, halve: bool = False) -> bool:
        """Execute what is left of a unit; return whether this process had it.

        Args:
            progress: told what is being done, how each run ends, and what to warn of.
            wait: whether to wait for a process that holds the unit. Without it, False is returned at once.
            halve: whether to begin with half the memory for a tile.
        """
        return self._locked(unit, progress, wait, self._execute, halve)

    def give_up(self, unit: Unit, failure: Exception, progress: Progress) -> bool:
        """Record what is left of a unit as ended by `failure`, which is what happened to its process."""
        return self._locked(unit, progress, True, lambda turn, runs: turn.fail(runs, failure))

    def _locked(
        self,
        unit: Unit,
        progress: Progress,
        wait: bool,
        work: Callable[["_Turn", Sequence[Run]], None],
        halve: bool = False,
    ) -> bool:
        """Call `work` with a turn and the runs that are left, while the unit is locked and noted in the store.

        Return False if another process holds the unit and it is not waited for.
        """
        store, laboratory = self.job.store, self.laboratory
        with store.lock(running.lock(unit.key), wait=wait) as held:
            if not held:
                return False
            runs = [run for run, tried in zip(unit.runs, unit.tried, strict=True) if self._is_left(run, tried)]
            if runs:
                laboratory, failure = self._after_a_death(unit, progress)
                laboratory = laboratory.halved() if halve else laboratory
                with keep(store, unit, laboratory.tile_bytes, progress) as noting:
                    turn = _Turn(self.job, laboratory, noting)
                    turn.fail(runs, failure) if failure else work(turn, runs)
        environment.forget_programs()
        return True

    def _is_left(self, run: Run, tried: int) -> bool:
        """Return whether a run is still to be done.

        A failed run is not if another process has tried it since the plan was made; an interrupted one always is.
        """
        retry = self.job.options.retry and attempts(self.job.store, run) == tried
        return is_pending(self.job.store, run, retry)

    def _after_a_death(self, unit: Unit, progress: Progress) -> tuple[Laboratory, MemoryError | None]:
        """Return the laboratory to go on with, if the system has ended the process that was at the unit for memory.

        The first time it is one with half the memory for a tile; the second time the runs are to fail with the error
        that is returned beside it.
        """
        before, tile_bytes = running.find(self.job.store, unit.key), self.laboratory.tile_bytes
        if before is None or not before.was_starved:
            return self.laboratory, None
        if before.tile_bytes < tile_bytes:
            said = f"the system ended the process twice because memory ran out ({before.doing})"
            return self.laboratory, MemoryError(f"{said}; {_LESS_MEMORY}")
        progress.warn(f"the system ended a process for memory ({before.doing}); tried again with half the tiles")
        return self.laboratory.halved(), None

    def _execute(self, turn: "_Turn", runs: Sequence[Run]) -> None:
        """Train and measure the runs, one group of seeds after another; runs without a network are only measured."""
        cell = runs[0].cell
        environment.forget_peak()
        if cell.width is None:
            for run in runs:
                turn.run(run, None, {})
        else:
            for seeds in groups(self.job.store, cell, {run.seed for run in runs}):
                turn.group([run for run in runs if run.seed in seeds], seeds)


_LESS_MEMORY = "a smaller run.tile_bytes or width, fewer examples, numerics.kernel: float32 or a larger machine help"
"""advice of messages about memory that ran out"""


@dataclass
class _Turn:
    """The execution of one unit: its job, its laboratory, and the progress to report to."""

    job: Job
    laboratory: Laboratory
    progress: Progress

    def group(self, runs: Sequence[Run], seeds: tuple[int, ...]) -> None:
        """Train the seeds together, then measure and record each run; if training fails, all of them fail."""
        cell, every = runs[0].cell, int(self.job.run.checkpoint_every)
        watch, tick = _Stopwatch(), self._clock(runs[0], len(runs))

        def trained(laboratory: Laboratory) -> Group:
            data = laboratory.data(cell)
            moments = {moment for run in runs for moment in timeline.wanted(run.cell)}
            return train(self.job.store, cell, seeds, data, moments, every=every, tick=tick)

        with environment.CompileClock() as compiling:
            group, failure, _ = self._attempt(trained, tick)
        if group is None:
            return self.fail(runs, failure, watch)
        stage = {"compile_s": compiling.seconds, "run_s": max(0.0, watch.seconds - compiling.seconds)}
        for run in runs:
            own = group.of(run.seed)
            self.run(run, own, {"training": {"key": group.key, "cached": group.cached, **stage, "facts": own.facts}})

    def fail(self, runs: Sequence[Run], failure: BaseException | None, watch: "_Stopwatch | None" = None) -> None:
        """Record the same failure for all of these runs."""
        for run in runs:
            self._record(run, None, {}, None, failure, watch or _Stopwatch(), self.laboratory)

    def run(self, run: Run, group: Group | None, stages: dict[str, Any]) -> None:
        """Measure one run and write its record.

        `group` holds the networks of its seed, None if the cell has none; `stages` is what the record says of training.
        """
        watch, tick = _Stopwatch(), self._clock(run)

        def measured(laboratory: Laboratory) -> dict[str, Measurement]:
            return Experiment(laboratory, run.cell, group, tick, stages).measured()

        results, failure, laboratory = self._attempt(measured, tick)
        self._record(run, group, stages, results, failure, watch, laboratory)

    def _clock(self, run: Run, runs: int = 1) -> Clock:
        """Return a clock that reports what a run is doing and enforces `run.timeout`, here for so many runs at once."""
        return Clock(partial(self.progress.doing, run), self.job.run.timeout, runs)

    def _attempt(
        self, work: Callable[[Laboratory], T], clock: Clock
    ) -> tuple[T | None, BaseException | None, Laboratory]:
        """Return the result of `work` or what stopped it, and the laboratory that it was done in.

        If memory runs out, the work is done once more with half the memory for a tile.
        """
        result, failure = self._once(work, self.laboratory, clock)
        if failure is None or environment.status_of(failure) != "oom":
            return result, failure, self.laboratory
        self.progress.warn(
            f"out of memory ({environment.message(failure).splitlines()[0]}); again, with half the tiles"
        )
        traceback.clear_frames(failure.__traceback__)  # which keep arrays alive
        smaller = self.laboratory.halved()
        environment.forget_programs(0.0)
        result, failure = self._once(work, smaller, clock)
        if failure is not None and environment.status_of(failure) == "oom":
            said = f"{environment.message(failure)}: also with tiles of {size(smaller.tile_bytes)}; {_LESS_MEMORY}"
            failure = MemoryError(said).with_traceback(failure.__traceback__)
        return result, failure, smaller

    def _once(
        self, work: Callable[[Laboratory], T], laboratory: Laboratory, clock: Clock
    ) -> tuple[T | None, BaseException | None]:
        """Return the result of `work` or what stopped it, and report the warnings that it gave.

        StorageError is raised: it says nothing about the run, and the next one would meet it too.
        """
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                return clock.ended(lambda: work(laboratory)), None
            except (Exception, KeyboardInterrupt) as failure:
                if environment.is_of_the_store(failure):
                    raise
                return None, failure
            finally:
                environment.return_memory()
                for warning in caught:
                    self.progress.warn(str(warning.message))

    def _record(
        self,
        run: Run,
        group: Group | None,
        stages: dict[str, Any],
        results: dict[str, Measurement] | None,
        failure: BaseException | None,
        watch: "_Stopwatch",
        laboratory: Laboratory,
    ) -> None:
        """Write the record, the arrays and the log of a run, and report its end.

        Interrupts wait until all is written; an interrupt that ended the run is then raised again.
        """
        store, status, seconds = self.job.store, environment.status_of(failure), watch.seconds
        said = None if failure is None else environment.message(failure)
        with later():
            document = {
                "schema": "ntkbench.record/1",
                "run_id": run.id,
                "status": status,
                "attempt": attempts(store, run) + 1,
                "spec": {
                    "name": run.name,
                    "cell": dict(run.coordinates),
                    "seed": run.seed,
                    "resolved": identity.resolved(run.cell),
                },
                **_results(store, run, results or {}, group, laboratory),
                "stages": dict(stages),
                "software": environment.software(),
                "jax": environment.jax_settings(),
                "device": environment.device(),
                "execution": self._execution(group, laboratory),
                "resources": environment.resources(seconds),
                "time": watch.time,
                "error": None if said is None else {"type": type(failure).__name__, "message": said},
            }
            record.write(document, store.record(run.id))
            _log(store.log(run.id), status, failure)
            self.progress.ended(run, status, seconds, "" if said is None else said.splitlines()[0])
        if isinstance(failure, KeyboardInterrupt):
            raise failure

    def _execution(self, group: Group | None, laboratory: Laboratory) -> dict[str, Any]:
        """Return the section `execution` of a record: options, the size of a tile, the seeds that trained together."""
        together = [] if group is None else group.facts.get("seeds", [])
        return {
            "executor": self.job.options.executor,
            **self.job.run.model_dump(mode="json"),
            "tile_bytes": laboratory.tile_bytes,
            "smoke": self.job.options.smoke,
            "overrides": list(self.job.options.overrides),
            "trained_together": together,
        }
