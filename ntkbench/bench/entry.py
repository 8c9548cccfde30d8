"""A line of a leaderboard: all seeds of one cell, with what it takes to recompute and compare its numbers."""

import re
from collections.abc import Sequence
from hashlib import sha256
from math import isclose
from os.path import normpath
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from ntkbench.bench.identity import run_id, run_ids
from ntkbench.bench.jsonfile import Document, Facts, Line, Natural, explain, parse, read
from ntkbench.bench.record import Measured, MetricRow, RunId, Sha256
from ntkbench.bench.spec import Cell
from ntkbench.bench.statistics import summary
from ntkbench.bench.track import NAME, Track
from ntkbench.bench.vocabulary import METRICS, bounds
from ntkbench.errors import NtkbenchError, VerificationError

NOT_COUNTED = "-"
_LIMIT = 8 * 2**20
_REDO = "make the entry anew with `ntkbench submit`"
Title = Annotated[str, Field(min_length=1, max_length=80)]
Link = Annotated[str, Field(pattern=r"^https://[A-Za-z0-9._~:/?#@!$&+,;=%-]{1,300}$")]


class SeedValue(Measured):
    """The number of one seed."""

    seed: Natural


class Result(Document):
    """A column of the leaderboard: the number of each seed, and their summary."""

    metric: Line
    where: dict[Line, Line]
    revision: Natural
    runs: tuple[SeedValue, ...]
    mean: float | None
    sd: float | None
    ci95: tuple[float, float] | None
    """`statistics.mean_interval` over seeds"""


class Outcomes(Document):
    """Of the ranking metric, a character a test point: 1 and 0 count, - does not."""

    points: Sha256
    """of which test points: their positions in the original file"""
    runs: tuple[Annotated[str, Field(pattern=r"^[01-]+$", max_length=100_000)], ...]

    @model_validator(mode="after")
    def _rectangular(self) -> "Outcomes":
        if len({len(run) for run in self.runs}) > 1:
            raise ValueError("the seeds have different numbers of test points")
        return self

    def matrix(self) -> np.ndarray:
        """(seeds, points), NaN where a point does not count."""
        points = np.frombuffer("".join(self.runs).encode(), np.uint8).reshape(len(self.runs), -1)
        return np.where(points == ord(NOT_COUNTED), np.nan, points == ord("1"))


class Mini(Document):
    """The experiment made as small as the track's `mini` says, run once: what anybody can run again in a minute."""

    seed: Natural
    run_id: RunId
    numbers: tuple[Measured, ...]
    """of the ranking metric and the track's other columns"""


class Entry(Document):
    """What `ntkbench submit` writes."""

    schema_: Literal["ntkbench.entry/1"] = Field(alias="schema")
    name: Title
    authors: Annotated[tuple[Title, ...], Field(max_length=50)]
    links: Annotated[tuple[Link, ...], Field(max_length=10)]
    track: Annotated[str, Field(pattern=NAME)]
    level: Literal["claimed"]
    """no entry says more of itself; see `bench/verify.py`"""
    cell: Facts
    seeds: Annotated[tuple[Natural, ...], Field(min_length=1, max_length=1000)]
    run_ids: tuple[RunId, ...]
    results: Annotated[tuple[Result, ...], Field(min_length=1)]
    """the ranking metric first, then the track's other columns"""
    outcomes: Outcomes | None
    """none in a track that compares entries over seeds"""
    software: tuple[Facts, ...]
    """one for all seeds, or all that differ"""
    device: tuple[Facts, ...]
    mini: Mini | None = Field(default=None, exclude_if=lambda mini: mini is None)

    @model_validator(mode="after")
    def _tidy(self) -> "Entry":
        for text in (self.name, *self.authors):
            if not (text.isprintable() and text[0].isalnum() and text == text.strip()):
                raise ValueError("names are printable and begin with a letter or a digit")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: the same seed stands here twice")
        lengths = {len(self.run_ids), *(len(result.runs) for result in self.results)}
        lengths |= {len(self.outcomes.runs)} if self.outcomes else set()
        if lengths != {len(self.seeds)}:
            raise ValueError(f"there are {len(self.seeds)} seeds, but not as many runs, outcomes or numbers")
        return self

    @property
    def values(self) -> list[float]:
        """What it is ranked by, of each seed."""
        return [run.value for run in self.results[0].runs if run.value is not None]

    @property
    def score(self) -> float:
        """What it is ranked by."""
        mean = self.results[0].mean
        if mean is None:
            raise ValueError(f"{self.name}: not verified, its ranking metric has no mean")
        return mean


def slug(name: str) -> str:
    """The name of an entry's file: letters, digits and hyphens; a short hash where no letter is left."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60].strip("-")
    return plain or "entry-" + sha256(name.encode()).hexdigest()[:8]


def locate(name: str, folder: Path) -> Path:
    """The file of an entry that is named by its path, or by its track and file name: transfer-fashion@1/fc-1."""
    board, _, entry = name.rpartition("/")
    inside = folder / board / "entries" / f"{entry.removesuffix('.json')}.json"
    path = Path(name)
    if path.is_file() or not inside.is_file():
        return path
    return inside


def board_of(path: Path) -> Path:
    """The folder of the track that an entry's file lies in."""
    return Path(normpath(path.parent / ".."))


def read_entry(path: Path) -> Entry:
    """The entry in a file of the right name."""
    entry = parse(Entry, read(path, _LIMIT), path)
    if path.stem != slug(entry.name):
        raise NtkbenchError(f"{path}: name: an entry of this name belongs in {slug(entry.name)}.json")
    return entry


def summarize(seeds: Sequence[int], rows: Sequence[MetricRow]) -> Result:
    """One number from its row of each seed."""
    runs = tuple(SeedValue(seed=seed, value=row.value, k=row.k, n=row.n) for seed, row in zip(seeds, rows, strict=True))
    where = {name: str(value) for name, value in rows[0].where.items()}
    name = rows[0].metric
    return Result(metric=name, where=where, revision=rows[0].revision, runs=runs, **_aggregates(name, runs))


def recompute(entry: Entry, track: Track, place: object) -> None:
    """Recompute all that can be recomputed from the entry alone; VerificationError has a line for each that differs."""
    problems = [f"{place}: {problem}" for problem in _problems(entry, track)]
    if problems:
        raise VerificationError("\n".join([*problems, f"{place}: {_REDO}"]))


def _problems(entry: Entry, track: Track) -> list[str]:
    try:
        cell = Cell.model_validate(entry.cell)
    except ValidationError as error:
        return [explain(error, "cell")]
    problems = track.differences(cell)
    if entry.track != track.name:
        problems.append(f"track: made for {entry.track}, lies in {track.name}")
    if len(entry.seeds) < track.min_seeds:
        problems.append(f"seeds: {len(entry.seeds)} of at least {track.min_seeds}")
    problems += [
        f"run_ids: {claimed} is not the run of this cell and seed, which is {known}"
        for claimed, known in zip(entry.run_ids, run_ids(cell, entry.seeds), strict=True)
        if claimed != known
    ]
    problems += _wrong_columns(entry, track) + _wrong_numbers(entry) + _wrong_outcomes(entry, track, cell)
    return problems + (_wrong_mini(entry.mini, track, cell) if entry.mini else [])


def _wrong_columns(entry: Entry, track: Track) -> list[str]:
    columns = track.all_columns
    if len(columns) != len(entry.results):
        return [f"results: {len(entry.results)}, but the track has {len(columns)} columns"]
    return [
        f"results.{place}: not {column}"
        for place, (column, result) in enumerate(zip(columns, entry.results, strict=True))
        if column.metric != result.metric or not column.where.items() <= result.where.items()
    ]


def _wrong_numbers(entry: Entry) -> list[str]:
    problems = []
    for place, result in enumerate(entry.results):
        if tuple(run.seed for run in result.runs) != entry.seeds:
            problems.append(f"results.{place}.runs: not the entry's seeds in their order")
        if result.metric not in METRICS:
            continue  # no column of a track
        low, high = METRICS[result.metric].range
        revision = METRICS[result.metric].revision
        if result.revision != revision:
            problems.append(f"results.{place}.revision: {result.revision}, but {result.metric} is at {revision} now")
        if any(run.value is not None and not low <= run.value <= high for run in result.runs):
            problems.append(f"results.{place}.runs: a value outside of [{low}, {high}]")
        for name, value in _aggregates(result.metric, result.runs).items():
            if not _equal(getattr(result, name), value):
                problems.append(f"results.{place}.{name}: {getattr(result, name)}, but its runs give {value}")
    if entry.results[0].mean is None:
        problems.append("results.0: what entries are ranked by has no value for some seed")
    return problems


def _wrong_mini(mini: Mini, track: Track, cell: Cell) -> list[str]:
    try:
        known = run_id(track.small(cell), mini.seed)
    except NtkbenchError as error:
        return [f"mini: {error}"]
    problems = [] if mini.run_id == known else [f"mini.run_id: {mini.run_id} is not the small run, which is {known}"]
    if len(mini.numbers) != len(track.all_columns):
        problems.append(f"mini.numbers: {len(mini.numbers)}, but the track has {len(track.all_columns)} columns")
    return problems


def _wrong_outcomes(entry: Entry, track: Track, cell: Cell) -> list[str]:
    if (entry.outcomes is not None) != track.by_point:
        return [f"outcomes: {'there are none' if track.by_point else 'the track compares none'}"]
    if entry.outcomes is None:
        return []
    if (points := len(entry.outcomes.runs[0])) != cell.data.n_test:
        return [f"outcomes.runs: {points} test points, but the experiment has {cell.data.n_test}"]
    return [
        f"outcomes.runs.{place}: {outcomes.count('1')} of {len(outcomes) - outcomes.count(NOT_COUNTED)}, "
        f"but the number is {run.k} of {run.n}"
        for place, (outcomes, run) in enumerate(zip(entry.outcomes.runs, entry.results[0].runs, strict=True))
        if (outcomes.count("1"), len(outcomes) - outcomes.count(NOT_COUNTED)) != (run.k, run.n) or not run.n
    ]


def _aggregates(metric: str, runs: Sequence[SeedValue]) -> dict:
    """Mean, sd and interval over seeds; None of them where a seed has no value."""
    values = [run.value for run in runs if run.value is not None]
    if len(values) < len(runs):
        return {"mean": None, "sd": None, "ci95": None}
    found = summary(values, bounds(metric))
    return {"mean": found.mean, "sd": found.sd, "ci95": found.interval}


def _equal(claimed, known) -> bool:
    """To round-off, which is all that two versions of NumPy may differ by."""
    if claimed is None or known is None:
        return claimed is known
    if isinstance(known, tuple):
        return all(map(_equal, claimed, known))
    return isclose(claimed, known, rel_tol=1e-9, abs_tol=1e-12)
