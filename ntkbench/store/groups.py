"""Tell which seeds of a cell are trained together, as one vectorized computation.

The number of seeds in it can change the last bits of a result. So a group that was begun is finished with the same
seeds, and a new group's size follows from the cell, not from the memory of the machine.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby, product

from ntkbench.plan import sizes, timeline
from ntkbench.plan.keys import networks_needed, seeds_of, shared_stages, state_key, training_key, trainings
from ntkbench.plan.runs import Run
from ntkbench.spec.cell import Cell
from ntkbench.spec.training import Trained
from ntkbench.store.folder import StoreFolder

_STEP = re.compile(r"[0-9]{1,20}")


def groups(store: StoreFolder, cell: Cell, seeds: Collection[int]) -> list[tuple[int, ...]]:
    """Return groups that cover the seeds: those that were begun earlier, unchanged, then new ones.

    A group from the store may hold more seeds than were asked for.
    """
    left, found = set(seeds), []
    for group in sorted(_begun(store, cell), key=lambda group: (-len(group), group)):
        if left & set(group):
            found.append(group)
            left -= set(group)
    together, rest = sizes.seeds_per_group(cell), sorted(left)
    return found + [tuple(rest[i : i + together]) for i in range(0, len(rest), together)]


def trained(store: StoreFolder, cell: Cell) -> set[int]:
    """Return the seeds whose trained network is in the store."""
    return {seed for tag in _tags(store, "training", training_key(cell)) for seed in seeds_of(tag)}


def kept_steps(store: StoreFolder, stage: str, group_key: str) -> set[int]:
    """Return the steps after which a stage (checkpoint or snapshot) has kept the group's state."""
    prefix = state_key(group_key, "")
    steps = (key.removeprefix(prefix) for key in store.keys(stage, prefix))
    return {int(step) for step in steps if _STEP.fullmatch(step)}


def snapshots(store: StoreFolder, cell: Cell) -> set[tuple[int, int]]:
    """Return the (seed, step) pairs along the cell's last phase whose predictor is in the store."""
    key = training_key(cell)
    names = (name.removeprefix(f"{key}-").partition(state_key("", "")) for name in store.keys("snapshot", f"{key}-"))
    return {(seed, int(step)) for tag, _, step in names if _STEP.fullmatch(step) for seed in seeds_of(tag)}


def _begun(store: StoreFolder, cell: Cell) -> set[tuple[int, ...]]:
    """Return the groups of a cell of which the store has any object."""
    key = training_key(cell)
    return {seeds_of(tag) for stage in ("training", "checkpoint", "snapshot") for tag in _tags(store, stage, key)}


def _tags(store: StoreFolder, stage: str, key: str) -> Iterable[str]:
    """Return the ends of the keys in the store that name seeds, of one training."""
    return (name.removeprefix(f"{key}-").split("@")[0] for name in store.keys(stage, f"{key}-"))


def objects(cell: Cell, seeds: Sequence[int], store: StoreFolder) -> Iterator[tuple[str, str, bool]]:
    """Yield stage, key and presence in the store of each object that the runs of a cell read or write.

    Trained networks and snapshots have a key for each seed, `<key> <seed>`, although seeds that train together are
    stored in one object.
    """
    for name in networks_needed(cell):
        own = cell.as_own(name)
        if isinstance(own.training, Trained):
            key, there, drawn = training_key(own), trained(store, own), [cell.seed_of(name, seed) for seed in seeds]
            yield from (("training", f"{key} {seed}", seed in there) for seed in drawn)
    if cell.has_network and isinstance(cell.training, Trained):
        for of, kept in groupby(timeline.snapshots_kept(cell), key=lambda each: each[0]):
            key, known = training_key(of), snapshots(store, of)
            for step, seed in product([step for _, step in kept], seeds):
                yield "snapshot", state_key(f"{key} {seed}", step), (seed, step) in known
    for stage, key, _ in shared_stages(cell):
        yield stage, key, store.has(stage, key)


def cached(runs: Sequence[Run], store: StoreFolder) -> set[str]:
    """Return the keys of the stages that the store has: kernels, crafted examples, trainings.

    A training counts where the store has it for every seed among the runs.
    """
    asked: dict[str, tuple[Cell, set[int]]] = {}
    found = set()
    for cell, same in groupby(runs, key=lambda run: run.cell):
        seeds = [run.seed for run in same]
        for name, each in trainings(cell):
            asked.setdefault(training_key(each), (each, set()))[1].update(cell.seed_of(name, seed) for seed in seeds)
        found |= {key for stage, key, _ in shared_stages(cell) if store.has(stage, key)}
    return found | {key for key, (cell, seeds) in asked.items() if seeds <= trained(store, cell)}
