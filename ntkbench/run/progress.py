"""Show how the runs of a plan go: a bar on a terminal, otherwise one plain line for each run that ends.

    watcher = progress(Console(stderr=True), expected)
    watcher.begin(runs=12, done=3)

Executors report to a `PlanProgress`. A worker process collects its reports in a `BufferedProgress`, which the parent
process repeats.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from ntkbench import files
from ntkbench.plan.cost import remaining
from ntkbench.plan.runs import Run, Unit, label
from ntkbench.render import duration
from ntkbench.store import running
from ntkbench.store.record import Status
from ntkbench.store.running import Running, _now, _path, _write
from ntkbench.store.store import Store


@runtime_checkable
class Progress(Protocol):
    """The receiver of what happens to single runs."""

    def working(self, run: Run, what: str) -> None:
        """Note what a run is doing now, in words."""
        ...

    def ended(self, run: Run, status: Status, seconds: float, note: str) -> None:
        """Note that a run ended after so many seconds; `note` says why where it is not ok."""
        ...

    def warn(self, message: str) -> None:
        """Pass on a warning to the user."""
        ...


@runtime_checkable
class PlanProgress(Progress, Protocol):
    """A receiver that follows a whole plan and shows it."""

    def begin(self, runs: int, done: int) -> None:
        """Note how many runs there are, and how many of them were done before."""
        ...

    def close(self) -> None:
        """End the display."""
        ...


def progress(console: Console, expected: Mapping[str, float] | None = None) -> PlanProgress:
    """Return a bar where the console is a terminal, and a printer of lines where it is not.

    `expected`: estimated seconds of each run by its id, for the remaining time that the bar shows.
    """
    if console.is_terminal:
        return Bar(console, expected or {})
    return Lines(partial(console.print, markup=False, highlight=False, soft_wrap=True))


def _line(run: Run, status: Status, seconds: float, note: str) -> str:
    return f"{label(run)}  {status}  {seconds:.1f} s" + (f"  {note}" if note else "")


@dataclass
class BufferedProgress:
    """A Progress that collects what a worker process tells, to repeat it in the parent process."""

    ends: list[tuple[Run, Status, float, str]] = field(default_factory=list)
    """arguments of `ended`, in order"""
    warnings: list[str] = field(default_factory=list)

    def working(self, run: Run, what: str) -> None:
        pass

    def ended(self, run: Run, status: Status, seconds: float, note: str) -> None:
        self.ends.append((run, status, seconds, note))

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def tell(self, progress: Progress) -> None:
        """Repeat all warnings, then all ends, to another Progress."""
        for message in self.warnings:
            progress.warn(message)
        for end in self.ends:
            progress.ended(*end)


class Lines:
    """A Watcher that tells one line for each run that ends, for files, pipes and callers; `tell` receives each line."""

    def __init__(self, tell: Callable[[str], object]):
        self._tell, self._done, self._runs = tell, 0, 0

    def begin(self, runs: int, done: int) -> None:
        self._runs, self._done = runs, done
        self._tell(f"{runs} runs, of which {done} are done")

    def working(self, run: Run, what: str) -> None:
        pass

    def ended(self, run: Run, status: Status, seconds: float, note: str) -> None:
        self._done += 1
        self._tell(f"[{self._done}/{self._runs}] {_line(run, status, seconds, note)}")

    def warn(self, message: str) -> None:
        self._tell(f"warning: {message}")

    def close(self) -> None:
        pass


class Bar:
    """A Watcher that draws a progress bar; runs that are not ok are printed above it and stay in sight."""

    def __init__(self, console: Console, expected: Mapping[str, float]):
        self._rest = _RemainingTime(expected)
        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            self._rest,
            TextColumn("{task.description}", markup=False),
        )
        self._bar = RichProgress(*columns, console=console)
        self._task = self._bar.add_task("", total=None)

    def begin(self, runs: int, done: int) -> None:
        self._rest.begin(runs, done)
        self._bar.start()
        self._bar.update(self._task, total=runs, completed=done)

    def working(self, run: Run, what: str) -> None:
        self._rest.current = run.id
        self._bar.update(self._task, description=f"{label(run)}: {what}")

    def ended(self, run: Run, status: Status, seconds: float, note: str) -> None:
        self._rest.end(run.id)
        self._bar.advance(self._task)
        if status != "ok":
            self._bar.console.print(_line(run, status, seconds, note), markup=False, highlight=False)

    def warn(self, message: str) -> None:
        self._bar.console.print(f"warning: {message}", markup=False, highlight=False)

    def close(self) -> None:
        self._bar.stop()


class _RemainingTime(ProgressColumn):
    """A column of the bar with the estimated time that is left, computed anew whenever the bar is drawn.

    `expected`: estimated seconds of each run by its id. Runs done earlier are assumed to be average ones.
    """

    def __init__(self, expected: Mapping[str, float]):
        super().__init__()
        self._expected, self._left, self._done = expected, 0.0, 0.0
        self._began = self._last = time.monotonic()
        self.current = ""

    def begin(self, runs: int, done: int) -> None:
        self._left = sum(self._expected.values(), 0.0) * (runs - done) / max(1, runs)
        self._began = self._last = time.monotonic()

    def end(self, run_id: str) -> None:
        """Count the estimated work of a run as done; the speed so far corrects the estimate, see `remaining`."""
        work = self._expected.get(run_id, 0.0)
        self._left, self._done = max(0.0, self._left - work), self._done + work
        self._last = time.monotonic()

    def render(self, task: Task) -> Text:
        if not self._left:
            return Text("")
        current = min(self._left, self._expected.get(self.current, 0.0))
        took, since = self._last - self._began, time.monotonic() - self._last
        return Text(f"{duration(remaining.seconds(self._left, current, self._done, took, since))} left")


_EVERY = 1.0
"""seconds between two notes of the same unit"""


@contextmanager
def noted_in_store(store: Store, unit: Unit, tile_bytes: float, progress: Progress) -> Iterator[Progress]:
    """Keep a note on a unit while the block executes it, and remove it at the end.

    Yield a `Progress` that updates the note, at most once a second, and passes everything on to `progress`.
    """
    path, now = _path(store, unit.key), _now()
    note = Running(
        unit=unit.key,
        runs=tuple(run.id for run in unit.runs),
        run=None,
        doing="beginning",
        began=now,
        beat=now,
        process=os.getpid(),
        tile_bytes=tile_bytes,
        starved=running.oom_kill_count(),
    )
    _write(path, note)
    try:
        yield _StoredProgress(path, note, progress)
    finally:
        with files.writing(path):
            path.unlink(missing_ok=True)


@dataclass
class _StoredProgress:
    """A `Progress` that writes the current work into the unit's note, once a second at most."""

    path: Path
    note: Running
    progress: Progress
    written: float = 0.0

    def working(self, run: Run, what: str) -> None:
        if time.monotonic() - self.written > _EVERY:
            self.written = time.monotonic()
            _write(self.path, self.note.model_copy(update={"run": run.id, "doing": what[:1000], "beat": _now()}))
        self.progress.working(run, what)

    def ended(self, run: Run, status: Status, seconds: float, note: str) -> None:
        self.progress.ended(run, status, seconds, note)

    def warn(self, message: str) -> None:
        self.progress.warn(message)
