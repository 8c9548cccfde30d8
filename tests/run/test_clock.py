"""What takes too long ends, whatever it is in the middle of."""

import hashlib
import signal
import threading
import time

import pytest

from ntkbench.errors import TimeoutReached
from ntkbench.run import interrupt
from ntkbench.run.interrupt import Clock, interruptible


def deaf() -> None:
    """Compiled code that hears nothing, for many seconds."""
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2 * 10**7)


@pytest.fixture(autouse=True)
def no_grace(monkeypatch):
    monkeypatch.setattr(interrupt, "_GRACE", 0.01)


def test_a_result_and_a_failure_are_handed_on():
    assert Clock(print, None).ended(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        Clock(print, None).ended(lambda: 1 / 0)


def test_compiled_code_does_not_outstay_its_time():
    began = time.perf_counter()
    with pytest.raises(TimeoutReached, match=r"^beginning: longer than run\.timeout, 0\.1 s a run$"):
        Clock(print, 0.1).ended(deaf)
    given_up = time.perf_counter() - began
    deaf()
    assert given_up < (time.perf_counter() - began) / 2, "the work was not waited for"


@pytest.mark.skipif(signal.getsignal(signal.SIGTERM) is signal.SIG_IGN, reason="signals are ignored here")
def test_a_signal_is_heard_in_compiled_code():
    reached = threading.Event()

    def work() -> None:
        reached.set()
        deaf()

    def send() -> None:
        reached.wait()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    threading.Thread(target=send).start()
    with interruptible(), pytest.raises(KeyboardInterrupt):
        Clock(print, None).ended(work)


def test_work_that_is_given_up_ends_at_its_next_word():
    told: list[str] = []
    ended, gone = threading.Event(), threading.Event()
    of = Clock(told.append, None)

    def work() -> None:
        of("one")
        of.timeout = 0.0  # over, from now on
        gone.wait()
        try:
            of("two")
        finally:
            ended.set()

    with pytest.raises(TimeoutReached, match="one: longer"):
        of.ended(work)
    gone.set()
    assert ended.wait(20)
    assert told == ["one"]
