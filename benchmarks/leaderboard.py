"""How long `ntkbench leaderboard build` takes with thousands of entries: `python benchmarks/leaderboard.py [ENTRIES]`.

The entries are those of a network as wide as their number, on the rules of transfer-fashion@1. Their outcomes are
drawn: points are hard or easy for all of them, some entries are better than others.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ntkbench.analyses.measurement import Scalar
from ntkbench.bench import jsonfile
from ntkbench.bench.entry import Entry, slug, summarize
from ntkbench.bench.identity import resolved, run_ids
from ntkbench.bench.jsonfile import accept
from ntkbench.bench.record import MetricRow, metric_row
from ntkbench.bench.track import Column, Track, read

ROOT = Path(__file__).parent.parent
TRACK = ROOT / "leaderboards" / "transfer-fashion@1"
SEEDS = (0, 1, 2)


def synthetic(track: Track, width: int, rng: np.random.Generator, hard: np.ndarray) -> Entry:
    """An entry whose numbers add up."""
    cell = track.reference.model_copy(update={"width": width})
    merit = rng.standard_normal()
    fooled = hard + 0.5 * merit + rng.standard_normal((len(SEEDS), len(hard))) > 1
    counted = rng.random(fooled.shape) < 0.85
    value: dict[str, Any] = {
        "schema": "ntkbench.entry/1",
        "name": f"width {width}",
        "authors": [],
        "links": [],
        "track": track.name,
        "level": "claimed",
        "cell": resolved(cell),
        "seeds": SEEDS,
        "run_ids": run_ids(cell, SEEDS),
        "results": [],
        "outcomes": {
            "points": "0" * 64,
            "runs": ["".join("-" if not c else "01"[int(f)] for c, f in zip(*run, strict=True)) for run in
                     zip(counted, fooled, strict=True)],
        },
        "software": [{}],
        "device": [{}],
    }  # fmt: skip
    counts = [(int(f[c].sum()), int(c.sum())) for f, c in zip(fooled, counted, strict=True)]
    results = [summarize(SEEDS, [_row(column, *count) for count in counts]) for column in track.all_columns]
    value["results"] = [result.model_dump(mode="json") for result in results]
    return accept(Entry, value, value["name"])


def _row(column: Column, k: int, n: int) -> MetricRow:
    row = metric_row("transfer", Scalar.share(column.metric, k, n, dict(column.where)))
    return MetricRow.model_validate_json(json.dumps(row))


def written(folder: Path, entries: int) -> Path:
    """A folder of leaderboards with one track and so many entries."""
    track, rng = read(TRACK), np.random.default_rng(0)
    board = folder / TRACK.name
    (board / "entries").mkdir(parents=True)
    (board / "track.yaml").write_bytes((TRACK / "track.yaml").read_bytes())
    hard = 2 * rng.standard_normal(track.reference.data.n_test)
    for width in range(1, entries + 1):
        entry = synthetic(track, width, rng, hard)
        jsonfile.write(board / "entries" / f"{slug(entry.name)}.json", jsonfile.dump(entry))
    return folder


def seconds(folder: Path) -> float:
    """Of the command, the start of Python included."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "ntkbench.cli", "leaderboard", "build", "--folder", folder], check=True)
    return time.perf_counter() - began


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("entries", type=int, nargs="?", default=2000)
    entries = arguments.parse_args().entries
    with TemporaryDirectory() as folder:
        written(Path(folder), entries)
        print(f"{entries} entries: {seconds(Path(folder)):.1f} s")
    print(f"those of the repository: {seconds(ROOT / 'leaderboards'):.1f} s")


if __name__ == "__main__":
    main()
