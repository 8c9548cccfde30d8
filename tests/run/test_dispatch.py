"""Units whose processes die: how often they are tried, and that this ends."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import pytest

from ntkbench.plan.runs import Unit
from ntkbench.run.executors.dispatch import ProcessLost, StarvedError, drive
from ntkbench.run.progress import BufferedProgress
from tests.examples.tiny import Listener

UNIT = Unit("one", (), ())


def ended(result: Any) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_result(result)
    return future


@dataclass
class FakeExecutor:
    """An executor whose tasks end at once: with these deaths, one after the other, and then well."""

    deaths: list[ProcessLost]
    asked: list[str] = field(default_factory=list)
    capacity: int = 1
    max_deaths: int = 3

    def check(self, units):
        return ended(None)

    def do(self, unit, *, wait: bool, halve: bool):
        self.asked.append("halved" if halve else "do")
        return ended(self.deaths.pop(0) if self.deaths else BufferedProgress())

    def give_up(self, unit, lost):
        self.asked.append("give up")
        return ended(self.deaths.pop(0) if self.deaths else BufferedProgress())

    def result(self, future):
        found = future.result()
        if isinstance(found, ProcessLost):
            raise found
        return found

    def interrupt(self):
        raise AssertionError("nobody asked for it")


@pytest.mark.parametrize(
    ("deaths", "asked"),
    [
        ([], ["do"]),
        ([ProcessLost("x")], ["do", "do"]),
        ([ProcessLost("x")] * 3, ["do", "do", "do", "give up"]),
        ([StarvedError("x")], ["do", "halved"]),
        ([StarvedError("x")] * 2, ["do", "halved", "give up"]),
        ([ProcessLost("x"), ProcessLost("x"), StarvedError("x")], ["do", "do", "do", "give up"]),
    ],
)
def test_a_unit_is_tried_again_and_then_given_up(deaths: list[ProcessLost], asked: list[str]):
    executor = FakeExecutor(list(deaths))
    drive(executor, [UNIT], Listener())
    assert executor.asked == asked


def test_a_process_that_dies_while_it_gives_up_ends_the_command():
    executor = FakeExecutor([ProcessLost("x")] * 99)
    with pytest.raises(ProcessLost):
        drive(executor, [UNIT], Listener())
    assert executor.asked == ["do", "do", "do", "give up"]
