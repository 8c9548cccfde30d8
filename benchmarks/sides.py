"""The two sides: each case in a worker process of its own, watched: what takes too much is stopped, and reported."""

import dataclasses
import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent


class Stopped(Exception):  # noqa: N818 (not always an error)
    """Why a side has no result: a phrase."""


@dataclasses.dataclass(frozen=True)
class Side:
    """How to start one."""

    name: str
    python: str
    module: str


@dataclasses.dataclass(frozen=True)
class Limits:
    """Of one reply, and of one process."""

    seconds: float
    memory: float


class Worker:
    """A process that does what it is told, a line at a time."""

    def __init__(self, side: Side, arguments: list[str], x64: bool, limits: Limits) -> None:
        # Ours is the checkout that this file is in, whatever else is installed.
        path = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the process)
        self._limits = limits
        self._process = subprocess.Popen(
            [side.python, str(HERE / "worker.py"), side.module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONPATH": path, "JAX_ENABLE_X64": str(int(x64))},
        )

    def ask(self, *words: str) -> dict[str, Any]:
        """The reply to a command; without one, the greeting."""
        assert self._process.stdin is not None
        if words:
            self._process.stdin.write(f"{' '.join(words)}\n".encode())
            self._process.stdin.flush()
        return json.loads(self._line())

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        deadline = time.monotonic() + self._limits.seconds
        while not select.select([self._process.stdout], [], [], 0.2)[0]:
            if time.monotonic() > deadline:
                raise Stopped(f"over {self._limits.seconds:.0f} s")
            if resident_bytes(self._process.pid) > self._limits.memory:
                raise Stopped(f"over {self._limits.memory / 1e9:.1f} GB")
        line = self._process.stdout.readline()
        if not line:
            raise Stopped(self._last_words())
        return line

    def _last_words(self) -> str:
        if (code := self._process.wait()) < 0:
            return f"ended by signal {-code}"
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit status {code}"

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()


class Trial:
    """One side on one case; once it is stopped, it does no more."""

    def __init__(self, side: Side, arguments: list[str], x64: bool, limits: Limits) -> None:
        self.name = side.name
        self.stopped: str | None = None
        self._worker = Worker(side, arguments, x64, limits)
        self._hello = self._ask()
        self._runs: list[dict[str, Any]] = []

    def __enter__(self) -> "Trial":
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.end()

    def _ask(self, *words: str) -> dict[str, Any]:
        if self.stopped is None:
            try:
                return self._worker.ask(*words)
            except Stopped as reason:
                self.stopped = str(reason)
                self._worker.end()  # its memory is the other side's
        return {}

    def time(self) -> None:
        if reply := self._ask("time"):
            self._runs.append(reply)

    def result(self, file: Path) -> np.ndarray | None:
        self._ask("save", str(file))
        return None if self.stopped else np.load(file)

    def report(self) -> dict[str, Any]:
        """Seconds and bytes.

        `first` is with compilation; `own_bytes` what the case took beyond JAX and the inputs, or of the accelerator.
        """
        seconds = [run["seconds"] for run in self._runs]
        last = self._runs[-1] if self._runs else {"peak": None, "device": None}
        warm, baseline = seconds[1:], self._hello.get("baseline")
        return {
            "versions": self._hello.get("versions"),
            "backend": self._hello.get("backend"),
            "stopped": self.stopped,
            "first": seconds[0] if seconds else None,
            "warm": warm,
            "best": min(warm, default=None),
            "median": statistics.median(warm) if warm else None,
            "compile": seconds[0] - min(warm) if warm else None,
            "baseline_bytes": baseline,
            "peak_bytes": last["peak"],
            "own_bytes": last["device"] or (last["peak"] - baseline if last["peak"] else None),
        }


def resident_bytes(pid: int) -> int:
    """Of another process now; 0 where the system does not say (then memory is not watched)."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def memory_of_the_machine() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def ours() -> Side:
    return Side("ntkbench", sys.executable, "ours")


def neural_tangents(python: str) -> Side:
    return Side("neural-tangents", python, "peers.neural_tangents_cases")
