"""Which seeds of a cell are trained together, as one vectorized computation.

The number of seeds in it can change the last bits of a result. So a group that was begun is finished with the same
seeds, and a new group's size follows from the cell, not from the memory of the machine.
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
"""the most seeds that a group's key may stand for; longer ones are not read"""


def groups(store: Store, cell: Cell, seeds: Collection[int]) -> list[tuple[int, ...]]:
    """Return groups that cover the seeds: those that were begun earlier, unchanged, then new ones.

    A group from the store may hold more seeds than were asked for.
    """
    left, found = set(seeds), []
    for group in sorted(_begun(store, cell), key=lambda group: (-len(group), group)):
        if left & set(group):
            found.append(group)
            left -= set(group)
    together, rest = sizes.together(cell), sorted(left)
    return found + [tuple(rest[i : i + together]) for i in range(0, len(rest), together)]


def trained(store: Store, cell: Cell) -> set[int]:
    """Return the seeds whose trained network is in the store."""
    return {seed for tag in _tags(store, "training", training_key(cell)) for seed in seeds_of(tag)}


def group_key(cell: Cell, seeds: Sequence[int]) -> str:
    """Return the key of a group's objects in the store; `seeds_of` reads the seeds back from its end."""
    return f"{training_key(cell)}-{_tag(seeds)}"


def state_key(group_key: str, step: int | str) -> str:
    """Return the key of a group's state after `step` steps of its stretch."""
    return f"{group_key}@step{step}"


def kept(store: Store, stage: str, group_key: str) -> set[int]:
    """Return the steps after which a stage (checkpoint or snapshot) has kept the group's state."""
    prefix = state_key(group_key, "")
    steps = (key.removeprefix(prefix) for key in store.keys(stage, prefix))
    return {int(step) for step in steps if _STEP.fullmatch(step)}


def snapshots(store: Store, cell: Cell) -> set[tuple[int, int]]:
    """Return the (seed, step) pairs along the cell's last stretch whose predictor is in the store."""
    key = training_key(cell)
    names = (name.removeprefix(f"{key}-").partition(state_key("", "")) for name in store.keys("snapshot", f"{key}-"))
    return {(seed, int(step)) for tag, _, step in names if _STEP.fullmatch(step) for seed in seeds_of(tag)}


def _begun(store: Store, cell: Cell) -> set[tuple[int, ...]]:
    """Return the groups of a cell of which the store has any object."""
    key = training_key(cell)
    return {seeds_of(tag) for stage in ("training", "checkpoint", "snapshot") for tag in _tags(store, stage, key)}


def _tags(store: Store, stage: str, key: str) -> Iterable[str]:
    """Return the ends of the keys in the store that name seeds, of one training."""
    return (name.removeprefix(f"{key}-").split("@")[0] for name in store.keys(stage, f"{key}-"))


def _tag(seeds: Sequence[int]) -> str:
    """Return ascending seeds as text, with ranges: 0-4.7 for 0, 1, 2, 3, 4 and 7."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ".".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def seeds_of(tag: str) -> tuple[int, ...]:
    """Return the seeds that the end of a group's key names; none if it is malformed or names too many."""
    if not re.fullmatch(r"[0-9]{1,20}(-[0-9]{1,20})?(\.[0-9]{1,20}(-[0-9]{1,20})?)*", tag):
        return ()
    bounds = [tuple(map(int, run.split("-"))) for run in tag.split(".")]
    found = [range(bound[0], bound[-1] + 1) for bound in bounds]
    return tuple(chain(*found)) if sum(map(len, found)) <= _MOST_NAMED else ()
