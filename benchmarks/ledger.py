"""How long commands take that read thousands of records: `python benchmarks/ledger.py [RUNS]`.

The records are one shipped record with other seeds and other outcomes, in a store of its own; the plan is that of a
spec with as many runs. Beside each command stands what it cannot do without in the same minute: to read the files and
parse their JSON (*reading*), and to start (*start*: `ntkbench --version`). The first `status` writes the store's index,
and the first `show` its columns, which all commands after it use.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ntkbench.plan.read import read
from ntkbench.render import table
from ntkbench.spec.identity import resolved
from ntkbench.store.record import checksum

SPEC = """
ntkbench: 1
name: ledger
data: {{dataset: {{kind: two_gaussians, dim: 6}}, n_train: 12, n_test: 10}}
architecture: {{kind: fc, depth: 1}}
width: 8
training: {{mode: standard, epochs: 3}}
kernels: {{limit: {{kind: infinite}}}}
attacks:
  ntk: {{kind: fgsm, source: limit, eps: [2/255, 4/255, 8/255]}}
  own: {{kind: fgsm, source: self, eps: [2/255, 4/255, 8/255]}}
  noise: {{kind: random_sign, eps: [2/255, 4/255, 8/255]}}
analyses: {{transfer: {{kind: transfer, attack: ntk, ceiling: own, floor: noise}}}}
matrix: {{width: {widths}}}
seeds: 5
"""
SEEDS = 5
MODEL = Path(__file__).parents[1] / "docs/results/records/r061cyafm9hjk.json"
"""a record of a shipped spec"""


def fill(folder: Path, runs: int) -> Path:
    """Write a spec and a store with the records of all its runs; return the spec."""
    spec = folder / "ledger.yaml"
    spec.write_text(SPEC.format(widths=list(range(1, 1 + runs // SEEDS))), "utf-8")
    records = folder / "runs" / "records"
    records.mkdir(parents=True)
    for name, content in _records(spec):
        (records / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    return spec


def _records(spec: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a record for each run of a spec: the model's, with the run's request and counts of its own."""
    model, rng, cells = json.loads(MODEL.read_bytes()), random.Random(0), {}
    for run in read(spec).runs:
        asked = cells.setdefault(id(run.cell), resolved(run.cell))
        request = {"name": run.name, "cell": dict(run.coordinates), "seed": run.seed, "resolved": asked}
        metrics = [_drawn(row, rng) for row in model["metrics"]]
        content = model | {"run_id": run.id, "spec": request, "metrics": metrics, "samples": None, "series": {}}
        yield run.id, content | {"sha256": checksum(content)}


def _drawn(row: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Return a metric's row with another value."""
    if not row["k"]:
        return row
    k = rng.randrange(row["n"] + 1)
    return row | {"k": k, "value": k / row["n"]}


def commands(spec: Path) -> dict[str, list[str]]:
    """Return the arguments of each command, by its name."""
    store = ["--store", str(spec.parent / "runs")]
    return {
        "plan": ["plan", str(spec), *store],
        "status": ["status", str(spec), *store],
        "status, again": ["status", str(spec), *store],
        "show": ["show", str(spec), *store, "--metric", "transfer_rate"],
        "show, again": ["show", str(spec), *store, "--metric", "transfer_rate"],
        "export": ["export", str(spec), *store, "-o", str(spec.parent / "all.csv")],
        "report": ["report", str(spec), *store, "-o", str(spec.parent / "report.html")],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="?", type=int, default=10_000)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        spec = fill(Path(folder), arguments.runs)
        (begin, _, _), least = measured(["--version"]), reading(spec.parent / "runs" / "records")
        print(f"start {begin:.2f} s, reading {least:.2f} s of processor time", file=sys.stderr)
        rows = []
        for name, words in commands(spec).items():
            processor, wall, peak = measured(words)
            ratio = (processor - begin) / least
            rows.append([name, f"{processor:.2f}", f"{wall:.2f}", f"{ratio:.1f}", f"{peak / 1e6:.0f}"])
            print(*rows[-1], file=sys.stderr)
    print(table(["command", "processor, s", "wall, s", "without start / reading", "peak, MB"], rows, "md"))


def measured(words: Sequence[str]) -> tuple[float, float, int]:
    """Return the processor seconds, the seconds and the peak bytes of a command."""
    command = [sys.executable, "-m", "ntkbench.cli.main", *words]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # it has been waited for
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - began, usage.ru_maxrss * 1024


def reading(records: Path) -> float:
    """Return the processor seconds of reading all files, hashing them, and parsing their JSON."""
    began = time.process_time()
    for path in records.iterdir():
        content = path.read_bytes()
        sha256(content).digest()
        json.loads(content)
    return time.process_time() - began


if __name__ == "__main__":
    main()
