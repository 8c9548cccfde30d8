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
from ntkbench.store.index import End
from ntkbench.store.store import STAGES, Store
from ntkbench.store.upkeep.inventory import Thing

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
"""seconds by unit of time"""


@dataclass(frozen=True)
class Waste:
    """A thing in the store that may be removed, and why."""

    thing: Thing
    why: str


@dataclass(frozen=True)
class Wishes:
    """What the caller asks for.

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


def at_work(store: Store) -> bool:
    """Return whether some process holds a lock of the store, and so may be running."""
    return any(locks.is_held(path) for path in (store.root / "locks").glob("*"))


def waste(store: Store, things: Iterable[Thing], ends: Mapping[str, End], wishes: Wishes) -> list[Waste]:
    """Return what may be removed, with the reason for each.

    While a process holds a lock of the store, no object and no draft is: a record may be about to name it. `ends` are
    the ends of all runs with a readable record, by run id.
    """
    there = list(things)
    before, busy = time.time() - wishes.age, at_work(store)
    named = Counter(key for end in ends.values() for key in end.stages.values())
    measured = Counter(end.stages.get("training", "") for end in ends.values() if end.status == "ok")
    trained = {thing.name for thing in there if thing.kind == "training"}
    runs = {thing.name for thing in there if thing.kind == "records"}

    def why(thing: Thing) -> str | None:
        if thing.kind in ("drafts", "running"):
            return None if busy else "a killed process left it"
        if thing.kind == "locks":
            return None if locks.is_held(thing.path) else "nobody holds it"
        if thing.kind == "arrays":
            return None if thing.name in runs else "its record is gone"
        if thing.kind not in STAGES or busy or thing.kind in wishes.keep:
            return None
        return "its stage is dropped" if thing.kind in wishes.drop else _of_object(thing, named, measured, trained)

    return [Waste(thing, reason) for thing in there if thing.used < before and (reason := why(thing))]


def _of_object(
    thing: Thing, named: Mapping[str, int], measured: Mapping[str, int], trained: Collection[str]
) -> str | None:
    """Return why a cached object may go; None if it may not.

    A checkpoint goes when its training is in the store, a snapshot when every seed that trained together has a record
    with status ok, any other object when no record names it. `measured` counts ok runs by the key of their training.
    """
    group = thing.name.partition("@")[0]
    if thing.kind == "checkpoint":
        return "its training is finished" if group in trained else None
    if thing.kind == "snapshot" and group in named:
        done = measured.get(group, 0) >= len(seeds_of(group.partition("-")[2]))
        return "all runs of its training are ok" if done else None
    return None if group in named else "no record names it"


def told(found: Iterable[Waste]) -> str:
    """Return a table of number and size of what was found, by kind and reason."""
    groups: dict[tuple[str, str], list[Waste]] = {}
    for each in found:
        groups.setdefault((each.thing.kind, each.why), []).append(each)
    rows = [[kind, why, str(len(group)), size(_bytes(group))] for (kind, why), group in groups.items()]
    every = [each for group in groups.values() for each in group]
    return table(["kind", "why", "number", "size"], [*rows, ["all", "", str(len(every)), size(_bytes(every))]], "plain")


def remove(store: Store, found: Iterable[Waste]) -> Iterator[Waste]:
    """Remove what was found, and yield what is gone; what a process has begun to use in the meantime stays."""
    busy = at_work(store)
    for each in found:
        thing = each.thing
        if thing.kind in STAGES:
            if busy:
                continue
            store.discard(thing.kind, thing.name)
        elif thing.kind == "locks":
            if not locks.remove(thing.path):
                continue
        elif thing.path.is_dir() and not thing.path.is_symlink():
            shutil.rmtree(thing.path)
        else:
            thing.path.unlink(missing_ok=True)
        yield each


def _bytes(found: Iterable[Waste]) -> int:
    return sum(each.thing.bytes for each in found)
