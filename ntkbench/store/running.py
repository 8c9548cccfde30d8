"""Notes in the store on the units that are being executed, so that `ntkbench status` can tell from any terminal.

A unit has a file in `running/` from its begin to its end. A note whose unit nobody holds the lock of was left by a
process that died; the next process that executes the unit reads there whether it died for lack of memory.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field

from ntkbench import documents, files
from ntkbench.documents import Document, Line, Natural
from ntkbench.errors import NtkbenchError
from ntkbench.store.folder import StoreFolder
from ntkbench.store.record import Instant, RunId

_EVENTS = Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat")
"""files in which Linux counts the processes that it killed for memory: of the container, then of the machine"""


class Running(Document):
    """A note on a unit that is being executed, or was when its process died."""

    unit: Line
    """key of the unit"""
    runs: tuple[RunId, ...]
    run: RunId | None
    """id of the run at work, or of the first one while all are trained; None at the begin of the unit"""
    doing: Line
    """the current part of the work, in a few words"""
    began: Instant
    """begin of the unit (UTC)"""
    beat: Instant
    """time of this note (UTC)"""
    process: Natural
    """process id"""
    tile_bytes: Annotated[float, Field(gt=0)]
    """size of tiles that the process works with"""
    starved: Natural | None
    """number of processes that the system had killed for memory when the unit began; None if unknown"""

    @property
    def oom_killed_since(self) -> bool:
        """Return whether the system has killed a process for memory since the unit began."""
        now = oom_kill_count()
        return now is not None and self.starved is not None and now > self.starved


def lock(unit_key: str) -> str:
    """Return the name of the lock that a process holds while it executes a unit."""
    return f"unit-{unit_key}"


def find(store: StoreFolder, unit_key: str) -> Running | None:
    """Return the note on a unit; None if there is none that can be read."""
    path = _path(store, unit_key)
    try:
        return documents.parse(Running, documents.read(path), path) if path.is_file() else None
    except NtkbenchError:
        return None


def running(store: StoreFolder) -> list[Running]:
    """Return all notes in the store, the unit that began first at the front."""
    names = sorted(path.stem for path in (store.root / "running").glob("*.json"))
    return sorted(filter(None, (find(store, name) for name in names)), key=lambda found: found.began)


def is_abandoned(store: StoreFolder, found: Running) -> bool:
    """Return whether a unit's process died: nobody holds its lock, and the next process will take it up."""
    return not store.is_held(lock(found.unit))


def oom_kill_count() -> int | None:
    """Return how many processes Linux has killed for lack of memory; None on systems that do not count them."""
    for source in _EVENTS:
        try:
            words = source.read_text().split()
        except OSError:
            continue
        if "oom_kill" in words:
            return int(words[words.index("oom_kill") + 1])
    return None


def _path(store: StoreFolder, unit_key: str) -> Path:
    return store.root / "running" / f"{unit_key}.json"


def _write(path: Path, note: Running) -> None:
    files.write(path, documents.dump(note), durable=False)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
