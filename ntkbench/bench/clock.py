"""The time that a run may take, looked at whatever the run is in the middle of.

Compiled code hears neither a clock nor a signal, and some of it takes minutes. So a run is executed in a thread, and
the main thread waits for it: there signals arrive, and there the time is looked at.
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
"""name of a thread that nobody waits for any more"""
_LOOKS = 0.2
"""seconds between two looks at the time"""
_GRACE = 3.0
"""seconds that work which is given up has to end in order, at its next word; then nobody waits for it any more"""


@dataclass
class Clock:
    """Tells what is going on, and ends what takes longer than `timeout` seconds a run."""

    tell: Callable[[str], None]
    timeout: float | None
    runs: int = 1
    doing: str = "beginning"
    began: float = field(default_factory=time.perf_counter)
    given_up: BaseException | None = None

    def __call__(self, what: str) -> None:
        """Called by the work between its parts; raises where it is to end."""
        if self.given_up is not None:
            raise self.given_up
        self.doing = what
        self.tell(what)
        self._look()

    def ended(self, work: Callable[[], T]) -> T:
        """The result of the work, or what it raised. TimeoutReached, or what a signal raises, as soon as it comes: what
        is computed then goes on unheard until its next word."""
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
    """A process that ends while compiled code is at work ends at once: Python would pull the thread from under it."""
    from multiprocessing import parent_process  # here, since it is slow to import and seldom needed

    thread.name = GIVEN_UP
    if parent_process() is not None:  # where the command line is another process, and this one's exit code no matter
        atexit.register(os._exit, 1)
