"""How long `ntkbench leaderboard build` takes with many entries: `python benchmarks/leaderboard.py [ENTRIES]`.

The entries are those of a network as wide as their number, on a small track of its own. Their outcomes are drawn:
points are hard or easy for all of them, some entries are better than others. All have a check, so that all are ranked.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ntkbench import documents, files
from ntkbench.boards import checks
from ntkbench.boards.checks import Rerun
from ntkbench.boards.entry import SCHEMA, CellNumbers, Entry, SeedValue, summarize
from ntkbench.boards.tracks.track import FILE, Track, read
from ntkbench.documents import accept
from ntkbench.spec.identity import resolved, run_ids
from ntkbench.store.record import Measured
from ntkbench.text import slug

SEEDS = (0, 1, 2)
TRACK = """
schema: ntkbench.track/2
title: Many entries
about: To see how long their table takes.
spec: specs/quickstart.yaml
frozen: [data, attacks, analyses, numerics]
free: [architecture, width, training, kernels]
rank: {title: robust accuracy, metric: robust_accuracy, where: {target: self, attack: own}, order: descending}
min_seeds: 3
mini: {training: {epochs: 1}}
cell:
  data: {dataset: fashion_mnist_mini, classes: [pullover, coat], n_train: 1000, n_test: 200}
  architecture: {kind: fc, depth: 1}
  width: 512
  training: {mode: standard, epochs: 200}
  attacks: {own: {kind: fgsm, source: self, eps: 8/255}}
  analyses: {accuracy: {kind: accuracy, attacks: [own]}}
"""


def synthetic(track: Track, width: int, rng: np.random.Generator, hard: np.ndarray) -> Entry:
    """Make an entry whose numbers add up."""
    cell = track.base.model_copy(update={"width": width})
    right = hard + 0.5 * rng.standard_normal() + rng.standard_normal((len(SEEDS), len(hard))) > 1
    runs = [SeedValue(seed=s, value=k / len(hard), k=k, n=len(hard)) for s, k in enumerate(right.sum(axis=1).tolist())]
    column = track.rank
    numbers = CellNumbers(
        metric=column.metric,
        where=column.where | {"eps": "8/255"},
        revision=column.revision,
        runs=tuple(runs),
        analysis="accuracy",
        outcomes=tuple("".join("01"[int(point)] for point in run) for run in right),
    )
    value: dict[str, Any] = {
        "schema": SCHEMA,
        "name": f"width {width}",
        "authors": [],
        "links": [],
        "track": track.name,
        "level": "claimed",
        "seeds": SEEDS,
        "results": [summarize([numbers]).model_dump(mode="json")],
        "points": "0" * 64,
        "cells": [{"label": "cell", "cell": resolved(cell), "run_ids": run_ids(cell, SEEDS)}],
        "software": [{}],
        "device": [{}],
    }
    value["cells"][0]["results"] = [numbers.model_dump(mode="json")]
    return accept(Entry, value, value["name"])


def check(track: Track, entry: Entry, folder: Path) -> None:
    """Write down that the first seed was run again."""
    (cell,) = entry.cells
    (result,) = cell.results
    first = result.runs[0]
    rerun = Rerun(
        kind="seed",
        label=cell.label,
        seed=0,
        run_id=cell.run_ids[0],
        numbers=(Measured(value=first.value, k=first.k, n=first.n),),
        outcomes=(result.outcomes[0] if result.outcomes else None,),
        software={},
        device={},
        date="2026-01-01",
    )
    checks.save(folder / track.name, entry, [rerun])


def written(folder: Path, entries: int) -> Path:
    """Write a folder of leaderboards with one track and so many entries."""
    board = folder / "many@1"
    (board / "entries").mkdir(parents=True)
    (board / FILE).write_text(TRACK)
    track, rng = read(board), np.random.default_rng(0)
    hard = 2 * rng.standard_normal(track.base.data.n_test)
    for width in range(1, entries + 1):
        entry = synthetic(track, width, rng, hard)
        files.write(board / "entries" / f"{slug(entry.name)}.json", documents.dump(entry))
        check(track, entry, folder)
    return folder


def seconds(folder: Path) -> float:
    """Return the seconds of the command, the start of Python included."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "ntkbench.cli.main", "leaderboard", "build", "--folder", folder], check=True)
    return time.perf_counter() - began


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("entries", type=int, nargs="?", default=500)
    entries = arguments.parse_args().entries
    with TemporaryDirectory() as folder:
        written(Path(folder), entries)
        print(f"{entries} entries: {seconds(Path(folder)):.1f} s")


if __name__ == "__main__":
    main()
