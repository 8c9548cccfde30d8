"""The executor of several processes on one machine, one for each accelerator."""

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

from ntkbench.bench.drive import ProcessLost, drive
from ntkbench.bench.job import Job
from ntkbench.bench.progress import Heard, Progress
from ntkbench.bench.task import check, do, give_up
from ntkbench.bench.unit import Unit

_NVIDIA = Path("/proc/driver/nvidia/gpus")


def execute(job: Job, units: Sequence[Unit], progress: Progress, workers: int) -> None:
    """All units, in so many processes."""
    crew = _Pool(job, workers)
    try:
        drive(crew, units, progress)
    finally:
        crew.close()


def accelerators() -> list[str]:
    """What CUDA calls the accelerators that this process may use; found without JAX, which would take them.

    None where JAX would not see them: it is told to use the processor, or none of its plugins is installed.
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
    """Each process is a pool of its own: when it dies, no other is harmed, and it is known at what."""

    patience = 3

    def __init__(self, job: Job, workers: int):
        self.job, self.capacity = job, workers
        devices = accelerators()
        self._seats = [
            _Seat(devices[i % len(devices)] if devices else None, workers, len(devices)) for i in range(workers)
        ]
        self._taken: dict[Future[Any], _Seat] = {}

    def check(self, units: Sequence[Unit]) -> Future[Any]:
        return self._hand(check, self.job, units)

    def do(self, unit: Unit, *, wait: bool, halve: bool) -> Future[Any]:
        return self._hand(do, self.job, unit, wait, halve)

    def give_up(self, unit: Unit, lost: ProcessLost) -> Future[Any]:
        return self._hand(give_up, self.job, unit, lost)

    def _hand(self, task: Any, *arguments: Any) -> Future[Any]:
        seat = next(seat for seat in self._seats if seat not in self._taken.values())
        future = seat.submit(task, *arguments)
        self._taken[future] = seat
        return future

    def result(self, future: Future[Any]) -> Heard | None:
        seat = self._taken.pop(future)
        try:
            return future.result()
        except BrokenProcessPool:
            seat.renew()
            raise ProcessLost("a process died (the system's log may say why)") from None

    def interrupt(self) -> None:
        for seat in self._taken.values():
            seat.interrupt()

    def close(self) -> None:
        for seat in self._seats:
            seat.close()


class _Seat:
    """One process at a time, with its accelerator."""

    def __init__(self, device: str | None, workers: int, devices: int):
        self._environment = {} if device is None else {"CUDA_VISIBLE_DEVICES": device}
        if device is not None and workers > devices:  # several share an accelerator's memory
            self._environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{0.75 / -(-workers // devices):.3f}"
        self.renew()

    def renew(self) -> None:
        begin = functools.partial(_begin, self._environment)
        self._process = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=begin)
        self._pid = self._process.submit(os.getpid)

    def submit(self, task: Any, *arguments: Any) -> Future[Any]:
        return self._process.submit(task, *arguments)

    def interrupt(self) -> None:
        if self._pid.done() and not self._pid.exception():
            os.kill(self._pid.result(), signal.SIGINT)

    def close(self) -> None:
        self._process.shutdown(wait=True, cancel_futures=True)


def _begin(environment: dict[str, str]) -> None:
    """Of a process: its own group, so that Ctrl-C comes from the parent alone, and no life after the parent's."""
    os.environ.update(environment)
    os.setsid()
    signal.signal(signal.SIGINT, lambda *_: None)  # between two units there is nothing to interrupt
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
