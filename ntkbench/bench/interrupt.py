"""Ctrl-C, once and twice. The first ends a command in order, the second at once, whatever it is in the middle of."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

_IN_ORDER = (signal.SIGINT, signal.SIGTERM)
"""schedulers send the second, and mean the first"""
_TWICE = 0.3
"""seconds; what comes sooner is one signal, sent to a process and to its group"""
_SOON = 0.05
"""seconds until an interrupt is raised again that met a finalizer"""


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM raise KeyboardInterrupt; another SIGINT ends the process, also inside of compiled code.

    Python runs handlers between its own instructions alone. But it writes the signal's number to a descriptor at
    once, where a thread reads it.
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
    """Python drops what is raised in a finalizer or by a callback of its collector. An interrupt is raised once more.

    As SIGTERM, which never counts as the second Ctrl-C; to the main thread, so that it ends what waits there.
    """
    told, main, over = sys.unraisablehook, threading.main_thread(), threading.Event()
    senders: list[threading.Thread] = []

    def send(left: threading.Event) -> None:
        left.wait()  # what is raised inside of the hook is dropped for good
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
def later() -> Iterator[None]:
    """Interrupts wait until the end of the block: what was finished is written down first."""
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
