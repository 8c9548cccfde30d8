"""Which seeds of a cell train together.

Their number is part of a result's last bits, so a group that was begun is finished as it was, and no
machine's memory decides on it.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from itertools import chain

from ntkbench.bench import sizes
from ntkbench.bench.spec import Cell
from ntkbench.bench.stages import training_key
from ntkbench.bench.store import Store

_STEP = re.compile(r"[0-9]{1,20}")
_MOST_NAMED = 1000
"""seeds that the name of an object stands for"""


def groups(store: Store, cell: Cell, seeds: Collection[int]) -> list[tuple[int, ...]]:
    """Groups that cover the seeds: those begun earlier, as they were, then new ones."""
    left, found = set(seeds), []
    for group in sorted(_begun(store, cell), key=lambda group: (-len(group), group)):
        if left & set(group):
            found.append(group)
            left -= set(group)
    together, rest = sizes.together(cell), sorted(left)
    return found + [tuple(rest[i : i + together]) for i in range(0, len(rest), together)]


def trained(store: Store, cell: Cell) -> set[int]:
    """The seeds whose trained network the store has."""
    return {seed for tag in _tags(store, "training", training_key(cell)) for seed in seeds_of(tag)}


def group_key(cell: Cell, seeds: Sequence[int]) -> str:
    """Of a group's objects: the seeds can be read off it."""
    return f"{training_key(cell)}-{_tag(seeds)}"


def state_key(group_key: str, step: int | str) -> str:
    """Of a group after so many steps of its stretch."""
    return f"{group_key}@step{step}"


def kept(store: Store, stage: str, group_key: str) -> set[int]:
    """After how many steps a stage has kept the group's state."""
    prefix = state_key(group_key, "")
    steps = (key.removeprefix(prefix) for key in store.keys(stage, prefix))
    return {int(step) for step in steps if _STEP.fullmatch(step)}


def snapshots(store: Store, cell: Cell) -> set[tuple[int, int]]:
    """Seed and step of the predictors along the cell's last stretch that the store has."""
    key = training_key(cell)
    names = (name.removeprefix(f"{key}-").partition(state_key("", "")) for name in store.keys("snapshot", f"{key}-"))
    return {(seed, int(step)) for tag, _, step in names if _STEP.fullmatch(step) for seed in seeds_of(tag)}


def _begun(store: Store, cell: Cell) -> set[tuple[int, ...]]:
    key = training_key(cell)
    return {seeds_of(tag) for stage in ("training", "checkpoint", "snapshot") for tag in _tags(store, stage, key)}


def _tags(store: Store, stage: str, key: str) -> Iterable[str]:
    return (name.removeprefix(f"{key}-").split("@")[0] for name in store.keys(stage, f"{key}-"))


def _tag(seeds: Sequence[int]) -> str:
    """0-4.7: runs of seeds."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ".".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def seeds_of(tag: str) -> tuple[int, ...]:
    """What a group's key ends in, read back. None of a name that is no tag, or stands for more than train together."""
    if not re.fullmatch(r"[0-9]{1,20}(-[0-9]{1,20})?(\.[0-9]{1,20}(-[0-9]{1,20})?)*", tag):
        return ()
    bounds = [tuple(map(int, run.split("-"))) for run in tag.split(".")]
    found = [range(bound[0], bound[-1] + 1) for bound in bounds]
    return tuple(chain(*found)) if sum(map(len, found)) <= _MOST_NAMED else ()
