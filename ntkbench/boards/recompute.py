"""Recompute everything in an entry that follows from the rest of it, by the rules of its track.

Run ids follow from cells and seeds, counts and values from outcomes, means from values, verdicts from numbers. Whether
the outcomes are those of the runs can only be told by running them again, see `verify`. `submit` checks an entry before
writing it; `leaderboard` and `verify` check those that are given to them.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import isclose

from pydantic import ValidationError

from ntkbench.boards.entry import CellNumbers, Entry, EntryCell, FailedCheck, Mini, Numbers, summarize, summary
from ntkbench.boards.evidence import implied_code, stored
from ntkbench.boards.outcomes import Code, counts_correct_only, is_share, judge, roles
from ntkbench.boards.tracks.columns import Column
from ntkbench.boards.tracks.track import QUALIFY, Track
from ntkbench.documents import explain
from ntkbench.errors import NtkbenchError, VerificationError
from ntkbench.spec.cell import Cell
from ntkbench.spec.extensions import metric
from ntkbench.spec.identity import run_id
from ntkbench.text import one_line

_REDO = "make the entry anew with `ntkbench submit`"
"""advice at the end of the message"""


def recompute(entry: Entry, track: Track, place: object) -> None:
    """Raise VerificationError with a line for each mistake in an entry; `place`: its file or name, for messages."""
    problems = [f"{place}: {problem}" for problem in _problems(entry, track)]
    if problems:
        raise VerificationError("\n".join([*problems, f"{place}: {_REDO}"]))


def _problems(entry: Entry, track: Track) -> Iterator[str]:
    """Yield all mistakes of an entry; cells that cannot be read or do not match the track end the search."""
    if [cell.label for cell in entry.cells] != list(track.cells):
        yield f"cells: {', '.join(cell.label for cell in entry.cells)}; the track has {', '.join(track.cells)}"
        return
    cells: dict[str, Cell] = {}
    for each in entry.cells:
        try:
            cells[each.label] = Cell.model_validate(each.cell)
        except ValidationError as error:
            yield explain(error, f"{_at(track, each)}cell")
            return
    if entry.track != track.name:
        yield f"track: made for {entry.track}, lies in {track.name}"
    if len(entry.seeds) < track.min_seeds:
        yield f"seeds: {len(entry.seeds)} of at least {track.min_seeds}"
    yield from track.unequal(cells.values())
    for each in entry.cells:
        for problem in _cell_mistakes(entry, track, each, cells[each.label]):
            yield f"{_at(track, each)}{problem}"
    yield from _wrong_results(entry, track)
    yield from _wrong_mini(entry.mini, track, cells) if entry.mini else ()


def _at(track: Track, cell: EntryCell) -> str:
    """Return the prefix of messages about a cell; empty where the track has one cell alone."""
    return f"cells.{cell.label}: " if len(track.cells) > 1 else ""


def _cell_mistakes(entry: Entry, track: Track, found: EntryCell, cell: Cell) -> Iterator[str]:
    """Yield the mistakes of one experiment of an entry: rules, run ids, numbers, outcomes, requirements.

    `found`: what the entry says of it; `cell`: its validated experiment.
    """
    yield from rule_breaks(track, entry.name, found.label, cell)
    for claimed, seed in zip(found.run_ids, entry.seeds, strict=True):
        if claimed != (known := run_id(track.of_seed(cell, seed), seed)):
            yield f"run_ids: {claimed} is not the run of this cell and seed, which is {known}"
    wrong = [*_wrong_columns(found, track)]
    yield from wrong
    if not wrong:
        for place, result in enumerate(found.results):
            yield from (f"results.{place}.{problem}" for problem in _wrong_numbers(entry, result, cell))
        yield from _wrong_outcomes(entry, found, cell)
        yield from unqualified(track, entry.name, found.results, found.failed)


def rule_breaks(track: Track, name: str, label: str, cell: Cell) -> list[str]:
    """Return where the cell of an entry differs from what the track freezes or leaves the bounds of what is free.

    Args:
        track: the rules.
        name: name of the entry, which may be exempt from some rules.
        label: label of the track's target that the cell stands for.
        cell: the experiment of the entry.
    """
    exempt = track.exempt(name)
    return track.differences(label, cell, exempt) + track.violations(cell, exempt)


def unqualified(track: Track, name: str, results: Sequence[Numbers], failed: Sequence[FailedCheck]) -> Iterator[str]:
    """Yield why an entry does not qualify: numbers that miss the track's requirements, and failed checks.

    `results` are in the order of `track.measured`. An entry of this `name` may be exempt as a whole.
    """
    if QUALIFY in track.exempt(name):
        return
    for column, result in zip(track.qualify, results[len(track.all_columns) :], strict=True):
        for run in result.runs:
            if refusal := column.refusal(run.value, run.seed):
                yield refusal
    for check in failed:
        if check.code not in track.allow_failed:
            detail = ", ".join(f"{fact} {one_line(value)}" for fact, value in check.detail.items())
            yield f"check {check.code} failed in seed {check.seed}{f' ({detail})' if detail else ''}"


# ---- numbers of a cell ---------------------------------------------------------------------------


def _wrong_columns(found: EntryCell, track: Track) -> Iterator[str]:
    """Yield where results are not those of the track's columns and requirements, in their order."""
    if len(track.measured) != len(found.results):
        yield f"results: {len(found.results)}, but the track has {len(track.measured)} columns and requirements"
        return
    for place, (column, result) in enumerate(zip(track.measured, found.results, strict=True)):
        yield from _wrong_column(f"results.{place}", column, result)


def _wrong_column(place: str, column: Column, result: Numbers) -> Iterator[str]:
    """Yield where a result is not about its column, or of another revision of the metric than this version's."""
    if column.metric != result.metric or not column.where.items() <= result.where.items():
        yield f"{place}: not {column}"
    elif result.revision != (revision := metric(result.metric).revision):
        yield f"{place}.revision: {result.revision}, but {result.metric} is at {revision} now"


def _wrong_numbers(entry: Entry, result: CellNumbers, cell: Cell) -> Iterator[str]:
    """Yield what is wrong with the numbers of a result: seeds, range, counts of test points."""
    if tuple(run.seed for run in result.runs) != entry.seeds:
        yield "runs: not the entry's seeds in their order"
    low, high = metric(result.metric).range
    if any(run.value is not None and not low <= run.value <= high for run in result.runs):
        yield f"runs: a value outside of [{low}, {high}]"
    share = is_share(result.metric, result.where)
    if share and any(run.value is not None and run.k is None for run in result.runs):
        yield "runs: a share of test points without its counts"
    if share and not counts_correct_only(result.metric, result.where):
        wrong = {run.n for run in result.runs if run.n not in (None, cell.data.n_test)}
        yield from (f"runs: of {n} test points, but the experiment has {cell.data.n_test}" for n in sorted(wrong))


# ---- outcomes ------------------------------------------------------------------------------------


def _wrong_outcomes(entry: Entry, found: EntryCell, cell: Cell) -> Iterator[str]:
    """Yield outcomes that are missing, superfluous or of a wrong length, and numbers that do not follow from them.

    Outcomes of one number are compared with every other number of the cell that they determine, too.
    """
    carrying = [(place, each) for place, each in enumerate(found.results) if each.outcomes is not None]
    for place, (needs, result) in enumerate(zip(stored(found.results, cell), found.results, strict=True)):
        if result.metric == "normalized_transfer" and roles(result.analysis, result.where, cell) is None:
            yield f"results.{place}.analysis: {result.analysis} is no transfer of it with a ceiling and a floor"
        if needs != (result.outcomes is not None):
            yield f"results.{place}.outcomes: {'there are none' if needs else 'nothing follows from them'}"
    for place, one in carrying:
        yield from (f"results.{place}.{problem}" for problem in _wrong_length(one, cell))
        for there, other in enumerate(found.results):
            if (how := implied_code(one, other, cell)) is not None:
                yield from (f"results.{there}.{problem}" for problem in _not_given(entry, one, other, how))


def _wrong_length(one: CellNumbers, cell: Cell) -> Iterator[str]:
    n = len(one.outcomes[0]) if one.outcomes else 0
    if n != cell.data.n_test:
        yield f"outcomes: {n} test points, but the experiment has {cell.data.n_test}"


def _not_given(entry: Entry, one: CellNumbers, other: CellNumbers, how: Code) -> Iterator[str]:
    """Yield the seeds whose number in `other` does not follow from the outcomes of `one` by the code `how`."""
    assert one.outcomes is not None
    try:
        judged = judge(one.outcomes, how, entry.points or "")
    except ValueError as error:
        yield f"outcomes: {error}"
        return
    for run, right, value, n in zip(other.runs, judged.gives(other.runs), judged.values, judged.counted, strict=True):
        if not right:
            yield f"outcomes: seed {run.seed}: they give {value:.6g} of {n}, but the number is {run.value} of {run.n}"


# ---- the table's numbers -------------------------------------------------------------------------


def _wrong_results(entry: Entry, track: Track) -> Iterator[str]:
    """Yield where the table's numbers are not means over cells, or their summaries not those of the seeds."""
    if len(entry.results) != len(track.all_columns):
        yield f"results: {len(entry.results)}, but the track has {len(track.all_columns)} columns"
        return
    for place, (column, result) in enumerate(zip(track.all_columns, entry.results, strict=True)):
        yield from _wrong_column(f"results.{place}", column, result)
        if any(len(cell.results) <= place for cell in entry.cells):
            continue
        known = summarize([cell.results[place] for cell in entry.cells])
        if not _same_runs(result, known):
            yield f"results.{place}.runs: not the mean over the entry's cells"
        claimed = summary(result.metric, result.runs)
        for name, value in claimed.items():
            if not _equal(getattr(result, name), value):
                yield f"results.{place}.{name}: {getattr(result, name)}, but its runs give {value}"
    if entry.results[0].mean is None:
        yield "results.0: what entries are ranked by has no value for some seed"
    elif track.rank.on == "log" and not track.is_reference(entry.name) and min(entry.values) <= 0:
        yield f"results.0: {min(entry.values):g} in some seed; numbers that are compared as ratios are above 0"


def _same_runs(one: Numbers, two: Numbers) -> bool:
    pairs = zip(one.runs, two.runs, strict=True)
    return one.where == two.where and all(
        (a.seed, a.k, a.n) == (b.seed, b.k, b.n) and _equal(a.value, b.value) for a, b in pairs
    )


def _equal(claimed, known) -> bool:
    """Return whether two values are equal up to the round-off by which versions of NumPy may differ."""
    if claimed is None or known is None:
        return claimed is known
    if isinstance(known, tuple):
        return all(map(_equal, claimed, known))
    return isclose(claimed, known, rel_tol=1e-9, abs_tol=1e-12)


def _wrong_mini(mini: Mini, track: Track, cells: Mapping[str, Cell]) -> Iterator[str]:
    """Yield where the small runs of an entry are not those that its cells and the track's `mini` give."""
    if [run.label for run in mini.runs] != list(cells):
        yield f"mini: the small runs of {', '.join(run.label for run in mini.runs)}, not of {', '.join(cells)}"
        return
    for run, cell in zip(mini.runs, cells.values(), strict=True):
        try:
            known = run_id(track.of_seed(track.small(cell), mini.seed), mini.seed)
        except NtkbenchError as error:
            yield f"mini: {error}"
            continue
        if run.run_id != known:
            yield f"mini.run_id: {run.run_id} is not the small run, which is {known}"
        if len(run.numbers) != len(track.measured):
            yield f"mini.numbers: {len(run.numbers)}, but the track has {len(track.measured)} columns and requirements"
