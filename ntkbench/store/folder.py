"""The places of records, logs and objects in a store, and whether they are there; nothing is read or written.

    folder = StoreFolder(Path("runs"))
    folder.record(run_id).is_file(), folder.has("kernel", key)

Commands that only look at what there is (plan, status, show) use it. `Store` adds objects and locks.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from pathlib import Path

from ntkbench.errors import UsageError
from ntkbench.store import locks

STAGES = ("training", "checkpoint", "snapshot", "tile", "factor", "kernel", "solve", "craft", "poison")
"""stages whose results are kept as objects, see docs/store.md"""


class StoreWarning(UserWarning):
    """Something in the store is damaged or gone, or its file system has no locks; work may be done again."""


@dataclass(frozen=True)
class StoreFolder:
    """A folder of objects, records and logs. An object has a stage, one of STAGES, and a key, see `plan.keys`."""

    root: Path

    def __post_init__(self) -> None:
        """Raise UsageError where a folder is a link: a store of somebody else could have it lead to the user's own
        files."""
        objects = self.root / "objects"
        folders = [objects, self.records, self.root / "logs", self.root / "locks"]
        for folder in [*folders, *(objects.iterdir() if objects.is_dir() else ())]:
            if folder.is_symlink():
                raise UsageError(f"{folder} is a link; a store may be one as a whole, but its folders are its own")

    @property
    def records(self) -> Path:
        return self.root / "records"

    def record(self, run_id: str) -> Path:
        """Return the file of a run's record, whether it is there or not."""
        return self.records / f"{run_id}.json"

    def arrays(self, run_id: str) -> Path:
        """Return the file beside a record with outcomes per test point and series."""
        return self.records / f"{run_id}.npz"

    def log(self, run_id: str) -> Path:
        """Return the file that says when a run was tried, with the traceback where it failed."""
        return self.root / "logs" / f"{run_id}.log"

    def has(self, stage: str, key: str) -> bool:
        """Return whether the object exists; whether it is whole shows on loading."""
        return (self._place(stage, key) / "manifest.json").is_file()

    def keys(self, stage: str, prefix: str) -> list[str]:
        """Return the keys of a stage that start with the prefix, in order."""
        return sorted(place.parent.name for place in self._stage(stage).glob(f"{prefix}*/manifest.json"))

    def is_held(self, name: str) -> bool:
        """Return whether a process holds the named lock; nothing is written."""
        return any(locks.is_held(self.root / "locks" / f"{name}.{kind}") for kind in ("lock", "lease"))

    def _stage(self, stage: str) -> Path:
        return self.root / "objects" / stage

    def _place(self, stage: str, key: str) -> Path:
        return self._stage(stage) / key


@dataclass(frozen=True)
class ListedFolder(StoreFolder):
    """A store whose objects are listed once, when they are first asked for: what is added afterwards is not seen.

    It answers questions about thousands of cells, each of which would list thousands of objects again.
    """

    _listed: dict[str, list[str]] = field(default_factory=dict, compare=False)
    """keys of each stage, in order"""

    def has(self, stage: str, key: str) -> bool:
        """Return whether the object exists; whether it is whole shows on loading."""
        listed = self._of(stage)
        place = bisect_left(listed, key)
        return listed[place : place + 1] == [key]

    def keys(self, stage: str, prefix: str) -> list[str]:
        """Return the keys of a stage that start with the prefix, in order."""
        listed = self._of(stage)
        first = bisect_left(listed, prefix)
        return listed[first : bisect_right(listed, prefix, first, key=lambda key: key[: len(prefix)])]

    def _of(self, stage: str) -> list[str]:
        if stage not in self._listed:
            self._listed[stage] = super().keys(stage, "")
        return self._listed[stage]
