"""Build leaderboards: their pages and tables follow from the committed entries and from nothing else.

`ntkbench leaderboard build` calls `build`, `ntkbench site` takes the verified `boards`, and `frame.track` the verified
`entries`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path

import numpy as np

from ntkbench.boards import checks as boards_checks
from ntkbench.boards import verify
from ntkbench.boards.checks import Judgement
from ntkbench.boards.entry import Entry, read_entry
from ntkbench.boards.ranking.ranks import Ranking, ranking
from ntkbench.boards.ranking.scores import scores
from ntkbench.boards.recompute import recompute
from ntkbench.boards.tracks.track import FILE, Track, read
from ntkbench.errors import NtkbenchError, UsageError, VerificationError


@dataclass(frozen=True)
class Standing:
    """A row of a board: an entry, or a reference, which is an entry without a rank or a number without an entry."""

    name: str
    value: float
    """estimate by which the rows are sorted"""
    interval: tuple[float, float] | None = None
    """95 % interval of `value`; None where there is none, as of a reference without an entry"""
    entry: Entry | None = None
    """None of a reference that is a number"""
    level: Judgement | None = None
    """how far the entry was run again by others"""
    ranks: tuple[int, int] | None = None
    """best and worst rank in the confidence set; None of references and of entries that nobody has run again"""
    leads: bool = False
    """whether the entry cannot be told from the entry with the best estimate"""
    about: str = ""
    """what a reference is, in a line; empty for all other rows"""

    @property
    def is_reference(self) -> bool:
        return bool(self.about)

    @property
    def rank(self) -> str:
        """Return the rank as shown: `3-7`, or `3` where both ends are equal; `ref` or a dash where there is none."""
        if self.ranks is None:
            return "ref" if self.is_reference else "–"
        best, worst = self.ranks
        return str(best) if best == worst else f"{best}-{worst}"


@dataclass(frozen=True)
class Board:
    """A track and its rows, best estimate first."""

    track: Track
    lines: tuple[Standing, ...]
    told_pairs: int
    """number of pairs of ranked entries that differ significantly"""

    @property
    def entries(self) -> list[tuple[Standing, Entry]]:
        """Return the rows that have an entry, each with its entry."""
        return [(line, line.entry) for line in self.lines if line.entry is not None]

    @property
    def ranked(self) -> list[Standing]:
        """Return the rows that have a rank, best estimate first."""
        return [line for line in self.lines if line.ranks is not None]

    @property
    def pairs(self) -> int:
        """Return the number of pairs of ranked entries."""
        return comb(len(self.ranked), 2)

    @property
    def leaders(self) -> list[str]:
        """Return the names of the entries that cannot be told from the entry with the best estimate."""
        return [line.name for line in self.ranked if line.leads]


def boards(folder: Path) -> list[Board]:
    """Return the boards of all tracks of a folder, with verified entries.

    Raise one VerificationError with everything that is wrong, and UsageError if there are no tracks.
    """
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


def entries(folder: Path, track: Track) -> list[tuple[Entry, Judgement]]:
    """Return the verified entries of a track, each with its level: how far it was run again.

    Raise VerificationError with all mistakes of all entries, and of files in `checks/` that belong to no entry.
    """
    found: dict[Path, Entry] = {}
    levels: dict[Path, Judgement] = {}
    problems = []
    for path in sorted((folder / "entries").glob("*.json")):
        try:
            entry = read_entry(path)
            recompute(entry, track, path)
            found[path] = entry
            levels[path] = verify.judge(
                track, entry, boards_checks.read(folder, entry), boards_checks.file(folder, entry)
            )
        except NtkbenchError as error:
            problems.append(str(error))
    problems += _at_odds(found, track) + _orphans(folder)
    if problems:
        raise VerificationError("\n".join(problems))
    return [(found[path], levels[path]) for path in found]


def board(track: Track, judged: Sequence[tuple[Entry, Judgement]]) -> Board:
    """Return the board of a track: entries and reference rows by their estimates, best first.

    Entries that were run again are ranked; the others, and references, take part in no test.
    """
    ranked = [i for i, (entry, level) in enumerate(judged) if _is_ranked(track, entry, level)]
    made = ranking(
        [scores(judged[i][0], track) for i in ranked],
        descending=track.rank.order == "descending",
        scale=track.rank.on,
        alpha=track.alpha,
    )
    places = {i: place for place, i in enumerate(ranked)}
    lines = [
        _ranked(made, places[i], entry, level) if i in places else _unranked(track, entry, level)
        for i, (entry, level) in enumerate(judged)
    ]
    lines += _references(track, [entry for entry, _ in judged])
    sign = 1 if track.rank.order == "descending" else -1
    return Board(track, tuple(sorted(lines, key=lambda line: (-sign * line.value, line.name))), made.told_pairs)


def _is_ranked(track: Track, entry: Entry, level: Judgement) -> bool:
    """Return whether an entry takes part in the tests: it was run again, and is not a reference."""
    return level.level != "claimed" and not track.is_reference(entry.name)


def _ranked(made: Ranking, place: int, entry: Entry, level: Judgement) -> Standing:
    """Return the row of the entry at position `place` of the ranking."""
    return Standing(
        entry.name,
        float(made.estimate[place]),
        (float(made.low[place]), float(made.high[place])),
        entry,
        level,
        ranks=(int(made.best[place]), int(made.worst[place])),
        leads=not made.told_from_best[place],
    )


def _unranked(track: Track, entry: Entry, level: Judgement) -> Standing:
    """Return the row of an entry without a rank.

    Its estimate is the mean over seeds; on a log scale, the geometric mean.
    """
    about = track.references[entry.name].about if track.is_reference(entry.name) else ""
    geometric = track.rank.on == "log" and min(entry.values) > 0
    value = float(np.exp(np.mean(np.log(entry.values)))) if geometric else entry.score
    return Standing(entry.name, value, entry.results[0].ci95, entry, level, about=about)


def _references(track: Track, entries: Sequence[Entry]) -> Iterator[Standing]:
    """Yield the references that are no entries: a number by definition, or the mean of a column over all entries."""
    titles = [column.title for column in track.all_columns]
    for name, reference in track.references.items():
        if reference.value is not None:
            yield Standing(name, reference.value, about=reference.about)
        elif reference.column is not None:
            place = titles.index(reference.column)
            known = [entry.results[place].mean for entry in entries]
            if means := [mean for mean in known if mean is not None]:
                yield Standing(name, float(np.mean(means)), about=reference.about)


def _orphans(folder: Path) -> list[str]:
    """Return a problem for each file of repeated runs whose entry does not exist."""
    names = {path.name for path in (folder / "entries").glob("*.json")}
    checks = sorted((folder / "checks").glob("*.json"))
    return [f"{path}: there is no such entry; delete it" for path in checks if path.name not in names]


def _at_odds(found: Mapping[Path, Entry], track: Track) -> list[str]:
    """Return the problems that two entries have with each other.

    Runs must not be in two entries, results must not be equal in every number (unless one entry is a reference), and
    all entries must be judged on the same test points.
    """
    problems = []
    owners: dict[str, Path] = {}
    numbers: dict[str, Path] = {}
    first = next(iter(found), None)
    for path, entry in found.items():
        twice = sorted({owners[run].name for run in entry.run_ids if run in owners})
        problems += [f"{path}: run_ids: runs of {name}" for name in twice]
        owners |= dict.fromkeys(entry.run_ids, path)
        other = numbers.setdefault(_content(entry), path)
        if other != path and not twice and not any(track.is_reference(found[each].name) for each in (other, path)):
            problems.append(f"{path}: results: every number of every seed is that of {other.name}")
        if first and entry.points != found[first].points:
            problems.append(f"{path}: points: judged on other test points than {first.name}")
    return problems


def _content(entry: Entry) -> str:
    """Return all numbers and outcomes of an entry as text; two different experiments never agree in it."""
    return json.dumps([[each.model_dump(mode="json") for each in cell.results] for cell in entry.cells])
