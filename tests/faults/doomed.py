"""Run `ntkbench` and kill it at a stage: `python -m tests.faults.doomed ARGUMENTS`.

`Doom.environment` tells the process at which stage, how much later, and whether its workers die with it. Worker
processes import this module as well, because it is the main module of the process that starts them.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ntkbench.cli.main import main
from ntkbench.run import group, measure, worker
from ntkbench.store.store import Store

_VARIABLE = "NTKBENCH_TEST_DOOM"
_COMMAND = "NTKBENCH_TEST_COMMAND"
"""the process of the command, which those that it starts inherit"""


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for parent in found:
        with suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def kill(pids: Sequence[int]) -> None:
    """Kill the processes at once, without a last word."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@dataclass(frozen=True)
class Doom:
    """The stage at which a command dies, the seconds after its beginning, and whether its workers die too."""

    stage: str
    seconds: float
    workers: bool

    @property
    def environment(self) -> dict[str, str]:
        """The variable that `python -m tests.faults.doomed` reads."""
        return {_VARIABLE: json.dumps(asdict(self))}

    def strike(self) -> None:
        """Kill the command from any of its processes; this one comes last, lest the others live on."""
        time.sleep(self.seconds)
        command = int(os.environ[_COMMAND])
        kill(sorted(family(command) if self.workers else [command], key=os.getpid().__eq__))

    def begins(self, stage: str) -> None:
        """Note that a stage has begun: a thread kills the command later, or the command dies here."""
        if stage == self.stage and self.seconds:
            threading.Thread(target=self.strike, daemon=True).start()
        elif stage == self.stage:
            self.strike()


def arm(doom: Doom) -> None:
    """Have the stages of this process tell when they begin."""

    def telling(stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def begun(*args: Any, **options: Any) -> Any:
            doom.begins(stage)
            return work(*args, **options)

        return begun

    lock = Store.lock

    @contextmanager
    def told(store: Store, name: str, *, wait: bool = True) -> Iterator[bool]:
        with lock(store, name, wait=wait) as held:
            doom.begins(name.partition("-")[0])
            yield held

    setattr(Store, "lock", told)  # noqa: B010 - "kernel-KEY" and "craft-KEY" are held while these are made
    setattr(worker, "train", telling("training", group.train))  # noqa: B010 - a type checker would object
    setattr(worker, "measurements", telling("measuring", measure.measurements))  # noqa: B010


if _VARIABLE in os.environ:
    os.environ.setdefault(_COMMAND, str(os.getpid()))
    DOOM = Doom(**json.loads(os.environ[_VARIABLE]))
    DOOM.begins("start")
    arm(DOOM)

if __name__ == "__main__":
    main()
