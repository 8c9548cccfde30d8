"""Handle Ctrl-C: the first one ends a command in order, the second one ends the process at once.

The command line and the tasks of workers run inside `interruptible`; `later` protects the writing of a record.
"""

import atexit
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from multiprocessing import parent_process
from types import FrameType
from typing import Any, TypeVar

from ntkbench.errors import TimeoutReached
from ntkbench.run.settings import GIVEN_UP

# Enforce the time limit of a run, `run.timeout`, and pass on signals while compiled code is at work.
#
#     clock = Clock(tell, timeout=3600)
#     result = clock.ended(lambda: work(clock))       # `work` calls clock("epoch 3 of 10") between its steps
#
# Compiled code cannot be interrupted, and some of it takes minutes. A run is therefore executed in a thread, while the
# main thread waits for it, receives signals, and watches the time. `worker` makes a clock for each run and training.


T = TypeVar("T")
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
    thread.name = GIVEN_UP
    if parent_process() is not None:  # a worker process, whose exit code nobody reads
        atexit.register(os._exit, 1)


_IN_ORDER = (signal.SIGINT, signal.SIGTERM)
"""signals that end a command in order; schedulers send SIGTERM where a user presses Ctrl-C"""
_TWICE = 0.3
"""seconds within which a second SIGINT is the same one, sent both to a process and to its group"""
_SOON = 0.05
"""seconds until an interrupt that a finalizer swallowed is raised again"""


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt at SIGINT and SIGTERM; a second SIGINT ends the process, even inside compiled code.

    Python runs signal handlers between its own instructions only. But it writes the signal's number to a descriptor at
    once, and a thread that reads it there can end the process. Signals that are ignored stay ignored. Only the main
    thread may enter.
    """
    caught = [number for number in _IN_ORDER if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _raise) for number in caught}
    here, there = socket.socketpair()
    there.setblocking(False)
    written_before = signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_end_at_the_second, args=(here,), daemon=True).start()
    try:
        with _raised_again():
            yield
    finally:
        signal.set_wakeup_fd(written_before)
        there.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def _raised_again() -> Iterator[None]:
    """Raise an interrupt again if Python has dropped it, as it does in finalizers and garbage collection callbacks.

    It is sent as SIGTERM, which never counts as a second Ctrl-C, and to the main thread, so that waiting there ends.
    """
    told, main, over = sys.unraisablehook, threading.main_thread(), threading.Event()
    senders: list[threading.Thread] = []

    def send(left: threading.Event) -> None:
        left.wait()  # an exception inside the hook would be dropped for good
        if not over.wait(_SOON):
            signal.pthread_kill(main.ident or 0, signal.SIGTERM)

    def hook(dropped: Any) -> None:
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            return told(dropped)
        left = threading.Event()
        senders.append(threading.Thread(target=send, args=(left,), daemon=True))
        senders[-1].start()
        left.set()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = told
        over.set()
        for sender in senders:
            sender.join()


def _end_at_the_second(numbers: socket.socket) -> None:
    """End the process with exit code 130 at the second SIGINT; `numbers` yields the signals as bytes."""
    first = None
    while byte := numbers.recv(1):
        if byte[0] != signal.SIGINT:
            continue
        first = first or time.monotonic()
        if time.monotonic() - first > _TWICE:
            with suppress(OSError):
                os.write(
                    sys.__stderr__.fileno() if sys.__stderr__ else 2, b"stopped at once; the same command resumes\n"
                )
            os._exit(130)
    numbers.close()


@contextmanager
def deferred_interrupts() -> Iterator[None]:
    """Hold back SIGINT and SIGTERM until the end of the block, so that a run which has ended is written down first.

    Has no effect outside of the main thread, where Python delivers no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[tuple[int, FrameType | None]] = []
    before: dict[int, Any] = {}
    for number in _IN_ORDER:
        if callable(signal.getsignal(number)):
            before[number] = signal.signal(number, lambda *arrived: waiting.append(arrived))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for number, frame in waiting[:1]:
        before[number](number, frame)
