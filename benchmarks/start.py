"""How long a command takes to its first table, compiled programs kept or not: `python benchmarks/start.py [SPEC]`.

Each start is a process of its own with an empty store: without a cache, with an empty cache, and with what the start
before has left. The three take turns, so that other work on the machine meets all of them.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ntkbench.render import table

STARTS = {"no cache": ("--no-compile-cache",), "first start": (), "second start": ()}
"""name -> options; the cache is emptied before each turn"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec", nargs="?", default="specs/quickstart.yaml")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--smoke", action="store_true")
    arguments = parser.parse_args()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in STARTS}
    size = 0
    for _ in range(arguments.turns):
        with TemporaryDirectory() as cache:
            for name, options in STARTS.items():
                taken[name].append(_start([arguments.spec, *options, *["--smoke"] * arguments.smoke], Path(cache)))
                print(name, "wall {:.1f} s, processor {:.1f} s".format(*taken[name][-1]), file=sys.stderr)
            size = sum(file.stat().st_size for file in Path(cache).rglob("*") if file.is_file())
    best = {name: [min(each) for each in zip(*all_, strict=True)] for name, all_ in taken.items()}
    rows = [[name, *(f"{each:.1f}" for each in found), *_ratios(best, name)] for name, found in best.items()]
    print(table(["start", "wall, s", "processor, s", "no cache / this: wall", "processor"], rows, "md"))
    print(f"\nThe cache holds {size / 1e6:.0f} MB.")


def _ratios(best: dict[str, list[float]], name: str) -> list[str]:
    return [f"{whole / part:.1f}" for whole, part in zip(best["no cache"], best[name], strict=True)]


def _start(options: Sequence[str], cache: Path) -> tuple[float, float]:
    """Return the seconds that a start takes, by the clock and of all cores."""
    variables = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    with TemporaryDirectory() as store:
        command = [sys.executable, "-m", "ntkbench.cli.main", "run", *options, "--store", store]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, env={**variables, "NTKBENCH_CACHE": str(cache)}, capture_output=True, check=True)
        wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
