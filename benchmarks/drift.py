"""One epoch of adversarial training between two kernels, as whole processes: ours, and the published scripts' way.

    python benchmarks/drift.py --data-dir FOLDER [--peer PYTHON] [--repeats 1] [--smoke]

Ours is `ntkbench run specs/drift/cifar10-e2e.yaml` with an empty store. README.md says what is compared.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ntkbench.data.places import search_roots
from ntkbench.plan.read import read
from ntkbench.run.build import data as build_data

HERE = Path(__file__).parent
SPEC = HERE.parent / "specs" / "drift" / "cifar10-e2e.yaml"


def examples(data_dir: Path, file: Path) -> None:
    """What the spec trains on and is judged by, for the peer."""
    data = build_data.examples(read(str(SPEC)).runs[0].cell.data, search_roots(data_dir))
    train, test = data.train, data.test
    arrays = {"X": train.unit("float32"), "labels": train.labels}
    arrays |= {"test_X": test.unit("float32"), "test_labels": test.labels}
    np.savez(file, **arrays)  # pyright: ignore[reportArgumentType] (its stub forgets the names)


def timed(command: list[str]) -> tuple[float, str]:
    """Seconds of a whole process, and what it printed."""
    path = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
    began = time.perf_counter()
    ended = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "PYTHONPATH": path}
    )
    return time.perf_counter() - began, ended.stdout


def ours(data_dir: Path, smoke: bool) -> tuple[float, dict[str, str]]:
    """Seconds, and those of its stages: running, and compiling in parentheses."""
    with tempfile.TemporaryDirectory() as store:
        command = [
            sys.executable,
            "-m",
            "ntkbench.cli.main",
            "run",
            str(SPEC),
            "--store",
            store,
            "--data-dir",
            str(data_dir),
        ]
        seconds, _ = timed(command + ["--smoke"] * smoke)
        (file,) = Path(store, "records").glob("*.json")
        record = json.loads(file.read_text())
    stages = {name: f"{s['run_s']:.1f} s ({s['compile_s']:.1f})" for name, s in record["stages"].items()}
    return seconds, stages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="where CIFAR-10 is")
    parser.add_argument("--peer", metavar="PYTHON", help="the python that peers/environment.py made")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="whether ours runs, on few images; without the peer")
    options = parser.parse_args()
    best: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "examples.npz")
        examples(options.data_dir, file)
        for _ in range(options.repeats):
            seconds, stages = ours(options.data_dir, options.smoke)
            best["ours"] = min(seconds, best.get("ours", seconds))
            print(f"ours: {seconds:.1f} s: {stages}", flush=True)
            if options.peer and not options.smoke:
                seconds, parts = timed([options.peer, str(HERE / "peers" / "published_drift.py"), str(file)])
                best["peer"] = min(seconds, best.get("peer", seconds))
                print(f"published way: {seconds:.1f} s: {parts.strip()}", flush=True)
    if "peer" in best:
        print(f"ratio {best['peer'] / best['ours']:.2f}")


if __name__ == "__main__":
    main()
