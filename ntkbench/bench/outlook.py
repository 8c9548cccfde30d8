"""What running a plan would do: runs, stages that are there already, time and memory. Nothing is run."""

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
    """One line a cell, then the stages and the whole."""
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
    there = memory.host_bytes()
    enough = needed <= there
    return size(needed) if enough else f"{size(needed)}, more than the {size(there)} that are here; {advice} would help"


def took(plan: Plan, records: "Mapping[str, Record]") -> str:
    """What the runs that ended well took, beside the estimate of the same; nothing if there are none."""
    of_plan = spent.of_plan(plan, records)
    if of_plan is None:
        return ""
    return (
        f"time {duration(of_plan.seconds)} of about {duration(of_plan.expected_seconds)} estimated, "
        f"memory {size(of_plan.bytes)} of about {size(of_plan.expected_bytes)}"
    )


def _cells(plan: Plan, waiting: set[str]) -> str:
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
    """How many objects of each stage the plan uses, and how many are there."""
    found: dict[str, dict[str, bool]] = {}
    for cell, runs in groupby(plan.runs, key=lambda run: run.cell):
        for stage, key, cached in objects(cell, [run.seed for run in runs], store):
            found.setdefault(stage, {})[key] = cached
    return {stage: (sum(keys.values()), len(keys)) for stage, keys in found.items()}


def objects(cell: Cell, seeds: Sequence[int], store: Store) -> Iterator[tuple[str, str, bool]]:
    """Stage, key, and whether it is there, of all that the runs of a cell take from the store or put into it."""
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
    """Return the keys of stages that the store has: trainings of every seed among the runs, kernels, examples."""
    asked: dict[str, tuple[Cell, set[int]]] = {}
    found = set()
    for cell, same in groupby(runs, key=lambda run: run.cell):
        seeds = {run.seed for run in same}
        for each in cost.trainings(cell):
            asked.setdefault(stages.training_key(each), (each, set()))[1].update(seeds)
        found |= {key for stage, key, _ in stages.shared(cell) if store.has(stage, key)}
    return found | {key for key, (cell, seeds) in asked.items() if seeds <= groups.trained(store, cell)}
