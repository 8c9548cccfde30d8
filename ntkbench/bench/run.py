"""Runs of a plan, one record each, written the moment the run ends.

A run that has an ok record is never repeated; every other is tried again. Runs that share their training
are one unit of work: two processes on one store take different units.
"""

import datetime
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import jax

from ntkbench.analyses.measurement import Measurement
from ntkbench.bench import arrays, cost, environment, identity, memory, record, snapshots, stages
from ntkbench.bench.experiment import Experiment
from ntkbench.bench.groups import groups
from ntkbench.bench.laboratory import Laboratory
from ntkbench.bench.ledger import attempts, is_pending, statuses
from ntkbench.bench.outlook import size
from ntkbench.bench.plan import Plan, Run
from ntkbench.bench.progress import Progress
from ntkbench.bench.store import Store
from ntkbench.bench.train import Group, train
from ntkbench.errors import DivergedError, TimeoutReached

Status = record.Status
T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """How to run; nothing here can change a number."""

    retry: bool = True
    """whether runs that ended badly are tried again; interrupted ones always are"""
    smoke: bool = False
    overrides: tuple[str, ...] = ()


def execute(plan: Plan, store: Store, roots: Sequence[Path], options: Options, progress: Progress) -> Counter[Status]:
    """How many runs of the plan ended how, those of earlier calls included. DataError if a data set is missing."""
    pending = [run for run in plan.runs if is_pending(store, run, options.retry)]
    tried = {run.id: attempts(store, run) for run in pending}
    progress.begin(len(plan.runs), len(plan.runs) - len(pending))
    _warn_of_memory(plan, progress)
    tile_bytes = memory.tile_bytes(plan.header.run.tile_bytes, environment.accelerator_bytes())
    laboratory = Laboratory(store, tuple(roots), tile_bytes)
    for run in {run.cell.data.dataset: run for run in pending}.values():
        laboratory.data(run.cell)  # one that is missing shows before hours of work, and is no result
    runner = _Runner(plan, store, laboratory, options, progress, tried)
    waiting = [unit for unit in _units(pending) if not runner.unit(unit, wait=False)]
    for unit in waiting:  # another process was at these
        runner.unit(unit, wait=True)
    return statuses(store, plan)


def _units(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """Runs that share their training, in the plan's order."""
    units: dict[str, list[Run]] = {}
    for run in runs:
        units.setdefault(_unit_key(run), []).append(run)
    yield from units.values()


def _unit_key(run: Run) -> str:
    return run.id if run.cell.width is None else stages.training_key(run.cell)


@dataclass
class _Runner:
    plan: Plan
    store: Store
    laboratory: Laboratory
    options: Options
    progress: Progress
    tried: Mapping[str, int]
    """how often each run had been tried when this call began"""

    def unit(self, runs: Sequence[Run], *, wait: bool) -> bool:
        """False, at once, if another process is at it and we do not wait."""
        with self.store.lock(f"unit-{_unit_key(runs[0])}", wait=wait) as held:
            if not held:
                return False
            runs = [run for run in runs if self._is_left(run)]
            cell = runs[0].cell if runs else None
            if cell is not None and cell.width is not None:
                for seeds in groups(self.store, cell, {run.seed for run in runs}):
                    self._group([run for run in runs if run.seed in seeds], seeds)
            else:
                for run in runs:
                    self._run(run, None, {})
        environment.forget_programs()
        return True

    def _is_left(self, run: Run) -> bool:
        """Not if another process tried it in the meantime, unless that was interrupted."""
        retry = self.options.retry and attempts(self.store, run) == self.tried[run.id]
        return is_pending(self.store, run, retry)

    def _group(self, runs: Sequence[Run], seeds: tuple[int, ...]) -> None:
        """Trains the seeds together, then measures each."""
        cell, every = runs[0].cell, int(self.plan.header.run.checkpoint_every)
        began = time.perf_counter()
        tick = self._tick(runs[0], len(runs))

        def trained() -> Group:
            data = self.laboratory.data(cell)
            moments = {moment for run in runs for moment in snapshots.wanted(run.cell)}
            return train(self.store, cell, seeds, data, moments, every=every, tick=tick)

        with environment.CompileClock() as compiling:
            group, failure = self._attempt(trained)
        seconds = time.perf_counter() - began
        for run in runs:
            stage = {"compile_s": compiling.seconds, "run_s": max(0.0, seconds - compiling.seconds)}
            if group is None:
                self._run(run, None, {}, failure)
            else:
                own = group.of(run.seed)
                self._run(
                    run, own, {"training": {"key": group.key, "cached": group.cached, **stage, "facts": own.facts}}
                )

    def _tick(self, run: Run, runs: int = 1):
        """Tells what is going on, and ends what takes too long."""
        timeout, began = self.plan.header.run.timeout, time.perf_counter()

        def tick(what: str) -> None:
            self.progress.doing(run, what)
            if timeout is not None and time.perf_counter() - began > timeout * runs:
                raise TimeoutReached(f"{what}: longer than run.timeout, {timeout:g} s a run")

        return tick

    def _run(self, run: Run, group: Group | None, notes: dict[str, Any], failure: BaseException | None = None) -> None:
        """Measures one run and writes its record."""
        began, started = time.perf_counter(), _now()
        experiment = Experiment(self.laboratory, run.cell, group, self._tick(run), dict(notes))
        measured, failure = (None, failure) if failure else self._attempt(lambda: _measure(experiment))
        status = status_of(failure)
        seconds = time.perf_counter() - began
        document = {
            "schema": "ntkbench.record/1",
            "run_id": run.id,
            "status": status,
            "attempt": attempts(self.store, run) + 1,
            "spec": {
                "name": run.name,
                "cell": dict(run.coordinates),
                "seed": run.seed,
                "resolved": identity.resolved(run.cell),
            },
            **self._results(run, measured or {}, group),
            "stages": experiment.stages,
            "software": environment.software(),
            "jax": environment.jax_settings(),
            "device": environment.device(),
            "execution": self._execution(group),
            "resources": {"wall_s": seconds, "host_peak_bytes": environment.host_peak_bytes()},
            "time": {"started": started, "ended": _now()},
            "error": None if failure is None else {"type": type(failure).__name__, "message": _message(failure)},
        }
        record.write(document, self.store.record(run.id))
        self._log(run, status, failure)
        self.progress.ended(run, status, seconds, "" if failure is None else _message(failure).splitlines()[0])
        if isinstance(failure, KeyboardInterrupt):
            raise failure

    def _attempt(self, work: Callable[[], T]) -> tuple[T | None, BaseException | None]:
        """The work's result, or what stopped it. Its warnings are told."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                return work(), None
            except (Exception, KeyboardInterrupt) as failure:
                return None, failure
            finally:
                for warning in caught:
                    self.progress.warn(str(warning.message))

    def _results(self, run: Run, measured: dict[str, Measurement], group: Group | None) -> dict[str, Any]:
        samples = {f"{name}.{column}": values for name, m in measured.items() for column, values in m.samples.items()}
        series = {f"{name}.{key}": values for name, m in measured.items() for key, values in m.series.items()}
        if measured:
            test = self.laboratory.data(run.cell).test
            samples = {"index": test.index, "label": test.labels, **samples}
            if group is not None and group.losses.size:
                series["training.loss"] = group.losses
        columns, files = arrays.write(self.store.arrays(run.id), samples, series)
        return {
            "metrics": [record.metric_row(name, scalar) for name, m in measured.items() for scalar in m.scalars],
            "series": files,
            "samples": columns,
            "checks": [{**asdict(check), "analysis": name} for name, m in measured.items() for check in m.checks],
            "warnings": [warning for m in measured.values() for warning in m.warnings],
        }

    def _execution(self, group: Group | None) -> dict[str, Any]:
        together = [] if group is None else group.facts.get("seeds", [])
        return {
            "executor": "local",
            **self.plan.header.run.model_dump(mode="json"),
            "tile_bytes": self.laboratory.tile_bytes,
            "smoke": self.options.smoke,
            "overrides": list(self.options.overrides),
            "trained_together": together,
        }

    def _log(self, run: Run, status: Status, failure: BaseException | None) -> None:
        path = self.store.log(run.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():  # in a store of somebody else it could lead to any file
            path.unlink()
        trace = "" if failure is None else "".join(traceback.format_exception(failure))
        with path.open("a") as log:
            log.write(f"{_now()} {status}\n{trace}")


def _warn_of_memory(plan: Plan, progress: Progress) -> None:
    there = environment.accelerator_bytes() or memory.host_bytes()
    if (needed := cost.estimate(plan).peak_bytes) > there:
        progress.warn(
            f"the largest step takes about {size(needed)}, and there are {size(there)}: it may run out of memory; "
            "fewer examples, numerics.kernel: float32 or a larger machine help"
        )


def _measure(experiment: Experiment) -> dict[str, Measurement]:
    measured = {}
    for name in experiment.cell.analyses:
        experiment.tick(f"analysis {name}")
        measured[name] = experiment.measure(name)
    return measured


def status_of(failure: BaseException | None) -> Status:
    """What a record calls the end of a run."""
    match failure:
        case None:
            return "ok"
        case KeyboardInterrupt():
            return "interrupted"
        case TimeoutReached():
            return "timeout"
        case DivergedError():
            return "diverged"
        case MemoryError():
            return "oom"
        case jax.errors.JaxRuntimeError() if "RESOURCE_EXHAUSTED" in str(failure):
            return "oom"
    return "failed"


def _message(failure: BaseException) -> str:
    return (str(failure) or type(failure).__name__)[:20_000]


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
