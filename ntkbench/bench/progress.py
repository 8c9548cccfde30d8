"""How a run tells how it goes: a bar on a terminal, one plain line a run otherwise."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from ntkbench.bench.plan import Run
from ntkbench.bench.record import Status


@runtime_checkable
class Progress(Protocol):
    """Who wants to know how units of work go."""

    def doing(self, run: Run, what: str) -> None: ...

    def ended(self, run: Run, status: Status, seconds: float, note: str) -> None: ...

    def warn(self, message: str) -> None: ...


@runtime_checkable
class Watcher(Progress, Protocol):
    """Who wants to know how a whole plan goes."""

    def begin(self, runs: int, done: int) -> None: ...

    def close(self) -> None: ...


def progress(console: Console) -> Watcher:
    return Bar(console) if console.is_terminal else Lines(console)


def label(run: Run) -> str:
    """The run's coordinates and seed."""
    return " ".join([*(f"{axis}={value}" for axis, value in run.coordinates.items()), f"seed={run.seed}"])


def _line(run: Run, status: Status, seconds: float, note: str) -> str:
    return f"{label(run)}  {status}  {seconds:.1f} s" + (f"  {note}" if note else "")


@dataclass
class Heard:
    """What a process that nobody sees would tell, to be told where somebody does."""

    ends: list[tuple[Run, Status, float, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def doing(self, run: Run, what: str) -> None:
        pass

    def ended(self, run: Run, status: Status, seconds: float, note: str) -> None:
        self.ends.append((run, status, seconds, note))

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def tell(self, progress: Progress) -> None:
        for message in self.warnings:
            progress.warn(message)
        for end in self.ends:
            progress.ended(*end)


class Lines:
    """For files and pipes."""

    def __init__(self, console: Console):
        self._console, self._done, self._runs = console, 0, 0

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def begin(self, runs: int, done: int) -> None:
        self._runs, self._done = runs, done
        self._print(f"{runs} runs, of which {done} are done")

    def doing(self, run: Run, what: str) -> None:
        pass

    def ended(self, run: Run, status: Status, seconds: float, note: str) -> None:
        self._done += 1
        self._print(f"[{self._done}/{self._runs}] {_line(run, status, seconds, note)}")

    def warn(self, message: str) -> None:
        self._print(f"warning: {message}")

    def close(self) -> None:
        pass


class Bar:
    """For people at a terminal. Runs that did not go well stay in sight above it."""

    def __init__(self, console: Console):
        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False),
        )
        self._bar = RichProgress(*columns, console=console)
        self._task = self._bar.add_task("", total=None)

    def begin(self, runs: int, done: int) -> None:
        self._bar.start()
        self._bar.update(self._task, total=runs, completed=done)

    def doing(self, run: Run, what: str) -> None:
        self._bar.update(self._task, description=f"{label(run)}: {what}")

    def ended(self, run: Run, status: Status, seconds: float, note: str) -> None:
        self._bar.advance(self._task)
        if status != "ok":
            self._bar.console.print(_line(run, status, seconds, note), markup=False, highlight=False)

    def warn(self, message: str) -> None:
        self._bar.console.print(f"warning: {message}", markup=False, highlight=False)

    def close(self) -> None:
        self._bar.stop()
