"""Compare what runs took, by their records, with what they were estimated to take.

`ntkbench plan` and the report show it; `benchmarks/estimates.py` tests the estimates with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from ntkbench.bench import cost, sizes
from ntkbench.bench.machine import CORES, Work
from ntkbench.bench.plan import Plan, Run
from ntkbench.bench.stages import training_key

if TYPE_CHECKING:
    from ntkbench.bench.record import Record, Stage


class Part(NamedTuple):
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


def spent(parts: Sequence[Part], peaks: Sequence[int], cores: int = CORES) -> Spent:
    """Return what the parts of one process took together.

    `peaks`: its peaks of memory in bytes, of which the largest counts; `cores`: those of the machine, for the estimate.
    """
    total = sum((part.work for part in parts), Work())
    measured = sum(part.compile_s + part.run_s for part in parts)
    return Spent(measured, total.seconds(cores), max(peaks), cost.peak_bytes(total))


def parts(runs: Sequence[Run], stages: Mapping[str, Mapping[str, "Stage"]], tile: int) -> Iterator[Part]:
    """Yield the stages that the runs of a plan did, each once.

    Args:
        runs: the runs
        stages: the stages of each run's record, by the id of the run
        tile: bytes of a tile of a Gram matrix, for the estimate
    """
    seeds: dict[str, set[int]] = {}
    for run in runs:
        if run.cell.width is not None:
            seeds.setdefault(training_key(run.cell), set()).add(run.seed)
    done: set[str] = set()
    for cell, members in groupby(runs, key=lambda run: run.cell):
        expected = {stage.name: stage.work for stage in cost.stages(cell, tile)}
        if cell.width is not None:
            training = sum((cost.training(part) for part in cost.trainings(cell)), Work())
            expected["training"] = training.times(len(seeds[training_key(cell)]), sizes.together(cell))
        for name, stage in (named for run in members for named in stages[run.id].items()):
            if not stage.cached and stage.key not in done and name in expected:
                done.update({stage.key} - {""})
                yield Part(name, stage.compile_s or 0.0, stage.run_s or 0.0, expected[name])


def of_plan(planned: Plan, records: Mapping[str, "Record"]) -> Spent | None:
    """Return what all ok runs of a plan took; None if there are none, or their memory was not measured."""
    found = {run.id: records[run.id] for run in planned.runs if run.id in records and records[run.id].status == "ok"}
    runs = [run for run in planned.runs if run.id in found]
    peaks = [peak for each in found.values() if isinstance(peak := each.resources.get("host_peak_bytes"), int)]
    if not peaks:
        return None
    stages = {name: each.stages for name, each in found.items()}
    return spent(list(parts(runs, stages, cost.tile_bytes(planned))), peaks)
