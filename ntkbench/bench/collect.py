"""What a store can do without. A record is never touched: the next run computes at most what it would have loaded."""

import re
import shutil
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ntkbench.bench import lease
from ntkbench.bench.groups import seeds_of
from ntkbench.bench.index import End
from ntkbench.bench.inventory import Thing
from ntkbench.bench.render import size, table
from ntkbench.bench.store import STAGES, Store
from ntkbench.errors import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True)
class Waste:
    """Something that may go, and why."""

    thing: Thing
    why: str


@dataclass(frozen=True)
class Wishes:
    """`age`: what was of use in the last so many seconds stays. Stages to drop, used or not, and stages to keep."""

    age: float
    drop: Collection[str] = ()
    keep: Collection[str] = ()


def seconds(text: str) -> float:
    """Of 90s, 12h, 30d."""
    if not (match := re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)([smhdw])", text.strip())):
        raise UsageError(f"--older-than {text!r}: write a number and a unit, e.g. 12h or 30d")
    return float(match[1]) * _UNITS[match[2]]


def at_work(store: Store) -> bool:
    """Whether a process holds a lock of the store."""
    return any(lease.is_held(path) for path in (store.root / "locks").glob("*"))


def waste(store: Store, things: Iterable[Thing], ends: Mapping[str, End], wishes: Wishes) -> list[Waste]:
    """What may go. While somebody is at work, no object or draft is: a record may be about to name it."""
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
            return None if lease.is_held(thing.path) else "nobody holds it"
        if thing.kind == "arrays":
            return None if thing.name in runs else "its record is gone"
        if thing.kind not in STAGES or busy or thing.kind in wishes.keep:
            return None
        return "its stage is dropped" if thing.kind in wishes.drop else _of_object(thing, named, measured, trained)

    return [Waste(thing, reason) for thing in there if thing.used < before and (reason := why(thing))]


def _of_object(
    thing: Thing, named: Mapping[str, int], measured: Mapping[str, int], trained: Collection[str]
) -> str | None:
    group = thing.name.partition("@")[0]
    if thing.kind == "checkpoint":
        return "its training is finished" if group in trained else None
    if thing.kind == "snapshot" and group in named:
        done = measured.get(group, 0) >= len(seeds_of(group.partition("-")[2]))
        return "all runs of its training are ok" if done else None
    return None if group in named else "no record names it"


def told(found: Iterable[Waste]) -> str:
    """How many and how large, by reason."""
    groups: dict[tuple[str, str], list[Waste]] = {}
    for each in found:
        groups.setdefault((each.thing.kind, each.why), []).append(each)
    rows = [[kind, why, str(len(group)), size(_bytes(group))] for (kind, why), group in groups.items()]
    every = [each for group in groups.values() for each in group]
    return table(["kind", "why", "number", "size"], [*rows, ["all", "", str(len(every)), size(_bytes(every))]], "plain")


def remove(store: Store, found: Iterable[Waste]) -> Iterator[Waste]:
    """Away with it, but for what somebody has begun to use; gives what went."""
    busy = at_work(store)
    for each in found:
        thing = each.thing
        if thing.kind in STAGES:
            if busy:
                continue
            store.discard(thing.kind, thing.name)
        elif thing.kind == "locks":
            if not lease.remove(thing.path):
                continue
        elif thing.path.is_dir() and not thing.path.is_symlink():
            shutil.rmtree(thing.path)
        else:
            thing.path.unlink(missing_ok=True)
        yield each


def _bytes(found: Iterable[Waste]) -> int:
    return sum(each.thing.bytes for each in found)
