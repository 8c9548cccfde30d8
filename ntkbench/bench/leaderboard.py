"""Leaderboards: pages and tables that are functions of the committed entries and of nothing else."""

from collections.abc import Mapping, Sequence
from difflib import unified_diff
from math import inf
from pathlib import Path

from ntkbench.bench import jsonfile
from ntkbench.bench.entry import Entry, read_entry, verify
from ntkbench.bench.page import Board, Standing, board_csv, board_page, index_page
from ntkbench.bench.statistics import bootstrap_mean, paired_bootstrap, rank_with_ties, welch
from ntkbench.bench.track import FILE, Track, read
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


def entries(folder: Path, track: Track) -> list[Entry]:
    """The verified entries of a track."""
    found: dict[Path, Entry] = {}
    problems = []
    for path in sorted((folder / "entries").glob("*.json")):
        try:
            entry = read_entry(path)
            verify(entry, track, path)
            found[path] = entry
        except NtkbenchError as error:
            problems.append(str(error))
    problems += _at_odds(found)
    if problems:
        raise VerificationError("\n".join(problems))
    return list(found.values())


def board(track: Track, entries: Sequence[Entry]) -> Board:
    """Entries in their places. Ties: the track's test against the first of each group."""
    sign = 1 if track.rank.order == "descending" else -1
    scores = [sign * entry.score for entry in entries]
    ranks = rank_with_ties(scores, lambda i, j: _p(entries[i], entries[j]) < track.ties.alpha)
    lines = [Standing(rank, entry, _interval(entry)) for rank, entry in zip(ranks, entries, strict=True)]
    order = sorted(range(len(lines)), key=lambda i: (ranks[i], -scores[i], entries[i].name))
    return Board(track, tuple(lines[i] for i in order))


def _p(one: Entry, two: Entry) -> float:
    """Of no difference between two entries."""
    if one.outcomes and two.outcomes:
        return paired_bootstrap(one.outcomes.matrix(), two.outcomes.matrix()).p
    return welch(one.values, two.values)


def _interval(entry: Entry) -> tuple[float, float]:
    return bootstrap_mean(entry.outcomes.matrix()) if entry.outcomes else entry.results[0].ci95 or (-inf, inf)


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
