"""The executor of `--workers`: run the units of a plan in several processes on this machine, one for each accelerator.

`run` calls `execute` where there is more than one worker. The parent process leaves the accelerators to the workers: it
does not use JAX, which would reserve them.
"""

import functools
import importlib.util
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import entry_points
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

from ntkbench.plan.cost.tiles import TiledMatrix
from ntkbench.plan.runs import Unit
from ntkbench.run.executors.dispatch import ProcessLost, Task, call, drive
from ntkbench.run.job import Job
from ntkbench.run.progress import BufferedProgress, Progress

_NVIDIA = Path("/proc/driver/nvidia/gpus")
"""folder in which the driver has an entry for each GPU"""


def execute(
    job: Job, units: Sequence[Unit], progress: Progress, workers: int, matrices: Sequence[TiledMatrix] = ()
) -> None:
    """Compute the tiles of `matrices` and run all units in `workers` processes, and tell `progress` what happens."""
    executor = _Pool(job, workers)
    try:
        drive(executor, units, progress, matrices)
    finally:
        executor.close()


def accelerators() -> list[str]:
    """Return the accelerators that this process may use, named as in CUDA_VISIBLE_DEVICES.

    They are found without JAX, which would reserve them. The list is empty where JAX would not see them: where it is
    told to use the CPU, or none of its plugins is installed.
    """
    if os.environ.get("JAX_PLATFORMS", "").lower() == "cpu" or not _has_plugin():
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")]
    return [str(i) for i in range(len(list(_NVIDIA.glob("*"))))]


def _has_plugin() -> bool:
    return importlib.util.find_spec("jax_plugins") is not None or bool(entry_points(group="jax_plugins"))


class _Pool:
    """A `dispatch.Executor` of processes on this machine.

    Each process is an executor of its own, so that one that dies takes no other with it and its unit is known.
    """

    max_deaths = 3

    def __init__(self, job: Job, workers: int):
        self.job, self.capacity = job, workers
        devices = accelerators()
        self._processes = [
            _WorkerProcess(devices[i % len(devices)] if devices else None, workers, len(devices))
            for i in range(workers)
        ]
        self._taken: dict[Future[Any], _WorkerProcess] = {}

    def call(self, task: Task, **arguments: Any) -> Future[Any]:
        """Give a task to a free process; `drive` never asks for more than `capacity` at once."""
        worker_process = next(process for process in self._processes if process not in self._taken.values())
        future = worker_process.submit(call, self.job, task, arguments)
        self._taken[future] = worker_process
        return future

    def result(self, future: Future[Any]) -> BufferedProgress | None:
        """Return what a task told; replace its process and raise ProcessLost where the process died."""
        worker_process = self._taken.pop(future)
        try:
            return future.result()
        except BrokenProcessPool:
            worker_process.renew()
            raise ProcessLost("a process died (the system's log may say why)") from None

    def interrupt(self) -> None:
        for worker_process in self._taken.values():
            worker_process.interrupt()

    def close(self) -> None:
        for worker_process in self._processes:
            worker_process.close()


class _WorkerProcess:
    """One worker process with its accelerator, which is replaced when it dies.

    Args:
        device: CUDA's name of the accelerator; None for the CPU.
        workers: number of processes in all.
        devices: number of accelerators. Where processes share one, each gets an equal part of 75 % of its memory.
    """

    def __init__(self, device: str | None, workers: int, devices: int):
        self._environment = {} if device is None else {"CUDA_VISIBLE_DEVICES": device}
        if device is not None and workers > devices:  # several share an accelerator's memory
            self._environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{0.75 / -(-workers // devices):.3f}"
        self.renew()

    def renew(self) -> None:
        """Put a fresh process in the place of the one before, which imports everything anew (`spawn`)."""
        begin = functools.partial(_begin, self._environment)
        self._process = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=begin)
        self._pid = self._process.submit(os.getpid)

    def submit(self, task: Any, *arguments: Any) -> Future[Any]:
        return self._process.submit(task, *arguments)

    def interrupt(self) -> None:
        """Send SIGINT to the process, if it has started, so that its unit ends in order."""
        if self._pid.done() and not self._pid.exception():
            os.kill(self._pid.result(), signal.SIGINT)

    def close(self) -> None:
        self._process.shutdown(wait=True, cancel_futures=True)


def _begin(environment: dict[str, str]) -> None:
    """Prepare a worker process: environment, own session, end with the parent.

    In a session of its own it gets Ctrl-C from the parent alone, which decides what is interrupted.
    """
    os.environ.update(environment)
    os.setsid()
    signal.signal(signal.SIGINT, lambda *_: None)  # between two units there is nothing to interrupt
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """Wait until the parent process has ended, then end this one at once."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
