"""Predict what running a plan would do: runs left, stages in the store, time, memory. Nothing is run.

`ntkbench plan` prints `outlook`; `explain` uses `objects`, the report uses `took`, and remaining times use `cached`.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, product
from typing import TYPE_CHECKING

from ntkbench.bench import cost, groups, ledger, memory, snapshots, spent, stages
from ntkbench.bench.machine import Work
from ntkbench.bench.plan import Plan, Run
from ntkbench.bench.regimes import Trained
from ntkbench.bench.render import duration, size, table
from ntkbench.bench.spec import Cell
from ntkbench.bench.store import Store

if TYPE_CHECKING:
    from ntkbench.bench.record import Record


def outlook(plan: Plan, store: Store) -> str:
    """Return a table of the cells, then runs done, stages in the store, time and memory of what is left.

    The estimate is for one process on two CPU cores. Where runs are done, the last line says what they took.
    """
    pending = ledger.left(store, plan.runs)
    waiting = {run.id for run in pending}
    estimate = cost.estimate(Plan(plan.header, tuple(pending), plan.file))
    there = cached(pending, store)
    left = [work for key, work in estimate.stages.items() if key not in there]
    total = sum([*left, *estimate.runs.values()], Work())
    done = len(plan.runs) - len(pending)
    lines = [_cells(plan, waiting), "", f"runs      {len(plan.runs)}, of which {done} are done"]
    lines += [f"{stage:<9} {there} of {whole} in the store" for stage, (there, whole) in _shared(plan, store).items()]
    if pending:
        lines.append(f"time      about {duration(cost.seconds(total))} on two CPU cores")
        lines.append(f"memory    about {_memory(cost.peak_bytes(total), estimate.advice)}")
    if done and (said := took(plan, {each.run_id: each for each in ledger.records(store, plan.runs)})):
        lines.append(f"took      {said}")
    return "\n".join(lines)


def _memory(needed: int, advice: str) -> str:
    """Return a need of memory in words, with advice how to lower it where this machine has less."""
    there = memory.host_bytes()
    enough = needed <= there
    return size(needed) if enough else f"{size(needed)}, more than the {size(there)} that are here; {advice} would help"


def took(plan: Plan, records: "Mapping[str, Record]") -> str:
    """Return time and memory that the ok runs took beside the estimate of the same; empty where none was measured.

    `records`: the records of the plan's runs, by run id.
    """
    of_plan = spent.of_plan(plan, records)
    if of_plan is None:
        return ""
    return (
        f"time {duration(of_plan.seconds)} of about {duration(of_plan.expected_seconds)} estimated, "
        f"memory {size(of_plan.bytes)} of about {size(of_plan.expected_bytes)}"
    )


def _cells(plan: Plan, waiting: set[str]) -> str:
    """Return a table with a row for each cell: labels, seeds done, time and memory if it ran alone, first run id.

    `waiting`: ids of the runs that are not done.
    """
    cells: dict[tuple[tuple[str, str], ...], list[Run]] = {}
    for run in plan.runs:
        cells.setdefault(tuple(run.coordinates.items()), []).append(run)
    axes = [axis for axis, _ in next(iter(cells))]
    rows = []
    for labels, runs in cells.items():
        done = sum(run.id not in waiting for run in runs)
        work = cost.estimate(Plan(plan.header, tuple(runs), plan.file)).total
        seeds = f"{done}/{len(runs)}"
        time, room = duration(cost.seconds(work)), size(cost.peak_bytes(work))
        rows.append([*(label for _, label in labels), seeds, time, room, runs[0].id])
    return table([*axes, "seeds done", "time if alone", "memory", "first run"], rows, "plain")


def _shared(plan: Plan, store: Store) -> Mapping[str, tuple[int, int]]:
    """Return for each stage how many of its objects the store has, and how many the plan uses."""
    found: dict[str, dict[str, bool]] = {}
    for cell, runs in groupby(plan.runs, key=lambda run: run.cell):
        for stage, key, cached in objects(cell, [run.seed for run in runs], store):
            found.setdefault(stage, {})[key] = cached
    return {stage: (sum(keys.values()), len(keys)) for stage, keys in found.items()}


def objects(cell: Cell, seeds: Sequence[int], store: Store) -> Iterator[tuple[str, str, bool]]:
    """Yield stage, key and presence in the store of each object that the runs of a cell read or write.

    Trained networks and snapshots have a key for each seed, `<key> <seed>`, although seeds that train together are
    stored in one object.
    """
    if cell.width is not None and isinstance(cell.training, Trained):
        key, there = stages.training_key(cell), groups.trained(store, cell)
        yield from (("training", f"{key} {seed}", seed in there) for seed in seeds)
        for of, kept in groupby(snapshots.kept(cell), key=lambda each: each[0]):
            key, known = stages.training_key(of), groups.snapshots(store, of)
            for step, seed in product([step for _, step in kept], seeds):
                yield "snapshot", groups.state_key(f"{key} {seed}", step), (seed, step) in known
    for stage, key, _ in stages.shared(cell):
        yield stage, key, store.has(stage, key)


def cached(runs: Sequence[Run], store: Store) -> set[str]:
    """Return the keys of the stages that the store has: kernels, crafted examples, trainings.

    A training counts where the store has it for every seed among the runs.
    """
    asked: dict[str, tuple[Cell, set[int]]] = {}
    found = set()
    for cell, same in groupby(runs, key=lambda run: run.cell):
        seeds = {run.seed for run in same}
        for each in cost.trainings(cell):
            asked.setdefault(stages.training_key(each), (each, set()))[1].update(seeds)
        found |= {key for stage, key, _ in stages.shared(cell) if store.has(stage, key)}
    return found | {key for key, (cell, seeds) in asked.items() if seeds <= groups.trained(store, cell)}
