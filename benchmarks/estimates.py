"""How near the estimates of time and memory come to what shipped specs take.

    python benchmarks/estimates.py                                  # a table of all that was measured
    python benchmarks/estimates.py --records docs/results/records   # of records, whatever else their machines did
    python benchmarks/estimates.py --measure SPEC [--smoke] [--set PATH=VALUE] [--data-dir DIR]

`--measure` runs a spec in a process of its own, on one core and an empty store, and adds what it took to
`estimates.json`. Its clock is the processor time of that process, so that neighbors on the machine hardly count.
`tests/plan/test_estimates.py` holds the estimates to these numbers.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from ntkbench.plan import memory
from ntkbench.plan.cost.work import CORES, START, Program
from ntkbench.plan.read import read
from ntkbench.plan.runs import Run
from ntkbench.render import duration, size, table
from ntkbench.status import forecast
from ntkbench.status.forecast import CostLine
from ntkbench.store.record import StageRow

ROOT = Path(__file__).resolve().parent.parent
MEASURED = Path(__file__).with_suffix(".json")
_PARTS = ("training", "poison", "kernel", "craft", "analysis")
KINDS = {"spectrum": "kernel", "network": "training", **{name: name for name in _PARTS}}


@dataclass(frozen=True)
class Measurement:
    """What a process took that ran a spec; or what the records of a spec say, without the start of a process."""

    name: str
    cores: int
    parts: tuple[CostLine, ...]
    seconds: float
    peak_bytes: int
    start: float = START

    @property
    def estimated(self) -> forecast.Spent:
        return forecast.spent(self.parts, [self.peak_bytes], self.cores)

    @property
    def time_ratio(self) -> float:
        """Estimated over measured."""
        return (self.start + self.estimated.expected_seconds) / self.seconds

    @property
    def memory_ratio(self) -> float:
        """Estimated over measured."""
        return self.estimated.expected_bytes / self.peak_bytes

    def kinds(self) -> dict[str, tuple[float, float]]:
        """Seconds estimated and measured, by kind of stage. A function is compiled where it is met first."""
        expected, took = defaultdict[str, float](float), defaultdict[str, float](float)
        compiled: set[Program] = set()
        for part in self.parts:
            kind = KINDS[part.name.split(".")[0]]
            new = part.work.programs - compiled
            compiled |= new
            expected[kind] += replace(part.work, programs=new).seconds(self.cores)
            took[kind] += part.compile_s + part.run_s
        return {kind: (expected[kind], took[kind]) for kind in took}


def of_process(entry: Mapping[str, Any]) -> Measurement:
    """One that `measure` has kept."""
    planned = read(str(ROOT / entry["spec"]), entry["set"], entry["smoke"])
    stages = {run: {name: _stage(*took) for name, took in its.items()} for run, its in entry["stages"].items()}
    runs = [run for run in planned.runs if run.id in stages]
    parts = tuple(forecast.parts(runs, stages, memory.tile_bytes(planned.header.run.tile_bytes)))
    words = [entry["spec"].removeprefix("specs/").removesuffix(".yaml"), *entry["set"], *["--smoke"] * entry["smoke"]]
    return Measurement(" ".join(words), entry["cores"], parts, entry["seconds"], entry["peak_bytes"])


def _stage(key: str, compile_s: float, run_s: float) -> StageRow:
    return StageRow(key=key, cached=False, compile_s=compile_s, run_s=run_s)


# ---- records -------------------------------------------------------------------------------------


def recorded(folder: Path) -> Iterator[Measurement]:
    """Of each shipped spec, of the runs that have a record. What came from the store is in neither number."""
    records = {record["run_id"]: record for record in map(_read, sorted(folder.glob("*.json")))}
    for path in sorted((ROOT / "specs").rglob("*.yaml")):
        planned = None if path.parent.name == "base" else read(str(path))
        runs = [run for run in planned.runs if run.id in records] if planned else []
        if planned and runs:
            tile = memory.tile_bytes(planned.header.run.tile_bytes)
            parts = tuple(forecast.parts(runs, _typical(runs, records), tile))
            seconds = sum(part.compile_s + part.run_s for part in parts)
            peak = max(records[run.id]["resources"]["host_peak_bytes"] for run in runs)
            name = str(path.relative_to(ROOT / "specs")).removesuffix(".yaml")
            yield Measurement(name, CORES, parts, seconds, peak, start=0.0)


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def _typical(runs: Sequence[Run], records: Mapping[str, Any]) -> dict[str, dict[str, StageRow]]:
    """Of a stage that every seed of a cell does, the median of them: neighbors stretched some up to thirty times."""
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run in runs:
        for name, stage in records[run.id]["stages"].items():
            seconds[str(run.coordinates), name].append(stage["run_s"])

    def typical(run: Run, name: str, stage: Any) -> StageRow:
        took = stage["run_s"] if stage["key"] else median(seconds[str(run.coordinates), name])
        return StageRow(key=stage["key"], cached=stage["cached"], compile_s=stage["compile_s"], run_s=took)

    return {
        run.id: {name: typical(run, name, stage) for name, stage in records[run.id]["stages"].items()} for run in runs
    }


# ---- measuring -----------------------------------------------------------------------------------


def measure(spec: str, sets: Sequence[str], smoke: bool, data_dir: str | None) -> dict[str, Any]:
    """One process on one core and an empty store."""
    options = [part for each in sets for part in ("--set", each)] + ["--smoke"] * smoke
    options += ["--data-dir", data_dir] if data_dir else []
    with tempfile.TemporaryDirectory() as store:
        command = [sys.executable, __file__, "--worker", "run", spec, "--store", store, *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        records = [_read(path) for path in sorted(Path(store, "records").glob("*.json"))]
    return {
        "spec": str(Path(spec).resolve().relative_to(ROOT)),
        "set": list(sets),
        "smoke": smoke,
        "cores": 1,
        "seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_bytes": used.ru_maxrss * 1024,
        "stages": {
            record["run_id"]: {
                name: (stage["key"], round(stage["compile_s"], 3), round(stage["run_s"], 3))
                for name, stage in record["stages"].items()
                if not stage["cached"]
            }
            for record in records
        },
    }


def work(arguments: Sequence[str]) -> None:
    """`ntkbench` on one core, by the clock of the process alone."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    began = time.time()
    time.perf_counter = time.process_time
    time.time = lambda: began + time.process_time()  # the clock of JAX's compilations
    from ntkbench.cli.main import main

    main(arguments)


# ---- table ---------------------------------------------------------------------------------------


def report(measurements: Iterable[Measurement], form: Any) -> str:
    """A row each; in brackets seconds estimated and measured by kind of stage."""
    columns = ["spec", "cores", "time estimated", "measured", "ratio", "memory estimated", "measured", "ratio"]
    rows = []
    for each in measurements:
        expected, took = each.start + each.estimated.expected_seconds, each.seconds
        kinds = each.kinds()
        rows.append(
            [
                each.name,
                str(each.cores),
                duration(expected),
                duration(took),
                f"{each.time_ratio:.2f}",
                size(each.estimated.expected_bytes),
                size(each.peak_bytes),
                f"{each.memory_ratio:.2f}",
                *("{:.1f} / {:.1f}".format(*kinds[kind]) if kind in kinds else "-" for kind in _PARTS),
            ]
        )
    return table([*columns, *_PARTS], rows, form)


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        return work(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=Path, help="compare records instead")
    parser.add_argument("--measure", metavar="SPEC", help="run a spec and keep what it took")
    parser.add_argument("--set", dest="sets", action="append", default=[], metavar="PATH=VALUE")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--data-dir")
    parser.add_argument("--format", dest="form", choices=("plain", "md"), default="plain")
    told = parser.parse_args()
    if told.measure:
        new = measure(told.measure, told.sets, told.smoke, told.data_dir)
        keep(new)
    print(report(recorded(told.records) if told.records else map(of_process, _read(MEASURED)), told.form))


def keep(new: dict[str, Any], path: Path = MEASURED) -> None:
    """In the place of an earlier one of the same; a line each, so that what changes shows."""
    same = ("spec", "set", "smoke", "cores")
    there = [each for each in _read(path) if any(each[name] != new[name] for name in same)] if path.exists() else []
    every = sorted([*there, new], key=lambda each: [str(each[name]) for name in same])
    path.write_text("[\n" + ",\n".join(json.dumps(each) for each in every) + "\n]\n")


if __name__ == "__main__":
    main()
