"""Leaderboards: pages and tables that are functions of the committed entries and of nothing else."""

from collections.abc import Mapping, Sequence
from difflib import unified_diff
from math import comb, inf
from pathlib import Path

import numpy as np

from ntkbench.bench import jsonfile, verify
from ntkbench.bench.entry import Entry, read_entry, recompute
from ntkbench.bench.page import Board, Standing, board_csv, board_page, index_page
from ntkbench.bench.statistics import Estimate, difference, interval, of_points, of_seeds, rank_with_ties, stack
from ntkbench.bench.track import FILE, Track, read
from ntkbench.bench.verify import Level
from ntkbench.errors import NtkbenchError, UsageError, VerificationError

_DIFF_LINES = 20


def build(folder: Path, check: bool = False) -> list[Path]:
    """Write the pages of all tracks and their index; returns what changed.

    `check` writes nothing: VerificationError shows where the pages are not what the entries give.
    """
    pages = {path: text.encode() for path, text in _pages(folder, boards(folder)).items()}
    changed = {path: text for path, text in pages.items() if not path.exists() or path.read_bytes() != text}
    if check and changed:
        diffs = "\n".join(_difference(path, text) for path, text in changed.items())
        raise VerificationError(f"{diffs}\nnot what the entries give; run `ntkbench leaderboard build`")
    for path, text in changed.items():
        jsonfile.write(path, text)
    return list(changed)


def boards(folder: Path) -> list[Board]:
    """All tracks of a folder, their entries verified; one error with everything that is wrong."""
    tracks = sorted(path.parent for path in folder.glob(f"*@*/{FILE}"))
    if not tracks:
        raise UsageError(f"{folder}: no tracks; a track is a folder <name>@<version> with a {FILE}")
    found, problems = [], []
    for path in tracks:
        try:
            track = read(path)
            found.append(board(track, entries(path, track)))
        except NtkbenchError as error:
            problems.append(str(error))
    if problems:
        raise VerificationError("\n".join(problems))
    return found


def entries(folder: Path, track: Track) -> list[tuple[Entry, Level]]:
    """The verified entries of a track, and how far each was run again."""
    found: dict[Path, Entry] = {}
    levels: dict[Path, Level] = {}
    problems = []
    for path in sorted((folder / "entries").glob("*.json")):
        try:
            entry = read_entry(path)
            recompute(entry, track, path)
            found[path] = entry
            levels[path] = verify.level(track, entry, verify.read(folder, entry), verify.file(folder, entry))
        except NtkbenchError as error:
            problems.append(str(error))
    problems += _at_odds(found) + _orphans(folder)
    if problems:
        raise VerificationError("\n".join(problems))
    return [(found[path], levels[path]) for path in found]


def board(track: Track, judged: Sequence[tuple[Entry, Level]]) -> Board:
    """Entries in their places. Ties: the track's test against the first of each group, corrected for all pairs."""
    sign = 1 if track.rank.order == "descending" else -1
    entries = [entry for entry, _ in judged]
    scores = [sign * entry.score for entry in entries]
    each = [of_points(entry.outcomes.matrix()) if entry.outcomes else of_seeds(entry.values) for entry in entries]
    together, pairs = stack(each), comb(len(entries), 2)

    def apart(one: int) -> np.ndarray:
        return np.less(difference(each[one], together, paired=track.by_point).p * pairs, track.ties.alpha)

    ranks = rank_with_ties(scores, apart)
    lines = [
        Standing(rank, entry, _interval(entry, estimate), level)
        for rank, (entry, level), estimate in zip(ranks, judged, each, strict=True)
    ]
    order = sorted(range(len(lines)), key=lambda i: (ranks[i], -scores[i], entries[i].name))
    return Board(track, tuple(lines[i] for i in order))


def _interval(entry: Entry, estimate: Estimate) -> tuple[float, float]:
    return interval(estimate) if entry.outcomes else entry.results[0].ci95 or (-inf, inf)


def _orphans(folder: Path) -> list[str]:
    """Checks of nothing."""
    names = {path.name for path in (folder / "entries").glob("*.json")}
    checks = sorted((folder / "checks").glob("*.json"))
    return [f"{path}: there is no such entry; delete it" for path in checks if path.name not in names]


def _at_odds(found: Mapping[Path, Entry]) -> list[str]:
    """Entries of the same runs, and entries judged on other test points than the first."""
    problems = []
    owners: dict[str, Path] = {}
    first = next(iter(found), None)
    for path, entry in found.items():
        twice = sorted({owners[run].name for run in entry.run_ids if run in owners})
        problems += [f"{path}: run_ids: runs of {name}" for name in twice]
        owners |= dict.fromkeys(entry.run_ids, path)
        if first and _points(entry) != _points(found[first]):
            problems.append(f"{path}: outcomes.points: judged on other test points than {first.name}")
    return problems


def _points(entry: Entry) -> tuple[str, int] | None:
    return (entry.outcomes.points, len(entry.outcomes.runs[0])) if entry.outcomes else None


def _difference(path: Path, text: bytes) -> str:
    if not path.exists():
        return f"{path}: is not there"
    old = path.read_bytes().decode(errors="replace").splitlines()
    lines = list(unified_diff(old, text.decode().splitlines(), str(path), "built from the entries", n=0, lineterm=""))
    more = [f"... {len(lines) - _DIFF_LINES} more lines"] if len(lines) > _DIFF_LINES else []
    return "\n".join([jsonfile.printable(line, 160) for line in lines[:_DIFF_LINES]] + more)


def _pages(folder: Path, boards: Sequence[Board]) -> dict[Path, str]:
    pages = {folder / "README.md": index_page(boards)}
    for each in boards:
        pages[folder / each.track.name / "README.md"] = board_page(each)
        pages[folder / each.track.name / "table.csv"] = board_csv(each)
    return pages
