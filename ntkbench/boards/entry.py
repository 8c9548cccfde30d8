"""The model of a leaderboard entry: the numbers of every seed and cell, and what it takes to recompute them.

`ntkbench submit` writes an entry as JSON, `recompute` checks it against itself, `leaderboard` ranks it:

    entry = read_entry(Path("leaderboards/drift-fashion@2/entries/fc-1-fgsm.json"))
    entry.score                      # mean over seeds of the ranking metric
"""

from collections.abc import Mapping, Sequence
from os.path import normpath
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ntkbench import uncertainty
from ntkbench.boards.outcomes import Digits
from ntkbench.boards.tracks.track import NAME, Label
from ntkbench.documents import Document, Facts, Line, Natural, parse, read
from ntkbench.errors import NtkbenchError
from ntkbench.spec.extensions import bounds
from ntkbench.store.record import Measured, MetricRow, RunId, Sha256
from ntkbench.text import slug

SCHEMA = "ntkbench.entry/2"
"""value of the `schema` field in entries of the current format"""
_LIMIT = 32 * 2**20
"""bytes; a larger file is refused"""
Title = Annotated[str, Field(min_length=1, max_length=80)]
"""name of an entry, or of an author"""
Link = Annotated[str, Field(pattern=r"^https://[A-Za-z0-9._~:/?#@!$&+,;=%-]{1,300}$")]
"""https address of a paper or of code"""


class SeedValue(Measured):
    """The value of a metric at one seed; k and n are its counts where it is a proportion."""

    seed: Natural


class Numbers(Document):
    """The values of one metric, one a seed."""

    metric: Line
    where: dict[Line, Line]
    """what the metric is about, such as the attack and its budget, as text"""
    revision: Natural
    """revision of the metric's definition"""
    runs: tuple[SeedValue, ...]


class CellNumbers(Numbers):
    """The values of one metric in one cell, with the outcomes per test point that they follow from."""

    analysis: Line
    outcomes: tuple[Digits, ...] | None = Field(default=None, exclude_if=lambda outcomes: outcomes is None)
    """one text a seed, one digit a test point, coded as in `outcomes.py`; null where the metric is no function of
    such digits, or where those of another metric of the cell imply it
    """

    @model_validator(mode="after")
    def _rectangular(self) -> "CellNumbers":
        """Raise ValueError if outcomes are given, but not of every seed, or of different numbers of test points."""
        if self.outcomes is not None and {len(run) for run in self.outcomes} != {len(self.outcomes[0])}:
            raise ValueError("outcomes: the seeds have different numbers of test points")
        if self.outcomes is not None and len(self.outcomes) != len(self.runs):
            raise ValueError(f"outcomes: of {len(self.outcomes)} seeds, but there are {len(self.runs)}")
        return self


class Result(Numbers):
    """A column of the leaderboard: its value at each seed, averaged over the entry's cells, and their summary."""

    mean: float | None
    sd: float | None
    ci95: tuple[float, float] | None
    """95 % interval of the mean over seeds (`uncertainty.mean_interval`)"""


class FailedCheck(Document):
    """A check that failed in a run of the entry, so that the run's numbers may mean nothing."""

    code: Line
    seed: Natural
    analysis: Line | None = None
    detail: Facts = Field(default={}, exclude_if=lambda detail: not detail)


class EntryCell(Document):
    """One experiment of an entry, run at all its seeds."""

    label: Label
    """label of the track's target that the experiment belongs to"""
    cell: Facts
    """the resolved cell; where every seed draws its own training subset, without that subset"""
    run_ids: tuple[RunId, ...]
    results: tuple[CellNumbers, ...]
    """in the order of `Track.measured`"""
    failed: tuple[FailedCheck, ...] = ()

    @model_validator(mode="after")
    def _rectangular(self) -> "EntryCell":
        """Raise ValueError unless every metric has one value a run."""
        if {len(result.runs) for result in self.results} - {len(self.run_ids)}:
            raise ValueError(f"results: there are {len(self.run_ids)} runs, but not as many numbers")
        return self


class SmallRun(Document):
    """The numbers of one cell made small, run at one seed, in the order of `Track.measured`."""

    label: Label
    run_id: RunId
    numbers: tuple[Measured, ...]


class Mini(Document):
    """All cells made as small as the track's `mini` says, each run once, so that anybody can repeat them in minutes."""

    seed: Natural
    runs: tuple[SmallRun, ...]


class Entry(Document):
    """A leaderboard entry, as `ntkbench submit` writes it."""

    schema_: Literal["ntkbench.entry/2"] = Field(alias="schema")
    name: Title
    authors: Annotated[tuple[Title, ...], Field(max_length=50)]
    links: Annotated[tuple[Link, ...], Field(max_length=10)]
    track: Annotated[str, Field(pattern=NAME)]
    level: Literal["claimed"]
    """always `claimed`: higher levels follow from repeated runs, not from the entry (`boards/verify.py`)"""
    seeds: Annotated[tuple[Natural, ...], Field(min_length=1, max_length=1000)]
    results: Annotated[tuple[Result, ...], Field(min_length=1)]
    """columns of the leaderboard: the ranking metric first, then the track's others"""
    points: Sha256 | None
    """digest of the test points' positions in the original file, the same for all outcomes; null without outcomes"""
    cells: Annotated[tuple[EntryCell, ...], Field(min_length=1, max_length=100)]
    """one experiment for each target of the track, in its order"""
    software: tuple[Facts, ...]
    """versions of packages: one mapping where all runs agree, otherwise each that occurs"""
    device: tuple[Facts, ...]
    """devices: one mapping where all runs agree, otherwise each that occurs"""
    mini: Mini | None = Field(default=None, exclude_if=lambda mini: mini is None)

    @model_validator(mode="after")
    def _tidy(self) -> "Entry":
        """Raise ValueError for unprintable names, repeated seeds, and parts that disagree on seeds or outcomes."""
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
        """The ranking metric at each seed; seeds without a value are left out."""
        return [run.value for run in self.results[0].runs if run.value is not None]

    @property
    def score(self) -> float:
        """The mean over seeds of the ranking metric. Raise ValueError if it has none."""
        mean = self.results[0].mean
        if mean is None:
            raise ValueError(f"{self.name}: not verified, its ranking metric has no mean")
        return mean

    @property
    def run_ids(self) -> list[str]:
        """The ids of all runs, cell by cell."""
        return [run_id for cell in self.cells for run_id in cell.run_ids]


def locate(name: str, folder: Path) -> Path:
    """Return the file of an entry, which `name` gives as a path or as TRACK/ENTRY: drift-fashion@2/fc-1-fgsm.

    `folder`: the folder of all tracks. A name that leads to no file is returned as a path.
    """
    board, _, entry = name.rpartition("/")
    inside = folder / board / "entries" / f"{entry.removesuffix('.json')}.json"
    path = Path(name)
    if path.is_file() or not inside.is_file():
        return path
    return inside


def board_of(path: Path) -> Path:
    """Return the folder of the track to which an entry's file belongs: the one above `entries/`."""
    return Path(normpath(path.parent / ".."))


def read_entry(path: Path) -> Entry:
    """Read and validate an entry.

    Raise NtkbenchError if the file cannot be read, is no entry, or is not named after the entry (`slug`).
    """
    entry = parse(Entry, read(path, _LIMIT), path)
    if path.stem != slug(entry.name):
        raise NtkbenchError(f"{path}: name: an entry of this name belongs in {slug(entry.name)}.json")
    return entry


def numbers(seeds: Sequence[int], rows: Sequence[MetricRow]) -> Numbers:
    """Return the values of one metric; `rows` holds the record's row of each seed, in the order of `seeds`."""
    runs = tuple(SeedValue(seed=seed, value=row.value, k=row.k, n=row.n) for seed, row in zip(seeds, rows, strict=True))
    return Numbers(metric=rows[0].metric, where=texts(rows[0].where), revision=rows[0].revision, runs=runs)


def summarize(cells: Sequence[Numbers]) -> Result:
    """Return a leaderboard column: the mean over cells of one metric, seed by seed, and its summary over seeds.

    A seed has no value if one of its cells has none, and there is no mean if a seed has no value. The counts k and n
    are kept if there is a single cell; `where` keeps what all cells agree on.
    """
    first = cells[0]
    where = dict(first.where.items() & set.intersection(*(set(each.where.items()) for each in cells)))
    runs = first.runs if len(cells) == 1 else tuple(_mean(each) for each in zip(*(c.runs for c in cells), strict=True))
    ordered = {name: first.where[name] for name in first.where if name in where}
    return Result(metric=first.metric, where=ordered, revision=first.revision, runs=runs, **summary(first.metric, runs))


def _mean(runs: Sequence[SeedValue]) -> SeedValue:
    """Return the mean over cells at one seed; without a value if a cell has none."""
    values = [run.value for run in runs if run.value is not None]
    value = sum(values) / len(values) if len(values) == len(runs) else None
    return SeedValue(seed=runs[0].seed, value=value, k=None, n=None)


def summary(metric: str, runs: Sequence[SeedValue]) -> dict[str, Any]:
    """Return `mean`, `sd` and `ci95` of a metric over seeds; all are None if a seed has no value."""
    values = [run.value for run in runs if run.value is not None]
    if len(values) < len(runs):
        return {"mean": None, "sd": None, "ci95": None}
    found = uncertainty.summary(values, bounds(metric))
    return {"mean": found.mean, "sd": found.sd, "ci95": found.interval}


def texts(where: Mapping[str, Any]) -> dict[str, str]:
    """Return what a metric is about, with every value as text."""
    return {name: str(value) for name, value in where.items()}
