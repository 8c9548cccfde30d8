"""Find and remove the files that a store can do without, for `ntkbench store gc`.

Cached objects that no record names, leftovers of killed processes, and locks that nobody holds may go. Records are
never removed: at most, the next run computes again what it would have loaded.
"""

import re
import shutil
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ntkbench.errors import UsageError
from ntkbench.plan.keys import seeds_of
from ntkbench.render import size, table
from ntkbench.store import locks
from ntkbench.store.folder import STAGES
from ntkbench.store.index import RunSummary
from ntkbench.store.store import Store
from ntkbench.store.upkeep.inventory import StoredItem

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
"""seconds by unit of time"""


@dataclass(frozen=True)
class Collectable:
    """A thing in the store that may be removed, and why."""

    item: StoredItem
    why: str


@dataclass(frozen=True)
class Policy:
    """Hold what the caller of garbage collection asks for.

    `age`: seconds; things that were used since stay. `drop`: stages whose objects may go even if a record names them.
    `keep`: stages whose objects stay even if no record names them.
    """

    age: float
    drop: Collection[str] = ()
    keep: Collection[str] = ()


def seconds(text: str) -> float:
    """Return the seconds of a duration such as `90s`, `12h` or `30d`; UsageError if it is none."""
    if not (match := re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)([smhdw])", text.strip())):
        raise UsageError(f"--older-than {text!r}: write a number and a unit, e.g. 12h or 30d")
    return float(match[1]) * _UNITS[match[2]]


def is_in_use(store: Store) -> bool:
    """Return whether some process holds a lock of the store, and so may be running."""
    return any(locks.is_held(path) for path in (store.root / "locks").glob("*"))


def collectable(
    store: Store, items: Iterable[StoredItem], ends: Mapping[str, RunSummary], policy: Policy
) -> list[Collectable]:
    """Return what may be removed, with the reason for each.

    While a process holds a lock of the store, no object and no draft is: a record may be about to name it. `ends` are
    the ends of all runs with a readable record, by run id.
    """
    there = list(items)
    before, busy = time.time() - policy.age, is_in_use(store)
    named = Counter(key for end in ends.values() for key in end.stages.values())
    measured = Counter(end.stages.get("training", "") for end in ends.values() if end.status == "ok")
    trained = {item.name for item in there if item.kind == "training"}
    runs = {item.name for item in there if item.kind == "records"}

    def why(item: StoredItem) -> str | None:
        if item.kind in ("drafts", "running"):
            return None if busy else "a killed process left it"
        if item.kind == "locks":
            return None if locks.is_held(item.path) else "nobody holds it"
        if item.kind == "arrays":
            return None if item.name in runs else "its record is gone"
        if item.kind not in STAGES or busy or item.kind in policy.keep:
            return None
        return (
            "its stage is dropped" if item.kind in policy.drop else _reason_for_object(item, named, measured, trained)
        )

    return [Collectable(item, reason) for item in there if item.used < before and (reason := why(item))]


def _reason_for_object(
    item: StoredItem, named: Mapping[str, int], measured: Mapping[str, int], trained: Collection[str]
) -> str | None:
    """Return why a cached object may go; None if it may not.

    A checkpoint goes when its training is in the store, a snapshot when every seed that trained together has a record
    with status ok, any other object when no record names it. `measured` counts ok runs by the key of their training.
    """
    group = item.name.partition("@")[0]
    if item.kind == "checkpoint":
        return "its training is finished" if group in trained else None
    if item.kind == "snapshot" and group in named:
        done = measured.get(group, 0) >= len(seeds_of(group.partition("-")[2]))
        return "all runs of its training are ok" if done else None
    return None if group in named else "no record names it"


def report(found: Iterable[Collectable]) -> str:
    """Return a table of number and size of what was found, by kind and reason."""
    groups: dict[tuple[str, str], list[Collectable]] = {}
    for each in found:
        groups.setdefault((each.item.kind, each.why), []).append(each)
    rows = [[kind, why, str(len(group)), size(_bytes(group))] for (kind, why), group in groups.items()]
    every = [each for group in groups.values() for each in group]
    return table(["kind", "why", "number", "size"], [*rows, ["all", "", str(len(every)), size(_bytes(every))]], "plain")


def remove(store: Store, found: Iterable[Collectable]) -> Iterator[Collectable]:
    """Remove what was found, and yield what is gone; what a process has begun to use in the meantime stays."""
    busy = is_in_use(store)
    for each in found:
        item = each.item
        if item.kind in STAGES:
            if busy:
                continue
            store.discard(item.kind, item.name)
        elif item.kind == "locks":
            if not locks.remove(item.path):
                continue
        elif item.path.is_dir() and not item.path.is_symlink():
            shutil.rmtree(item.path)
        else:
            item.path.unlink(missing_ok=True)
        yield each


def _bytes(found: Iterable[Collectable]) -> int:
    return sum(each.item.bytes for each in found)
