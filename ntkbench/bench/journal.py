"""What is being done right now, kept in the store: any terminal can tell, whoever does it and wherever.

A unit has a file in `running/` from its begin to its end. One that nobody works at any more was left by a process
that died.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field

from ntkbench.bench import disk, jsonfile
from ntkbench.bench.jsonfile import Document, Line, Natural
from ntkbench.bench.plan import Run
from ntkbench.bench.progress import Progress
from ntkbench.bench.record import Instant, RunId, Status
from ntkbench.bench.store import Store
from ntkbench.bench.unit import Unit
from ntkbench.errors import NtkbenchError

_EVERY = 1.0
"""seconds between two notes of the same unit"""
_EVENTS = Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat")
"""where Linux counts the processes that it ended for memory: of the container, of the machine"""


class Running(Document):
    """A unit that is being executed, or was when its process died."""

    unit: Line
    runs: tuple[RunId, ...]
    run: RunId | None
    """of these, the one at work; the first, while all are trained"""
    doing: Line
    began: Instant
    beat: Instant
    """when this was written"""
    process: Natural
    tile_bytes: Annotated[float, Field(gt=0)]
    starved: Natural | None
    """processes that the system had ended for memory, when the unit began"""

    @property
    def was_starved(self) -> bool:
        """Whether the system has ended processes for memory since."""
        now = starved()
        return now is not None and self.starved is not None and now > self.starved


def lock(unit_key: str) -> str:
    """The name of the lock that is held while a unit is executed."""
    return f"unit-{unit_key}"


def find(store: Store, unit_key: str) -> Running | None:
    """What is noted of a unit, if anything that can be read."""
    path = _path(store, unit_key)
    try:
        return jsonfile.parse(Running, jsonfile.read(path), path) if path.is_file() else None
    except NtkbenchError:
        return None


def running(store: Store) -> list[Running]:
    """All that is noted, the longest first."""
    names = sorted(path.stem for path in (store.root / "running").glob("*.json"))
    return sorted(filter(None, (find(store, name) for name in names)), key=lambda found: found.began)


def is_left(store: Store, found: Running) -> bool:
    """Whether nobody is at the unit any more: its process died, and the next one takes it up."""
    return not store.is_held(lock(found.unit))


@contextmanager
def keep(store: Store, unit: Unit, tile_bytes: float, progress: Progress) -> Iterator[Progress]:
    """Note what a unit does for as long as it is executed, and pass it on to `progress`."""
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
        starved=starved(),
    )
    _write(path, note)
    try:
        yield _Notes(path, note, progress)
    finally:
        with disk.writing(path):
            path.unlink(missing_ok=True)


@dataclass
class _Notes:
    """Writes down what is being done, once a second at most."""

    path: Path
    note: Running
    progress: Progress
    written: float = 0.0

    def doing(self, run: Run, what: str) -> None:
        if time.monotonic() - self.written > _EVERY:
            self.written = time.monotonic()
            _write(self.path, self.note.model_copy(update={"run": run.id, "doing": what[:1000], "beat": _now()}))
        self.progress.doing(run, what)

    def ended(self, run: Run, status: Status, seconds: float, note: str) -> None:
        self.progress.ended(run, status, seconds, note)

    def warn(self, message: str) -> None:
        self.progress.warn(message)


def starved() -> int | None:
    """How many processes the system has ended because memory ran out; None where it does not say."""
    for source in _EVENTS:
        try:
            words = source.read_text().split()
        except OSError:
            continue
        if "oom_kill" in words:
            return int(words[words.index("oom_kill") + 1])
    return None


def _path(store: Store, unit_key: str) -> Path:
    return store.root / "running" / f"{unit_key}.json"


def _write(path: Path, note: Running) -> None:
    jsonfile.write(path, jsonfile.dump(note), durable=False)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
