"""A line of a leaderboard: all seeds of its cells, with what it takes to recompute and compare its numbers."""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from os.path import normpath
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ntkbench.bench import statistics
from ntkbench.bench.jsonfile import Document, Facts, Line, Natural, parse, read
from ntkbench.bench.outcomes import Digits
from ntkbench.bench.record import Measured, MetricRow, RunId, Sha256
from ntkbench.bench.track import NAME, Label
from ntkbench.bench.vocabulary import bounds
from ntkbench.errors import NtkbenchError

SCHEMA = "ntkbench.entry/2"
_LIMIT = 32 * 2**20
Title = Annotated[str, Field(min_length=1, max_length=80)]
Link = Annotated[str, Field(pattern=r"^https://[A-Za-z0-9._~:/?#@!$&+,;=%-]{1,300}$")]


class SeedValue(Measured):
    """The number of one seed."""

    seed: Natural


class Numbers(Document):
    """A number of every seed."""

    metric: Line
    where: dict[Line, Line]
    revision: Natural
    runs: tuple[SeedValue, ...]


class CellNumbers(Numbers):
    """A number of every run of a cell, and the outcomes that it follows from."""

    analysis: Line
    outcomes: tuple[Digits, ...] | None = Field(default=None, exclude_if=lambda outcomes: outcomes is None)
    """one text a seed, see `bench/outcomes.py`; null where no digits carry the number, or those of another tell it"""

    @model_validator(mode="after")
    def _rectangular(self) -> "CellNumbers":
        if self.outcomes is not None and {len(run) for run in self.outcomes} != {len(self.outcomes[0])}:
            raise ValueError("outcomes: the seeds have different numbers of test points")
        if self.outcomes is not None and len(self.outcomes) != len(self.runs):
            raise ValueError(f"outcomes: of {len(self.outcomes)} seeds, but there are {len(self.runs)}")
        return self


class Result(Numbers):
    """A column of the leaderboard: the number of each seed, the mean over the entry's cells, and their summary."""

    mean: float | None
    sd: float | None
    ci95: tuple[float, float] | None
    """`statistics.mean_interval` over seeds"""


class FailedCheck(Document):
    """A property that the numbers of a run rest on, and that did not hold."""

    code: Line
    seed: Natural
    analysis: Line | None = None
    detail: Facts = Field(default={}, exclude_if=lambda detail: not detail)


class EntryCell(Document):
    """One experiment of an entry, with all its seeds."""

    label: Label
    """of the target of the track"""
    cell: Facts
    """resolved; where seeds draw training subsets, without them"""
    run_ids: tuple[RunId, ...]
    results: tuple[CellNumbers, ...]
    """in the order of `Track.measured`"""
    failed: tuple[FailedCheck, ...] = ()

    @model_validator(mode="after")
    def _rectangular(self) -> "EntryCell":
        if {len(result.runs) for result in self.results} - {len(self.run_ids)}:
            raise ValueError(f"results: there are {len(self.run_ids)} runs, but not as many numbers")
        return self


class SmallRun(Document):
    """The numbers of a small run, in the order of `Track.measured`."""

    label: Label
    run_id: RunId
    numbers: tuple[Measured, ...]


class Mini(Document):
    """The cells made as small as the track's `mini` says, run once: what anybody can run again in minutes."""

    seed: Natural
    runs: tuple[SmallRun, ...]


class Entry(Document):
    """What `ntkbench submit` writes."""

    schema_: Literal["ntkbench.entry/2"] = Field(alias="schema")
    name: Title
    authors: Annotated[tuple[Title, ...], Field(max_length=50)]
    links: Annotated[tuple[Link, ...], Field(max_length=10)]
    track: Annotated[str, Field(pattern=NAME)]
    level: Literal["claimed"]
    """no entry says more of itself; see `bench/verify.py`"""
    seeds: Annotated[tuple[Natural, ...], Field(min_length=1, max_length=1000)]
    results: Annotated[tuple[Result, ...], Field(min_length=1)]
    """the ranking metric first, then the track's other columns"""
    points: Sha256 | None
    """of which test points the outcomes are: their positions in the original file; null where there are no outcomes"""
    cells: Annotated[tuple[EntryCell, ...], Field(min_length=1, max_length=100)]
    """in the order of the track's targets"""
    software: tuple[Facts, ...]
    """one for all runs, or all that differ"""
    device: tuple[Facts, ...]
    mini: Mini | None = Field(default=None, exclude_if=lambda mini: mini is None)

    @model_validator(mode="after")
    def _tidy(self) -> "Entry":
        for text in (self.name, *self.authors):
            if not (text.isprintable() and text[0].isalnum() and text == text.strip()):
                raise ValueError("names are printable and begin with a letter or a digit")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: the same seed stands here twice")
        lengths = {*(len(cell.run_ids) for cell in self.cells), *(len(result.runs) for result in self.results)}
        if lengths != {len(self.seeds)}:
            raise ValueError(f"there are {len(self.seeds)} seeds, but not as many runs or numbers")
        if (self.points is None) != all(each.outcomes is None for cell in self.cells for each in cell.results):
            raise ValueError(f"points: {'outcomes of unknown points' if self.points is None else 'no outcomes'}")
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

    @property
    def run_ids(self) -> list[str]:
        """The runs of all cells."""
        return [run_id for cell in self.cells for run_id in cell.run_ids]


def slug(name: str) -> str:
    """Return the name of an entry's file: letters, digits and hyphens; a short hash where no letter is left."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60].strip("-")
    return plain or "entry-" + sha256(name.encode()).hexdigest()[:8]


def locate(name: str, folder: Path) -> Path:
    """Return the file of an entry that is named by its path, or by its track and file name: drift-fashion@2/fc-1."""
    board, _, entry = name.rpartition("/")
    inside = folder / board / "entries" / f"{entry.removesuffix('.json')}.json"
    path = Path(name)
    if path.is_file() or not inside.is_file():
        return path
    return inside


def board_of(path: Path) -> Path:
    """Return the folder of the track that an entry's file lies in."""
    return Path(normpath(path.parent / ".."))


def read_entry(path: Path) -> Entry:
    """Return the entry in a file of the right name."""
    entry = parse(Entry, read(path, _LIMIT), path)
    if path.stem != slug(entry.name):
        raise NtkbenchError(f"{path}: name: an entry of this name belongs in {slug(entry.name)}.json")
    return entry


def numbers(seeds: Sequence[int], rows: Sequence[MetricRow]) -> Numbers:
    """Return one number of every seed from its rows."""
    runs = tuple(SeedValue(seed=seed, value=row.value, k=row.k, n=row.n) for seed, row in zip(seeds, rows, strict=True))
    return Numbers(metric=rows[0].metric, where=texts(rows[0].where), revision=rows[0].revision, runs=runs)


def summarize(cells: Sequence[Numbers]) -> Result:
    """Return the mean over cells of one number, seed by seed, and its summary over seeds; of one cell its counts too.

    A seed has no value where a cell of it has none, and there is no mean where a seed has no value.
    """
    first = cells[0]
    where = dict(first.where.items() & set.intersection(*(set(each.where.items()) for each in cells)))
    runs = first.runs if len(cells) == 1 else tuple(_mean(each) for each in zip(*(c.runs for c in cells), strict=True))
    ordered = {name: first.where[name] for name in first.where if name in where}
    return Result(metric=first.metric, where=ordered, revision=first.revision, runs=runs, **summary(first.metric, runs))


def _mean(runs: Sequence[SeedValue]) -> SeedValue:
    values = [run.value for run in runs if run.value is not None]
    value = sum(values) / len(values) if len(values) == len(runs) else None
    return SeedValue(seed=runs[0].seed, value=value, k=None, n=None)


def summary(metric: str, runs: Sequence[SeedValue]) -> dict[str, Any]:
    """Return mean, sd and ci95 of a metric over seeds; None of them where a seed has no value."""
    values = [run.value for run in runs if run.value is not None]
    if len(values) < len(runs):
        return {"mean": None, "sd": None, "ci95": None}
    found = statistics.summary(values, bounds(metric))
    return {"mean": found.mean, "sd": found.sd, "ci95": found.interval}


def texts(where: Mapping[str, Any]) -> dict[str, str]:
    """Return what a number is about, as text."""
    return {name: str(value) for name, value in where.items()}
