"""The executor `--executor ray`: run the units of a plan as tasks of a Ray cluster.

Ray retries tasks, replaces lost nodes and places tasks on machines; results are shared through the store, which all
nodes must reach under one path. `run` calls `execute`.
"""

import logging
import os
import re
import socket
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from ntkbench.errors import UsageError
from ntkbench.plan.cost.tiles import TiledMatrix
from ntkbench.plan.keys import shared_stages
from ntkbench.plan.runs import Unit
from ntkbench.run import settings
from ntkbench.run.executors.dispatch import ProcessLost, StarvedError, Task, call, drive
from ntkbench.run.job import Job
from ntkbench.run.progress import BufferedProgress, Progress
from ntkbench.spec.cell import Resources
from ntkbench.store.store import Store

_RETRIES = 3
"""how often Ray repeats a task whose worker process or node was lost"""
_ENVIRONMENT = tuple(settings.environment())
"""environment variables that worker processes get with the parent's values"""


def execute(job: Job, units: Sequence[Unit], progress: Progress, matrices: Sequence[TiledMatrix] = ()) -> None:
    """Run all units on the Ray cluster at `job.options.address`, or on one started on this machine for this call.

    Before them, the tiles of `matrices` are computed by as many tasks as the cluster runs at once.

    UsageError if Ray is not installed or no cluster answers at the address.
    """
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
        drive(_Cluster(ray, _anywhere(job), progress), units, progress, matrices)
    finally:
        ray.shutdown()


def _reach(address: str | None) -> None:
    """Raise OSError within 10 seconds if nothing listens at the address; Ray itself would try for minutes."""
    if named := re.fullmatch(r"(?:ray://)?([\w.-]+):(\d+)", address or ""):
        socket.create_connection((named[1], int(named[2])), timeout=10).close()


def _anywhere(job: Job) -> Job:
    """Return the job with absolute paths, as processes of the cluster have other working directories."""
    roots = tuple(root.absolute() for root in job.roots)
    return replace(job, store=Store(job.store.root.absolute()), roots=roots)


class _Cluster:
    """The executor, see `drive`, whose workers are Ray tasks.

    A kernel or a craft that several units share is a task of its own; units that depend on it wait without occupying a
    worker.
    """

    capacity = 256
    """number of units that are submitted at once"""
    max_deaths = 1  # a lost process is final: Ray has tried again already

    def __init__(self, ray: Any, job: Job, progress: Progress):
        self._ray, self._store = ray, job.store
        resources = _resources(ray, job.run.resources, progress)
        self._remote = ray.remote(call).options(**resources, max_retries=_RETRIES)
        self._job = ray.put(job)
        self._shared: dict[str, Any] = {}
        self._references: dict[Future[Any], Any] = {}

    def call(self, task: Task, **arguments: Any) -> Future[Any]:
        """Submit a task; a unit is executed when the kernels and crafts that it needs are there."""
        needs = self._needs(arguments["unit"]) if task == "execute" else []
        reference = self._remote.remote(self._job, task, arguments, *needs)
        future = reference.future()
        self._references[future] = reference
        return future

    def _needs(self, unit: Unit) -> list[Any]:
        """Return the tasks that make what a unit needs and the store lacks: poisoned images, kernels, and examples
        crafted on kernels.

        Each is submitted once for all units. A kernel waits for the poisoned images before it, and a craft for the
        kernels before it, and so for the one it is made on.
        """
        found: dict[str, dict[str, Any]] = {"poison": {}, "kernel": {}, "craft": {}}
        for run in unit.runs:
            for stage, key, name in shared_stages(run.cell):
                if self._store.has(stage, key):
                    continue
                of = "kernel" if stage == "solve" else stage
                before = {"poison": {}, "kernel": found["poison"], "craft": found["kernel"] or found["poison"]}[of]
                if key not in self._shared:
                    arguments = {"run": run, "stage": stage, "name": name}
                    self._shared[key] = self._remote.remote(self._job, "compute_stage", arguments, *before.values())
                found[of][key] = self._shared[key]
        return [task for tasks in found.values() for task in tasks.values()]

    def result(self, future: Future[Any]) -> BufferedProgress | None:
        """Return what a task reported; None if it was cancelled, or another process is at its unit.

        Raises:
            StarvedError: if memory ran out.
            ProcessLost: if the process or its node was lost.
        """
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
        """Cancel all tasks."""
        for reference in self._references.values():
            self._ray.cancel(reference)


def _resources(ray: Any, asked: Resources, progress: Progress) -> dict[str, float | None]:
    """Return the resources that Ray reserves for a task; warn where no node has as many, and the task has to wait.

    Without a request for accelerators a task takes one where nodes have any.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpu = min(1.0, max(node.get("GPU", 0.0) for node in nodes)) if asked.gpu is None else asked.gpu
    needed = {"CPU": asked.cpu, "GPU": gpu, "memory": asked.memory or 0}
    if not any(all(node.get(name, 0) >= amount for name, amount in needed.items()) for node in nodes):
        told = ", ".join(f"{name} {amount:g}" for name, amount in needed.items() if amount)
        progress.warn(f"no node of the cluster has what run.resources asks for ({told}); this waits for one")
    return {"num_cpus": asked.cpu, "num_gpus": gpu, "memory": asked.memory}


def _first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its type if it has none."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
