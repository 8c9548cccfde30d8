"""Enforce the time limit of a run, `run.timeout`, and pass on signals while compiled code is at work.

    clock = Clock(tell, timeout=3600)
    result = clock.ended(lambda: work(clock))       # `work` calls clock("epoch 3 of 10") between its steps

Compiled code cannot be interrupted, and some of it takes minutes. A run is therefore executed in a thread, while the
main thread waits for it, receives signals, and watches the time. `worker` makes a clock for each run and training.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TypeVar

from ntkbench.errors import TimeoutReached

T = TypeVar("T")
GIVEN_UP = "given up"
"""name of a thread that was abandoned; the command line looks for it before it exits"""
_LOOKS = 0.2
"""seconds between two checks of the time limit"""
_GRACE = 3.0
"""seconds that abandoned work has to reach its next call of the clock, where it ends in order"""


@dataclass
class Clock:
    """A callable that reports progress, and ends work that takes longer than `timeout` seconds a run."""

    tell: Callable[[str], None]
    """receives what is going on"""
    timeout: float | None
    """seconds for each run; None: no limit"""
    runs: int = 1
    """number of runs that the work serves, such as the seeds that train together; the limit is multiplied by it"""
    doing: str = "beginning"
    began: float = field(default_factory=time.perf_counter)
    given_up: BaseException | None = None
    """why the work is to end; raised at its next call of the clock"""

    def __call__(self, what: str) -> None:
        """Report what the work does next; raise TimeoutReached past the limit, or what made the main thread give up."""
        if self.given_up is not None:
            raise self.given_up
        self.doing = what
        self.tell(what)
        self._look()

    def ended(self, work: Callable[[], T]) -> T:
        """Return the result of `work`, executed in a thread, or raise what it raised.

        TimeoutReached, and what a signal raises, are raised at once, even inside compiled code. The thread then
        computes on until it next calls the clock; its result is dropped.
        """
        done, context = threading.Event(), copy_context()
        result: list[T] = []
        failure: list[BaseException] = []

        def act() -> None:
            try:
                result.append(context.run(work))
            except BaseException as error:
                failure.append(error)
            finally:
                done.set()

        thread = threading.Thread(target=act, daemon=True)
        thread.start()
        try:
            while not done.wait(_LOOKS):
                self._look()
        except BaseException as error:
            self.given_up = error
            if not done.wait(_GRACE):
                _leave(thread)
            raise
        if failure:
            raise failure[0]
        return result[0]

    def _look(self) -> None:
        if self.timeout is not None and time.perf_counter() - self.began > self.timeout * self.runs:
            raise TimeoutReached(f"{self.doing}: longer than run.timeout, {self.timeout:g} s a run")


def _leave(thread: threading.Thread) -> None:
    """Mark a thread that is still in compiled code as abandoned, and let a worker process end without waiting for it.

    An orderly exit of Python would crash such a thread. In the main process the command line does the same, with its
    own exit code.
    """
    from multiprocessing import parent_process  # here, since it is slow to import and seldom needed

    thread.name = GIVEN_UP
    if parent_process() is not None:  # a worker process, whose exit code nobody reads
        atexit.register(os._exit, 1)
