"""Predict what running a plan would do: runs left, stages in the store, time, memory. Nothing is run.

`ntkbench plan` prints `cost_forecast`; `explain` uses `objects`, the report uses `spent_line`, and remaining times use
`cached`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from ntkbench import files
from ntkbench.plan import keys, memory, sizes, timeline
from ntkbench.plan.cost import estimate as cost_estimate
from ntkbench.plan.cost import networks
from ntkbench.plan.cost.tiles import TiledMatrix, disk_bytes, tiled
from ntkbench.plan.cost.work import CORES, Work, total
from ntkbench.plan.runs import Plan, Run
from ntkbench.render import duration, size, table
from ntkbench.spec.attacks import SELF
from ntkbench.spec.kernels import InfiniteKernel
from ntkbench.store import groups, lookup
from ntkbench.store.folder import ListedFolder, StoreFolder
from ntkbench.store.groups import objects
from ntkbench.store.record import Record, StageRow

# Compare what runs took, by their records, with what they were estimated to take.
#
# `ntkbench plan` and the report show it; `benchmarks/estimates.py` tests the estimates with it.


class CostLine(NamedTuple):
    """A stage that a run did itself, where the store did not have it: its seconds, and the work that was estimated."""

    name: str
    """as the record calls it, such as `kernel.limit`"""
    compile_s: float
    """seconds of compilation"""
    run_s: float
    """all other seconds"""
    work: Work


@dataclass(frozen=True)
class Spent:
    """Time and peak memory of some work, as measured and as estimated; the start of a process is in neither time."""

    seconds: float
    expected_seconds: float
    bytes: int
    expected_bytes: int


def spent(parts: Sequence[CostLine], peaks: Sequence[int], cores: int = CORES) -> Spent:
    """Return what the parts of one process took together.

    `peaks`: its peaks of memory in bytes, of which the largest counts; `cores`: those of the machine, for the estimate.
    """
    expected = total(part.work for part in parts)
    measured = sum(part.compile_s + part.run_s for part in parts)
    return Spent(measured, expected.seconds(cores), max(peaks), cost_estimate.peak_bytes(expected))


def parts(runs: Sequence[Run], stages: Mapping[str, Mapping[str, StageRow]], tile: float) -> Iterator[CostLine]:
    """Yield the stages that the runs of a plan did, each once.

    Args:
        runs: the runs
        stages: the stages of each run's record, by the id of the run
        tile: bytes of a tile of a Gram matrix, for the estimate
    """
    seeds: dict[str, set[int]] = {}
    for run in runs:
        for name in keys.networks_needed(run.cell):
            key = keys.training_key(run.cell.as_own(name))
            seeds.setdefault(key, set()).add(run.cell.seed_of(name, run.seed))
    done: set[str] = set()
    for cell, members in groupby(runs, key=lambda run: run.cell):
        expected = {stage.name: stage.work for stage in cost_estimate.stages(cell, tile)}
        for name in keys.networks_needed(cell):
            own = cell.as_own(name)
            training = total(networks.training(part) for part in timeline.trainings(own))
            stage = "training" if name == SELF else f"network.{name}"
            expected[stage] = training.times(len(seeds[keys.training_key(own)]), sizes.seeds_per_group(own))
        for name, stage in (named for run in members for named in stages[run.id].items()):
            if not stage.cached and stage.key not in done and name in expected:
                done.update({stage.key} - {""})
                yield CostLine(name, stage.compile_s or 0.0, stage.run_s or 0.0, expected[name])


def spent_of_plan(planned: Plan, records: Mapping[str, Record]) -> Spent | None:
    """Return what all ok runs of a plan took; None if there are none, or their memory was not measured."""
    found = {run.id: records[run.id] for run in planned.runs if run.id in records and records[run.id].status == "ok"}
    runs = [run for run in planned.runs if run.id in found]
    peaks = [peak for each in found.values() if isinstance(peak := each.resources.get("host_peak_bytes"), int)]
    if not peaks:
        return None
    stages = {name: each.stages for name, each in found.items()}
    return spent(list(parts(runs, stages, memory.tile_bytes(planned.header.run.tile_bytes))), peaks)


@dataclass(frozen=True)
class CellForecast:
    """A cell of a plan: its labels, how many of its runs are done, and what all of them take if they run alone."""

    labels: Mapping[str, str]
    runs: int
    done: int
    seconds: float
    bytes: int
    first: str
    """id of the cell's first run"""


@dataclass(frozen=True)
class Forecast:
    """Hold what running a plan would do: its cells, and lines about all of it, each a word and what it says."""

    cells: Sequence[CellForecast]
    lines: Sequence[tuple[str, str]]
    bytes: int
    """estimated memory of the largest step of what is left"""
    advice: str
    """what would lower it"""
    matrices: Sequence[TiledMatrix] = ()
    """matrices of kernels that are computed in tiles"""
    free_bytes: int = 0
    """bytes that are free on the disk of the store"""

    def __str__(self) -> str:
        """Return a table of the cells, then the lines about all of them."""
        said = (f"{word:<9} {says}" for word, says in self.lines)
        return "\n".join([table(self.headers, self.rows, "plain"), "", *said])

    @property
    def headers(self) -> list[str]:
        """Headers of the table of cells: the axes of the matrix, then what is said of each cell."""
        return [*self.cells[0].labels, "seeds done", "time if alone", "memory", "first run"]

    @property
    def rows(self) -> list[list[str]]:
        """Rows of the table of cells, as text."""
        return [
            [*cell.labels.values(), f"{cell.done}/{cell.runs}", duration(cell.seconds), size(cell.bytes), cell.first]
            for cell in self.cells
        ]


def cost_forecast(plan: Plan, store: StoreFolder) -> str:
    """Return the forecast of a plan as text: a table of the cells, then the lines about all of them."""
    return str(forecast(plan, store))


def forecast(plan: Plan, store: StoreFolder) -> Forecast:
    """Return the cells of a plan, then runs done, stages in the store, time and memory of what is left.

    The estimate is for one process on two CPU cores. Where runs are done, the last line says what they took.
    """
    pending = lookup.pending(store, plan.runs)
    waiting = {run.id for run in pending}
    prices = cost_estimate.price(plan)
    estimate = cost_estimate.estimate(Plan(plan.header, tuple(pending), plan.file), prices)
    listed = ListedFolder(store.root)
    there = groups.cached(pending, listed)
    left = [work for key, work in estimate.stages.items() if key not in there]
    work = total([*left, *estimate.runs.values()])
    done = len(plan.runs) - len(pending)
    lines = [("runs", f"{len(plan.runs)}, of which {done} are done")]
    lines += [(stage, f"{there} of {whole} in the store") for stage, (there, whole) in _shared(plan, listed).items()]
    lines += _spectra(plan)
    matrices, free = list(tiled(pending, there).values()), files.free_bytes(store.root)
    lines += _tiles(matrices, free)
    if pending:
        lines.append(("time", f"about {duration(cost_estimate.seconds(work))} on two CPU cores"))
        lines.append(("memory", f"about {_memory(cost_estimate.peak_bytes(work), estimate.advice)}"))
    if done and (said := spent_line(plan, _records(plan, store))):
        lines.append(("took", said))
    return Forecast(
        tuple(_cells(plan, waiting, prices)), tuple(lines), estimate.peak_bytes, estimate.advice, tuple(matrices), free
    )


def _records(plan: Plan, store: StoreFolder) -> Mapping[str, Record]:
    """Return the records of a plan by run id, from what the store keeps for tables."""
    from ntkbench.store import kept  # it imports NumPy, which takes longer than a plan of which nothing is done

    (found,) = kept.records(store, plan.runs)
    return {record.run_id: record for record in found}


def check_resources(found: Forecast, *, force: bool) -> None:
    """Raise a UsageError if what is left of a plan takes far more memory or disk than there is, unless `force`."""
    there, matrices, free = memory.host_bytes(), found.matrices, found.free_bytes
    cost_estimate.require_resources(found.bytes, there, found.advice, matrices, free, force=force)


def _memory(needed: int, advice: str) -> str:
    """Return a need of memory in words, with advice how to lower it where this machine has less."""
    there = memory.host_bytes()
    enough = needed <= there
    return size(needed) if enough else f"{size(needed)}, more than the {size(there)} that are here; {advice} would help"


def spent_line(plan: Plan, records: "Mapping[str, Record]") -> str:
    """Return time and memory that the ok runs took beside the estimate of the same; empty where none was measured.

    `records`: the records of the plan's runs, by run id.
    """
    of_plan = spent_of_plan(plan, records)
    if of_plan is None:
        return ""
    return (
        f"time {duration(of_plan.seconds)} of about {duration(of_plan.expected_seconds)} estimated, "
        f"memory {size(of_plan.bytes)} of about {size(of_plan.expected_bytes)}"
    )


def _cells(plan: Plan, waiting: set[str], prices: Mapping[int, cost_estimate.PricedCell]) -> Iterator[CellForecast]:
    """Yield each cell of a plan with these prices; `waiting`: ids of the runs that are not done."""
    cells: dict[tuple[tuple[str, str], ...], list[Run]] = {}
    for run in plan.runs:
        cells.setdefault(tuple(run.coordinates.items()), []).append(run)
    for labels, runs in cells.items():
        done = sum(run.id not in waiting for run in runs)
        work = cost_estimate.estimate(Plan(plan.header, tuple(runs), plan.file), prices).total
        seconds, room = cost_estimate.seconds(work), cost_estimate.peak_bytes(work)
        yield CellForecast(dict(labels), len(runs), done, seconds, room, runs[0].id)


def _spectra(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield a line that says of how many kernels the first eigenpairs alone are computed; none where of none."""
    found: dict[str, int] = {}
    for cell, _ in groupby(plan.runs, key=lambda run: run.cell):
        for name, kernel in cell.kernels.items():
            key, top = keys.spectrum_stage(cell, name) if isinstance(kernel, InfiniteKernel) else ("", None)
            found |= {key: top} if top else {}
    if found:
        counts = " or ".join(map(str, sorted(set(found.values()))))
        yield "spectra", f"the first {counts} eigenpairs alone, of {len(found)} kernel{'s' * (len(found) > 1)}"


def _tiles(matrices: Collection[TiledMatrix], free: int) -> Iterator[tuple[str, str]]:
    """Yield a line on the kernels that are computed in tiles, with their bytes on the disk of the store; or none."""
    kept, factor = disk_bytes(matrices)
    if not kept:
        return
    number = sum(matrix.tiles for matrix in matrices)
    said = f"{number} for {len(matrices)} kernel{'s' * (len(matrices) > 1)}, {size(kept)} in the store"
    if factor:
        said += f", and {size(factor)} more while a kernel that is larger than memory is solved"
    yield "tiles", said if kept + factor <= free else f"{said}; only {size(free)} are free"


def _shared(plan: Plan, store: StoreFolder) -> Mapping[str, tuple[int, int]]:
    """Return for each stage how many of its objects the store has, and how many the plan uses."""
    found: dict[str, dict[str, bool]] = {}
    for cell, runs in groupby(plan.runs, key=lambda run: run.cell):
        for stage, key, cached in objects(cell, [run.seed for run in runs], store):
            found.setdefault(stage, {})[key] = cached
    return {stage: (sum(keys.values()), len(keys)) for stage, keys in found.items()}
