"""How long a website of many entries takes, from their files to its pages.

    python benchmarks/site.py [--entries 2000] [--folder leaderboards]

Makes entries by varying the first real one of a track that compares test points: its width, its name and its outcomes,
and with these what is counted in them, so that each passes every check. Times the command as a user runs it on the
leaderboards as they are and on the large one, and the parts of the latter.
"""

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ntkbench.bench import jsonfile, leaderboard, track
from ntkbench.bench.entry import NOT_COUNTED, Entry, Outcomes, read_entry, slug, summarize
from ntkbench.bench.identity import run_ids
from ntkbench.bench.record import MetricRow
from ntkbench.bench.site import site
from ntkbench.bench.spec import Cell
from ntkbench.bench.track import Track


def varied(entry: Entry, rules: Track, count: int) -> Iterator[Entry]:
    """Entries that differ in width, and in as many outcomes as good and bad networks do."""
    rng = np.random.default_rng(0)
    outcomes = entry.outcomes
    assert outcomes is not None
    for i in range(count):
        cell = Cell.model_validate(entry.cell | {"width": 16 + i})
        runs = tuple(flipped(run, rng, rate=0.3 * i / count) for run in outcomes.runs)
        rows = [counted(entry, run) for run in runs]
        yield entry.model_copy(
            update={
                "name": f"synthetic width {16 + i}",
                "cell": entry.cell | {"width": 16 + i},
                "mini": None,
                "run_ids": run_ids(cell, entry.seeds),
                "outcomes": Outcomes(points=outcomes.points, runs=runs),
                "results": (summarize(entry.seeds, rows), *entry.results[1:]),
            }
        )


def flipped(run: str, rng: np.random.Generator, rate: float) -> str:
    """Some of the points that count, the other way."""
    other = {"0": "1", "1": "0", NOT_COUNTED: NOT_COUNTED}
    return "".join(
        other[point] if flip else point for point, flip in zip(run, rng.random(len(run)) < rate, strict=True)
    )


def counted(entry: Entry, run: str) -> MetricRow:
    """The row of a record that has these outcomes."""
    k, n = run.count("1"), len(run) - run.count(NOT_COUNTED)
    result = entry.results[0]
    said = {"analysis": "synthetic", "metric": result.metric, "revision": result.revision, "where": dict(result.where)}
    numbers = {"value": k / n, "k": k, "n": n, "ci95": None, "ci_method": None}
    return MetricRow(**said, **numbers, unit="fraction", higher_is_better=True)


def command(folder: Path, output: Path) -> str:
    """Seconds of `ntkbench leaderboard site`, the start of Python included: the best of three, and of the processor."""
    arguments = [sys.executable, "-m", "ntkbench.cli", "leaderboard", "site", "--folder", folder, "-o", output]
    seconds, used = [], []
    for _ in range(3):
        start, before = time.perf_counter(), of_processor()
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
        used.append(of_processor() - before)
    return f"{min(seconds):.2f} s, {min(used):.2f} s of the processor"


def of_processor() -> float:
    """Seconds that the processes which this one has started have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def parts(folder: Path, output: Path) -> Iterator[tuple[str, float]]:
    """Of the same, in one process."""
    (path,) = (each.parent for each in folder.glob("*/track.yaml"))
    start = time.perf_counter()
    rules = track.read(path)
    entries = leaderboard.entries(path, rules)
    yield "reading and verifying", time.perf_counter() - start
    start = time.perf_counter()
    board = leaderboard.board(rules, entries)
    yield "intervals and ranks", time.perf_counter() - start
    start = time.perf_counter()
    site([board], output)
    yield "pages", time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=2000)
    parser.add_argument("--folder", type=Path, default=Path("leaderboards"))
    options = parser.parse_args()
    real = next(path for path in sorted(options.folder.glob("*/entries/*.json")) if read_entry(path).outcomes)
    rules = track.read(real.parents[1])
    with tempfile.TemporaryDirectory() as scratch:
        large, output = Path(scratch) / "leaderboards", Path(scratch) / "site"
        (large / rules.name).mkdir(parents=True)
        shutil.copy(real.parents[1] / track.FILE, large / rules.name)
        for entry in varied(read_entry(real), rules, options.entries):
            path = large / rules.name / "entries" / f"{slug(entry.name)}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(jsonfile.dump(entry))
        print(f"the leaderboards as they are: {command(options.folder, output / 'real')}")
        print(f"{options.entries} entries: {command(large, output / 'large')}")
        for name, seconds in parts(large, output / "parts"):
            print(f"    {name}: {seconds:.2f} s")
        pages = list((output / "large").rglob("*.html"))
        board = (output / "large" / rules.name / "index.html").stat().st_size
        print(f"    {len(pages)} pages, {sum(page.stat().st_size for page in pages) / 2**20:.0f} MiB; ", end="")
        print(f"the board {board / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
