"""How long a website of many entries takes, from their files to its pages.

    python -m benchmarks.site [--entries 500]

Makes the entries of `benchmarks/leaderboard.py`. Times the command as a user runs it, and its parts.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.leaderboard import written
from ntkbench.boards import standings
from ntkbench.boards.site import site
from ntkbench.boards.tracks import track


def command(folder: Path, output: Path) -> str:
    """Seconds of `ntkbench leaderboard site`, the start of Python included: the best of three, and of the processor."""
    arguments = [sys.executable, "-m", "ntkbench.cli.main", "leaderboard", "site", "--folder", folder, "-o", output]
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
    entries = standings.entries(path, rules)
    yield "reading and verifying", time.perf_counter() - start
    start = time.perf_counter()
    board = standings.board(rules, entries)
    yield "intervals and ranks", time.perf_counter() - start
    start = time.perf_counter()
    site([board], output)
    yield "pages", time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        large, output = written(Path(scratch) / "leaderboards", options.entries), Path(scratch) / "site"
        print(f"{options.entries} entries: {command(large, output / 'large')}")
        for name, seconds in parts(large, output / "parts"):
            print(f"    {name}: {seconds:.2f} s")
        pages = list((output / "large").rglob("*.html"))
        board = (output / "large" / "many@1" / "index.html").stat().st_size
        print(f"    {len(pages)} pages, {sum(page.stat().st_size for page in pages) / 2**20:.0f} MiB; ", end="")
        print(f"the board {board / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
