"""Log the runs of a plan as they end, once each, whatever becomes of the log.

    write = opened("tensorboard", folder)                          # before anything runs
    watcher = Tracked(watcher, write, folder, store, planned.runs)

The process that drives the plan logs, from the record of a run that was reported as ok: workers know nothing of it. A
run that was done before is logged at the beginning, unless the folder says that it has been.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Literal, get_args

from ntkbench import files
from ntkbench.errors import UsageError
from ntkbench.plan.runs import Run, label
from ntkbench.run.progress import PlanProgress
from ntkbench.run.tracking.run_log import RunLog, run_log
from ntkbench.store import lookup
from ntkbench.store.record import Status
from ntkbench.store.store import Store
from ntkbench.text import one_line

Tracker = Literal["tensorboard", "wandb", "mlflow"]
"""a tool that keeps logs: its module here is `to_NAME`, and the extra NAME installs it"""
TRACKERS: tuple[Tracker, ...] = get_args(Tracker)


def opened(tracker: Tracker, folder: Path) -> Callable[[RunLog], None]:
    """Return the function that writes the log of one run with a tracker, which is imported here.

    `folder`: where the tracker keeps its files. Raises UsageError if the tracker is not installed or cannot be used, or
    the folder is a link.
    """
    if folder.is_symlink():
        raise UsageError(f"{folder} is a link; name the folder itself with --log-dir")
    try:
        return import_module(f"ntkbench.run.tracking.to_{tracker}").opened(folder)
    except ImportError as error:
        raise UsageError(f"--log {tracker}: {one_line(error, 200)}; pip install 'ntkbench[{tracker}]'") from None
    except Exception as error:
        raise UsageError(f"--log {tracker}: {one_line(error, 1000)}") from error


class Tracked:
    """A `PlanProgress` that passes all it hears on to another, and logs each run that is ok.

    An error of the log becomes one warning, and the runs go on; what is not logged is when the command is given again.

    Args:
        progress: receives everything that is reported.
        write: writes the log of one run.
        folder: where the names of the runs are kept that have been logged.
        store: has the records of the runs.
        runs: those of the plan.
    """

    def __init__(
        self, progress: PlanProgress, write: Callable[[RunLog], None], folder: Path, store: Store, runs: Sequence[Run]
    ):
        self._progress, self._write, self._store, self._runs = progress, write, store, runs
        self._folder = folder
        self._missed = 0

    def begin(self, runs: int, done: int) -> None:
        self._progress.begin(runs, done)
        for run in self._runs:
            self._log(run)

    def working(self, run: Run, what: str) -> None:
        self._progress.working(run, what)

    def ended(self, run: Run, status: Status, seconds: float, note: str) -> None:
        self._progress.ended(run, status, seconds, note)
        if status == "ok":
            self._log(run)

    def warn(self, message: str) -> None:
        self._progress.warn(message)

    def close(self) -> None:
        if self._missed > 1:
            self._progress.warn(f"{self._missed} runs are not logged; the same command tries them again")
        self._progress.close()

    def _log(self, run: Run) -> None:
        """Log a run whose record is ok; warn of the first error, and count all."""
        try:
            self._log_once(run)
        except Exception as error:  # of the tracker, its server, the disk: the record is safe, and the next run waits
            self._missed += 1
            if self._missed == 1:
                said = one_line(str(error) or type(error).__name__, 500)
                self._progress.warn(f"{label(run)} is not logged: {said}")

    def _log_once(self, run: Run) -> None:
        """Log a run unless it has been, or is not ok. A file tells that it has; a lock keeps other commands waiting."""
        logged = self._folder / "logged" / run.id
        if logged.exists() or (record := lookup.find(self._store, run)) is None or record.status != "ok":
            return
        log = run_log(run, record, self._store.records)
        with Store(self._folder).lock("logged"):
            if not logged.exists():
                self._write(log)
                files.write(logged, b"")
