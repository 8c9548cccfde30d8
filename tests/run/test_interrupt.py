"""Ctrl-C, once and twice, and what schedulers send."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest

from ntkbench.run.interrupt import deferred_interrupts, interruptible

pytestmark = pytest.mark.skipif(signal.getsignal(signal.SIGINT) is signal.SIG_IGN, reason="interrupts are ignored here")

BUSY = """
import sys, time
from ntkbench.run.interrupt import interruptible
with interruptible():
    try:
        print("ready", flush=True)
        {work}
    except KeyboardInterrupt:
        print("in order", flush=True)
        sys.exit(7)
"""
DEAF = "import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"
"""compiled code that no handler of Python interrupts"""


def start(work: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", BUSY.format(work=work)], stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.PIPE)  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_ends_in_order(number: signal.Signals):
    process = start("time.sleep(600)")
    process.send_signal(number)
    assert process.communicate(timeout=300)[0] == "in order\n"
    assert process.returncode == 7


def test_one_that_is_sent_twice_at_once_is_one():
    process = start("time.sleep(600)")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=300)
    assert process.returncode != 130


def test_the_second_ends_at_once_even_in_compiled_code():
    process = start(DEAF)
    busy = _seconds(process)
    while _seconds(process) < busy + 0.3:  # it is in there
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    time.sleep(0.6)
    assert process.poll() is None, "compiled code heard nothing of the first"
    while process.poll() is None:  # what comes too soon after the first, on a busy machine, is none
        process.send_signal(signal.SIGINT)
        time.sleep(0.6)
    said, told = process.communicate()
    assert process.returncode == 130
    assert said == ""
    assert told == "stopped at once; the same command resumes\n"


def _seconds(process: subprocess.Popen[str]) -> float:
    """That the process has computed for."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("finalizer", ["weakref", "collector", "__del__"])
def test_one_that_meets_a_finalizer_is_not_lost(finalizer: str, capsys: pytest.CaptureFixture[str]):
    """Python prints what is raised there, and goes on."""
    reached = []

    def interrupt(*_: object) -> None:
        if not reached:
            reached.append(finalizer)
            signal.raise_signal(signal.SIGINT)

    class Thing:
        if finalizer == "__del__":
            __del__ = interrupt

    def work() -> None:
        with interruptible():
            item = Thing()
            if finalizer == "weakref":
                kept = weakref.ref(item, interrupt)
                del item
                assert kept() is None
            elif finalizer == "__del__":
                del item
            else:
                gc.callbacks.append(interrupt)
                gc.collect()
            assert reached == [finalizer]
            while True:  # a signal may come between the last look of Python and a pause
                time.sleep(0.05)

    hook = sys.unraisablehook
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
    finally:
        if interrupt in gc.callbacks:
            gc.callbacks.remove(interrupt)
    assert sys.unraisablehook is hook
    assert capsys.readouterr().err == ""


def test_what_else_a_finalizer_raises_is_told_as_ever(monkeypatch: pytest.MonkeyPatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)

    class Thing:
        def __del__(self) -> None:
            raise ValueError("of a finalizer")

    with interruptible():
        Thing()
    assert [each.exc_type for each in told] == [ValueError]


def test_handlers_are_as_they_were_afterwards():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with interruptible():
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_interrupt_waits_until_something_is_written():
    done = []

    def work() -> None:
        with interruptible(), deferred_interrupts():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
            done.append("written")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["written"]


def test_other_threads_have_no_interrupts_to_hold():
    ran = []

    def work() -> None:
        with deferred_interrupts():
            ran.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ran == [1]
