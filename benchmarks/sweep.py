"""What a sweep of small runs costs beyond its computing: `python benchmarks/sweep.py [RUNS]`.

Every run trains, makes a kernel's attack and three others, and measures transfer: all in milliseconds. *A run* is the
time between two records, once a fifth of them is there and all is compiled; *overhead* is that, times the processes,
without what the stages of the records took. Memory is of the process that hands out the work, when a fifth of the
records were there and before the last.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from ntkbench.render import table

SPEC = """
ntkbench: 1
name: sweep
data: {{dataset: {{kind: two_gaussians, dim: 6}}, n_train: 12, n_test: 10}}
architecture: {{kind: fc, depth: 1}}
width: 8
training: {{mode: standard, epochs: 3, optimizer: {{kind: sgd, learning_rate: 0.1}}}}
kernels: {{limit: {{kind: infinite}}}}
attacks:
  ntk: {{kind: fgsm, source: limit, eps: 8/255}}
  own: {{kind: fgsm, source: self, eps: 8/255}}
  noise: {{kind: random_sign, eps: 8/255}}
analyses: {{transfer: {{kind: transfer, attack: ntk, ceiling: own, floor: noise}}}}
matrix: {{data.seed: {cells}}}
seeds: 5
"""
SEEDS = 5
EXECUTORS = {"local": (1, ()), "local, 2 processes": (2, ("--workers", "2")), "ray": (2, ("--executor", "ray"))}
"""name -> how many processes work on two cores, and options"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="?", type=int, default=500)
    parser.add_argument("--executor", choices=EXECUTORS, action="append")
    arguments = parser.parse_args()
    rows = [_row(name, arguments.runs // SEEDS) for name in arguments.executor or EXECUTORS]
    print(table(["executor", "runs", "ms a run", "overhead, ms", "parent, MB", "at the end"], rows, "md"))


def _row(name: str, cells: int) -> list[str]:
    processes, options = EXECUTORS[name]
    with TemporaryDirectory() as folder:
        spec, store = Path(folder) / "sweep.yaml", Path(folder) / "runs"
        spec.write_text(SPEC.format(cells=list(range(cells))), "utf-8")
        early, late = _run([str(spec), "--store", str(store), *options], store / "records", cells * SEEDS)
        records = [json.loads(file.read_bytes()) for file in (store / "records").glob("*.json")]
    assert len(records) == cells * SEEDS, "every run has its record"
    assert all(record["status"] == "ok" for record in records)
    records.sort(key=_ended)
    warm = records[len(records) // 5 :]
    a_run = (_ended(warm[-1]) - _ended(warm[0])).total_seconds() / (len(warm) - 1)
    work = sum(map(_work, warm)) / len(warm)
    told = [f"{1e3 * seconds:.1f}" for seconds in (a_run, a_run * processes - work)]
    return [name, str(len(records)), *told, *map(_mb, (early, late))]


def _ended(record: dict) -> datetime:
    return datetime.fromisoformat(record["time"]["ended"])


def _work(record: dict) -> float:
    """Seconds of a record's stages; a training is shared by the seeds of its cell."""
    spent = {name: stage["compile_s"] + stage["run_s"] for name, stage in record["stages"].items()}
    return sum(spent.values()) - spent["training"] * (1 - 1 / SEEDS)


def _run(arguments: Sequence[str], records: Path, expected: int) -> tuple[int, int]:
    """The parent's memory in bytes, early and late."""
    command = [sys.executable, "-m", "ntkbench.cli.main", "run", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    early = late = 0
    while process.poll() is None:
        time.sleep(0.2)
        there = len(list(records.glob("*.json")))
        if not early and there > expected / 5:
            early = _resident(process.pid)
        if there < expected:  # then it reads them all, for its table
            late = _resident(process.pid) or late
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return early, late


def _resident(process: int) -> int:
    try:
        words = Path(f"/proc/{process}/status").read_text().split()
    except OSError:
        return 0
    return 1024 * int(words[words.index("VmRSS:") + 1]) if "VmRSS:" in words else 0


def _mb(memory: int) -> str:
    return f"{memory / 1e6:.0f}"


if __name__ == "__main__":
    main()
