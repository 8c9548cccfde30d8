"""Estimate what a plan costs, by arithmetic alone: operations, bytes and compiled programs of each stage.

    found = estimate(plan)
    found.seconds, found.peak_bytes     # on two ordinary CPU cores, see `machine`

`ntkbench plan`, the time that is left of a run, and the refusal of plans far too large for a machine build on it. The
estimates are within a factor of two of what the shipped specs take (`benchmarks/estimates.py`). Stages have the names
that records give them.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType

from ntkbench.errors import UsageError
from ntkbench.plan import memory, selections, sizes
from ntkbench.plan.cost.analyses import _analysis, crafting_cost
from ntkbench.plan.cost.kernels import fitting, gram, leading, poisoning, solve
from ntkbench.plan.cost.networks import training
from ntkbench.plan.cost.tiles import TiledMatrix, require_disk
from ntkbench.plan.cost.work import BASE_BYTES, COMPILED_BYTES, COMPILED_MOST, START, Work, total
from ntkbench.plan.keys import (
    craft_key,
    kernel_key,
    poison_key,
    regression_stage,
    spectrum_stage,
    training_key,
    trainings,
)
from ntkbench.plan.runs import Plan
from ntkbench.render import size
from ntkbench.spec.analyses import Analysis, Certificate, Certified, Drift, LabelFlips, Spectral
from ntkbench.spec.attacks import SELF
from ntkbench.spec.cell import Cell
from ntkbench.spec.kernels import InfiniteKernel
from ntkbench.spec.notation import POISON

_ADVICE: Mapping[str, str] = MappingProxyType(
    {
        "t": "a smaller width or training.batch_size",
        "k": "fewer training examples, numerics.kernel: float32",
        "s": "fewer training examples",
        "p": "a smaller data.poison.block",
    }
)
"""what would make a stage smaller, by the first letter of its key: training, kernel, solve, poison"""

_FAR = 2
"""ratio of estimated to available memory above which nothing is begun: no estimate is that wrong"""


@dataclass(frozen=True)
class PricedStage:
    """A part of a run by its name in the record; `key`: of its object in the store, empty if each run does it."""

    name: str
    key: str
    work: Work


@dataclass(frozen=True)
class CostEstimate:
    """The work of a plan.

    `stages`: work by key of the object that it makes, done once for all runs that share it; `runs`: what is left to
    each run, by its id.
    """

    stages: Mapping[str, Work]
    runs: Mapping[str, Work]

    @property
    def total(self) -> Work:
        """All work, done one after the other."""
        return total([*self.stages.values(), *self.runs.values()])

    @property
    def seconds(self) -> float:
        """Seconds that one process takes for all of it, start-up included."""
        return seconds(self.total)

    @property
    def peak_bytes(self) -> int:
        """Bytes of memory at the peak of one process that does all of it."""
        return peak_bytes(self.total)

    @property
    def advice(self) -> str:
        """Return advice, in words for messages, that would lower the memory of the stage that takes most."""
        stages = {**self.stages, **self.runs}
        largest = max(stages, key=lambda key: stages[key].bytes, default="r")
        return _ADVICE.get(largest[0], "fewer test examples")


def seconds(work: Work) -> float:
    """Return the seconds that one process takes for this work, start-up included; 0 for no work."""
    return START + work.seconds() if work != Work() else 0.0


def peak_bytes(work: Work) -> int:
    """Return the bytes of memory at the peak of one process that does this work, compiled programs included."""
    compiled = min(COMPILED_MOST, int(COMPILED_BYTES * work.compiling(cores=1)))
    return BASE_BYTES + compiled + work.bytes


def require_memory(needed: int | float, there: int, advice: str, *, force: bool) -> str:
    """Return a warning if the largest step takes more memory than there is, in bytes; an empty text if it does not.

    UsageError if it takes far more, unless `force`; `advice`: what would lower it.
    """
    if needed <= there:
        return ""
    said = f"the largest step takes about {size(needed)}, and there are {size(there)}"
    helps = f"{advice}, or a larger machine" if advice else "a larger machine"
    if needed > _FAR * there and not force:
        raise UsageError(f"{said}; what helps is {helps}. --force begins all the same")
    return f"{said}: it may run out of memory; what helps is {helps}"


def require_resources(
    needed: int | float, there: int, advice: str, matrices: Collection[TiledMatrix], free: int, *, force: bool
) -> list[str]:
    """Return warnings of `require_memory` and of `require_disk`, whose UsageError is raised here, too."""
    said = require_memory(needed, there, advice, force=force), require_disk(matrices, free, force=force)
    return [each for each in said if each]


@dataclass(frozen=True)
class PricedCell:
    """The work of a cell: its stages after the training, and its trainings.

    Each training has the id of its network and the number of seeds that train together.
    """

    stages: tuple[PricedStage, ...]
    trainings: tuple[tuple[str, PricedStage, int], ...]


def price(plan: Plan) -> Mapping[int, PricedCell]:
    """Return the work of each cell of a plan by the cell's `id`, for several estimates of parts of the plan."""
    tile = memory.tile_bytes(plan.header.run.tile_bytes)
    return {id(cell): _priced(cell, tile) for cell, _ in groupby(plan.runs, key=lambda run: run.cell)}


def _priced(cell: Cell, tile: float) -> PricedCell:
    """Return the work of a cell; `tile` in bytes."""
    found = (
        (name, PricedStage("training", training_key(part), training(part)), sizes.seeds_per_group(part))
        for name, part in trainings(cell)
    )
    return PricedCell(tuple(stages(cell, tile)), tuple(found))


def estimate(plan: Plan, prices: Mapping[int, PricedCell] | None = None) -> CostEstimate:
    """Return the work of the whole plan: shared stages count once, and the seeds of a cell train together.

    `prices`: those of the plan, or of one that it is a part of; None computes them.
    """
    prices = price(plan) if prices is None else prices
    seeds: dict[str, set[int]] = {}
    shared: dict[str, Work] = {}
    runs: dict[str, Work] = {}
    for cell, members in groupby(plan.runs, key=lambda run: run.cell):
        same = tuple(members)
        priced = prices[id(cell)]
        own = total(stage.work for stage in priced.stages if not stage.key)
        runs |= dict.fromkeys((run.id for run in same), own)
        shared |= {stage.key: stage.work for stage in priced.stages if stage.key}
        for name, each, together in priced.trainings:
            seeds.setdefault(each.key, set()).update(cell.seed_of(name, run.seed) for run in same)
            shared[each.key] = each.work.times(len(seeds[each.key]), together)
    return CostEstimate(shared, runs)


def stages(cell: Cell, tile: float) -> Iterator[PricedStage]:
    """Yield the stages of a cell but its training in the order of a run, each once; `tile` in bytes."""
    whole, done = int(min(tile, 1e18)), set[str]()
    if cell.data.poison:
        yield PricedStage(POISON, poison_key(cell), poisoning(cell, whole))
    for name, analysis in cell.analyses.items():
        for stage in (
            *_before(cell, analysis, whole),
            PricedStage(f"analysis.{name}", "", _analysis(cell, analysis, whole)),
        ):
            if stage.name not in done:
                done.add(stage.name)
                yield stage


def _before(cell: Cell, analysis: Analysis, tile: int) -> Iterator[PricedStage]:
    """Yield the stages of the kernels and the attacks that an analysis needs."""
    if isinstance(analysis, Spectral | Certified):
        for name in (analysis.target, *getattr(analysis, "against", ())):
            yield _spectrum(cell, name, tile)
    if not isinstance(analysis, Spectral | LabelFlips | Drift):
        attacks = {name: cell.attack(name) for name in selections.attacks_shown(cell, analysis)}
        judged = () if isinstance(analysis, Certificate) and not attacks else selections.targets(cell, analysis)
        for name in (*judged, *(getattr(attack, "source", SELF) for attack in attacks.values())):
            if name in cell.kernels:
                yield _regression(cell, name, tile)
        for name, attack in attacks.items():
            infinite = isinstance(cell.kernels.get(getattr(attack, "source", SELF)), InfiniteKernel)
            yield PricedStage(
                f"craft.{name}", craft_key(cell, name) if infinite else "", crafting_cost(cell, name, tile)
            )


def _regression(cell: Cell, name: str, tile: int) -> PricedStage:
    """Return the stage of a kernel whose regression is asked for: its spectrum, one solve, or another fit."""
    kernel = cell.kernels[name]
    if isinstance(kernel, InfiniteKernel):
        stage, key = regression_stage(cell, name)
        if stage == "solve":
            work = fitting(cell, kernel, tile) if kernel.fit else solve(cell, kernel, tile)
            return PricedStage(f"kernel.{name}", key, work)
    return _kernel(cell, name, "kernel", tile)


def _spectrum(cell: Cell, name: str, tile: int) -> PricedStage:
    """Return the stage of a kernel that is taken apart: all of its spectrum, or the first eigenpairs."""
    kernel = cell.kernels[name]
    if isinstance(kernel, InfiniteKernel):
        key, top = spectrum_stage(cell, name)
        if top:
            return PricedStage(f"spectrum.{name}", key, leading(cell, kernel, top, tile))
    return _kernel(cell, name, "spectrum", tile)


def _kernel(cell: Cell, name: str, stage: str, tile: int) -> PricedStage:
    """Return the stage of a kernel and its eigendecomposition; only infinite kernels have a key."""
    kernel = cell.kernels[name]
    key = kernel_key(cell, name) if isinstance(kernel, InfiniteKernel) else ""
    return PricedStage(f"{stage}.{name}", key, gram(cell, kernel, tile))
