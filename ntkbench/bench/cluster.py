"""The executor of a Ray cluster. Retries, lost nodes and who may run where are Ray's; the store is the shared truth."""

import logging
import os
import re
import socket
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from ntkbench.bench import settings, task
from ntkbench.bench.drive import ProcessLost, StarvedError, drive
from ntkbench.bench.job import Job
from ntkbench.bench.progress import Heard, Progress
from ntkbench.bench.spec import Resources
from ntkbench.bench.stages import shared
from ntkbench.bench.store import Store
from ntkbench.bench.unit import Unit
from ntkbench.errors import UsageError

_RETRIES = 3
"""of Ray, where a worker or its node was lost"""
_ENVIRONMENT = tuple(settings.environment())
"""variables that workers must have as the parent has them"""


def execute(job: Job, units: Sequence[Unit], progress: Progress) -> None:
    """All units, on the cluster at the address of the options, or on one that lasts as long as this."""
    try:
        import ray
    except ImportError:
        raise UsageError('--executor ray needs Ray: pip install "ntkbench[ray]"') from None
    told = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    address = job.options.address
    try:
        _reach(address)
        ray.init(
            address=address or "local",  # without an address Ray would take any cluster that this machine knows
            runtime_env={"env_vars": told},
            logging_level=logging.ERROR,
            log_to_driver=False,
            include_dashboard=None if address else False,
        )
    except (OSError, ValueError) as error:
        raise UsageError(f"--address {address}: no Ray cluster answers there ({_first_line(error)})") from None
    try:
        drive(_Cluster(ray, _anywhere(job), progress), units, progress)
    finally:
        ray.shutdown()


def _reach(address: str | None) -> None:
    """OSError at once where Ray would try for minutes."""
    if named := re.fullmatch(r"(?:ray://)?([\w.-]+):(\d+)", address or ""):
        socket.create_connection((named[1], int(named[2])), timeout=10).close()


def _anywhere(job: Job) -> Job:
    """With paths that mean the same in processes that were started elsewhere."""
    roots = tuple(root.absolute() for root in job.roots)
    return replace(job, store=Store(job.store.root.absolute()), roots=roots)


class _Cluster:
    """Ray's tasks. What units share is a task of its own, and they wait for it without taking a place."""

    capacity = 256
    patience = 1  # Ray has tried again already

    def __init__(self, ray: Any, job: Job, progress: Progress):
        self._ray, self._store = ray, job.store
        resources = _resources(ray, job.run.resources, progress)
        self._remote = ray.remote(_task).options(**resources, max_retries=_RETRIES)
        self._job = ray.put(job)
        self._shared: dict[str, Any] = {}
        self._references: dict[Future[Any], Any] = {}

    def check(self, units: Sequence[Unit]) -> Future[Any]:
        return self._hand("check", list(units))

    def do(self, unit: Unit, *, wait: bool, halve: bool) -> Future[Any]:
        return self._hand("do", unit, wait, halve, needs=self._needs(unit))

    def give_up(self, unit: Unit, lost: ProcessLost) -> Future[Any]:
        return self._hand("give_up", unit, lost)

    def _needs(self, unit: Unit) -> list[Any]:
        """Tasks that make what is not in the store; a craft waits for kernels, and so for the one it is made on."""
        kernels, crafts = {}, {}
        for run in unit.runs:
            for stage, key, name in shared(run.cell):
                if self._store.has(stage, key):
                    continue
                before = [] if stage == "kernel" else kernels.values()
                if key not in self._shared:
                    self._shared[key] = self._remote.remote("share", self._job, (run, stage, name), *before)
                (kernels if stage == "kernel" else crafts)[key] = self._shared[key]
        return [*kernels.values(), *crafts.values()]

    def _hand(self, name: str, *arguments: Any, needs: Sequence[Any] = ()) -> Future[Any]:
        reference = self._remote.remote(name, self._job, arguments, *needs)
        future = reference.future()
        self._references[future] = reference
        return future

    def result(self, future: Future[Any]) -> Heard | None:
        del self._references[future]
        errors = self._ray.exceptions
        try:
            return future.result()
        except errors.OutOfMemoryError as error:
            raise StarvedError(_first_line(error)) from None
        except errors.TaskCancelledError:
            return None
        except errors.RayTaskError:  # raised by what was executed, not by what became of its process
            raise
        except errors.RayError as error:
            raise ProcessLost(_first_line(error)) from None

    def interrupt(self) -> None:
        for reference in self._references.values():
            self._ray.cancel(reference)


def _resources(ray: Any, asked: Resources, progress: Progress) -> dict[str, float | None]:
    """What Ray reserves for a task. Where no node has as much, it waits for one, and we say so."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpu = min(1.0, max(node.get("GPU", 0.0) for node in nodes)) if asked.gpu is None else asked.gpu
    needed = {"CPU": asked.cpu, "GPU": gpu, "memory": asked.memory or 0}
    if not any(all(node.get(name, 0) >= amount for name, amount in needed.items()) for node in nodes):
        told = ", ".join(f"{name} {amount:g}" for name, amount in needed.items() if amount)
        progress.warn(f"no node of the cluster has what run.resources asks for ({told}); this waits for one")
    return {"num_cpus": asked.cpu, "num_gpus": gpu, "memory": asked.memory}


def _task(name: str, job: Job, arguments: tuple[Any, ...], *needs: Any) -> Any:
    """One of `task`, by name, after what it needs."""
    return getattr(task, name)(job, *arguments)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
