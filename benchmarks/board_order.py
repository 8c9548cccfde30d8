"""Whether the order of each board holds: told pairs of half of the seeds, in the other half.

    python benchmarks/board_order.py [--folder leaderboards] [--splits 200] [--write docs/statistics.md]

The seeds of a board are split at random. The entries are ranked by the first half, as `leaderboard build` ranks them
by all; a told pair is *reversed* if the means of the other half are the other way round. Half of the seeds tell fewer
pairs than all do, and judge them less well, so this is harder than making the board again with as many new seeds.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ntkbench.boards import standings
from ntkbench.boards.ranking.pairs import Scores
from ntkbench.boards.ranking.ranks import Ranking, ranking
from ntkbench.boards.ranking.scores import scores
from ntkbench.boards.tracks.track import Track, read
from ntkbench.render import table

SPLITS = 200
MARKS = ("<!-- table of benchmarks/board_order.py -->", "<!-- end of the order -->")


@dataclass(frozen=True)
class Order:
    """What the random splits of one board gave."""

    told: float
    """mean number of pairs that half of the seeds tell apart"""
    reversals: float
    """mean number of those that the other half has the other way round"""
    worst: int
    """the largest number of them in one split"""


def order(entries: Sequence[Scores], seeds: Sequence[int], track: Track, splits: int) -> Order:
    """Split the seeds, which all entries have, `splits` times."""
    rng, told, wrong = np.random.default_rng(0), [], []
    for _ in range(splits):
        one, other = np.array_split(rng.permutation(len(seeds)), 2)
        made, again = (_ranked([_part(entry, each) for entry in entries], track) for each in (one, other))
        pairs = np.triu(made.p < track.alpha, 1)
        first, second = (each.estimate[:, None] - each.estimate for each in (made, again))
        told.append(pairs.sum())
        wrong.append(np.sum(pairs & (first * second < 0)))
    return Order(float(np.mean(told)), float(np.mean(wrong)), int(np.max(wrong)))


def _part(entry: Scores, seeds: np.ndarray) -> Scores:
    influence = None if entry.influence is None else entry.influence[seeds]
    return replace(
        entry, values=entry.values[seeds], pairing=tuple(entry.pairing[s] for s in seeds), influence=influence
    )


def _ranked(entries: Sequence[Scores], track: Track) -> Ranking:
    return ranking(entries, descending=track.rank.order == "descending", scale=track.rank.on, alpha=track.alpha)


def rows(folder: Path, splits: int) -> list[list[str]]:
    """Return one row a board that has entries of equal seeds."""
    found = []
    for path in sorted(folder.glob("*/track.yaml")):
        track = read(path.parent)
        ranked = [entry for entry, _ in standings.entries(path.parent, track) if not track.is_reference(entry.name)]
        if len({tuple(entry.seeds) for entry in ranked}) != 1:
            continue
        all_scores = [scores(entry, track) for entry in ranked]
        whole, split = _ranked(all_scores, track), order(all_scores, ranked[0].seeds, track, splits)
        pairs = f"{whole.told_pairs} of {whole.pairs} ({whole.told_pairs / whole.pairs:.0%})"
        numbers = f"{split.told:.1f}", f"{split.reversals:.2f}", str(split.worst)
        found.append([path.parent.name, str(len(ranked)), str(len(ranked[0].seeds)), pairs, *numbers])
    return found


def text(folder: Path, splits: int) -> str:
    """Return the table of all boards."""
    heads = ["board", "entries", "seeds", "told apart", "told by half", "reversed by the other half", "at most"]
    return table(heads, rows(folder, splits), "md")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("leaderboards"))
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--write", type=Path)
    told = parser.parse_args()
    found = text(told.folder, told.splits)
    print(found)
    if told.write:
        before, _, rest = told.write.read_text(encoding="utf-8").partition(MARKS[0])
        after = rest.partition(MARKS[1])[2]
        told.write.write_text(f"{before}{MARKS[0]}\n{found}\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
