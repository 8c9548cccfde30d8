"""Compare two leaderboard entries, or two cells of specs: every number they share, with interval and p value.

    one, two = (side.find(f"spec.yaml:width={width}", folder, store) for width in (64, 256))
    print(compare(one, two))

Below the table it says whether both were measured under one protocol, and every field in which they differ. The method
depends on what both kept: outcomes per test point, counts, or one number a seed; `uncertainty` has the formulas.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ntkbench.boards.comparand import Comparand, key
from ntkbench.boards.entry import Result
from ntkbench.boards.tracks.track import differing, fields, read, shown
from ntkbench.errors import UsageError
from ntkbench.labels import same_label
from ntkbench.render import decimal, markdown, mean_sd, table
from ntkbench.results.terminal import fitted
from ntkbench.spec.extensions import metric
from ntkbench.text import one_line
from ntkbench.uncertainty import Difference, Estimate, difference, from_counts, from_influence, from_seeds, holm

Form = Literal["terminal", "plain", "md"]
_DIGITS = 3
_LISTED = 20
"""number of shared metrics that a message lists where none fits what was asked for"""
PAIRED = "paired: seeds and the same test points"
POINTS = "unpaired: seeds and test points"
COUNTS = "unpaired: seeds and counts"
SEEDS = "unpaired: seeds alone (Welch)"
FEW = "too few seeds: no interval"
MEANINGS = {
    PAIRED: "outcomes at the same test points are subtracted from each other, seeds are independent",
    POINTS: "test points are treated as independent samples; the interval is too wide if they are the same",
    COUNTS: "only counts are known for one of the sides, so that the interval is too wide",
    SEEDS: "no function of outcomes per test point: the interval covers seeds and not test points",
    FEW: "a number of one seed without outcomes shows no variance",
}
"""by method, what it assumes, as a note below the table"""


@dataclass(frozen=True)
class Row:
    """A number that both sides have: `what` it is, its results, the method of comparison, and the difference.

    `found` is None where there are too few seeds for an interval.
    """

    what: str
    one: Result
    two: Result
    method: str
    found: Difference | None


def compare(
    a: Comparand,
    b: Comparand,
    *,
    paired: bool = True,
    metrics: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    form: Form = "plain",
) -> str:
    """Return the comparison as text.

    Args:
        a: the first side; differences are `a` less `b`.
        b: the second side.
        paired: whether test points are taken as the same on both sides.
        metrics: metrics to show; empty: all.
        where: labels that the numbers must have; None: any.
        form: plain text, fitted into the terminal or not, or Markdown.

    Raises:
        UsageError: if the sides share no such number, or are to be paired and were judged on different test points.
    """
    for name in metrics:
        metric(name)
    found = rows(a, b, paired, metrics, where or {})
    if not found:
        raise UsageError(_nothing(a, b, rows(a, b, paired)))
    escape = markdown if form == "md" else _plain
    told = [escape(line) for line in (*a.notes, *b.notes, *_protocol(a, b))]
    title = f"{escape(a.name)} less {escape(b.name)}"
    gap = "  \n" if form == "md" else "\n"
    return f"{title}\n\n{_table(found, form)}\n\n{gap.join([*_notes(found), '', *told])}".rstrip()


def rows(
    a: Comparand, b: Comparand, paired: bool, metrics: Sequence[str] = (), where: Mapping[str, str] | None = None
) -> list[Row]:
    """Return a row for each number that both sides have, with the given metrics and labels if there are any.

    Two numbers are the same if metric, revision and labels are equal.
    """
    others = {key(result): result for result in b.results}
    if paired:
        _pairable(a, b)
    return [
        Row(_what(one), one, others[key(one)], *_difference(a, b, one, others[key(one)], paired))
        for one in a.results
        if key(one) in others and (not metrics or one.metric in metrics) and _is_about(one, where or {})
    ]


def _is_about(result: Result, where: Mapping[str, str]) -> bool:
    """Return whether a result has these labels; 0.2 and 1/5 are one label."""
    return all(name in result.where and same_label(str(result.where[name]), label) for name, label in where.items())


def _nothing(a: Comparand, b: Comparand, shared: Sequence[Row]) -> str:
    """Return the message that nothing is left to compare, with the numbers that the sides share."""
    if not shared:
        return f"{a.name} and {b.name} share no number"
    listed = "\n".join(f"  {row.what}" for row in shared[:_LISTED])
    more = f"\n  and {len(shared) - _LISTED} more" if len(shared) > _LISTED else ""
    return f"{a.name} and {b.name} share no number of these; they share\n{listed}{more}"


def _pairable(a: Comparand, b: Comparand) -> None:
    """Raise UsageError if a number that both sides kept outcomes of was judged on different test points."""
    shared = a.outcomes.keys() & b.outcomes.keys()  # if there is nothing to pair, the methods say so
    if any(a.outcomes[each].points != b.outcomes[each].points for each in shared):
        raise UsageError(
            f"{a.name} and {b.name} were judged on different test points and cannot be paired; "
            "--unpaired compares them as two samples"
        )


def _difference(a: Comparand, b: Comparand, one: Result, two: Result, paired: bool) -> tuple[str, Difference | None]:
    """Return the method that suits what both sides kept of a number, and the difference that it finds.

    In this order: outcomes per test point, counts k of n of every seed, values of two seeds or more.
    """
    kept = [side.outcomes[key(one)] for side in (a, b) if key(one) in side.outcomes]
    if len(kept) == 2:
        estimates = [from_influence(each.values, each.influence, float(np.mean(each.counted))) for each in kept]
        return PAIRED if paired else POINTS, difference(*estimates, paired=paired)
    counted = [_counted(result) for result in (one, two)]
    if all(counted):
        return COUNTS, difference(*filter(None, counted), paired=False)
    values = [[run.value for run in result.runs if run.value is not None] for result in (one, two)]
    if any(len(each) < len(result.runs) or len(each) < 2 for each, result in zip(values, (one, two), strict=True)):
        return FEW, None
    return SEEDS, difference(*map(from_seeds, values), paired=False)


def _counted(result: Result) -> Estimate | None:
    """Return the estimate from counts; None unless every seed has them."""
    counts = [(run.k, run.n) for run in result.runs if run.k is not None and run.n]
    return from_counts(*zip(*counts, strict=True)) if len(counts) == len(result.runs) else None


def _table(found: Sequence[Row], form: Form) -> str:
    """Return the rows as a table; with several tests, p values corrected for their number (Holm 1979) too."""
    corrected = iter(holm([float(row.found.p) for row in found if row.found]).tolist())
    several = sum(row.found is not None for row in found) > 1
    headers = ["", "first", "second", "difference", "95 % interval", "p", *(["p, Holm"] if several else []), "method"]
    body = [
        [
            row.what,
            _value(row.one),
            _value(row.two),
            *_numbers(row.found, next(corrected) if row.found and several else None, several),
            row.method,
        ]
        for row in found
    ]
    escape = markdown if form == "md" else _plain
    cells = [[escape(cell) for cell in line] for line in body]
    return fitted(headers, cells) if form == "terminal" else table(headers, cells, form)


def _numbers(found: Difference | None, corrected: float | None, several: bool) -> list[str]:
    """Return the cells of a difference: its mean, its interval, p, and with `several` tests the corrected p."""
    if found is None:
        return ["–"] * (4 if several else 3)
    low, high = (decimal(float(end), _DIGITS) for end in (found.low, found.high))
    ps = [found.p] if corrected is None else [found.p, corrected]
    return [f"{float(found.mean):+z.{_DIGITS}f}", f"[{low}, {high}]", *(_p(float(p)) for p in ps)]


def _p(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def _value(result: Result) -> str:
    return "–" if result.mean is None else mean_sd(result.mean, result.sd, len(result.runs), _DIGITS)


def _notes(found: Sequence[Row]) -> list[str]:
    """Return the notes below the table: what mean, p and each method that occurs stand for."""
    tests = sum(row.found is not None for row in found)
    lines = [
        "mean ± standard deviation over seeds (number of seeds); of one seed, intervals are over test points alone"
    ]
    if tests > 1:
        lines.append(f"p: of each comparison alone; p, Holm: corrected for these {tests}")
    return lines + [f"{method}: {MEANINGS[method]}" for method in dict.fromkeys(row.method for row in found)]


def _protocol(a: Comparand, b: Comparand) -> Iterator[str]:
    """Yield whether both sides were measured under one protocol, then a line for each field that differs.

    The protocol is the same if nothing differs that the track, on which one of them is, has frozen.
    """
    one, two = (_fields(side) for side in (a, b))
    differ = differing(one, two)
    tracks = sorted({side.track for side in (a, b) if side.track})
    board = next((side.board for side in (a, b) if side.board), None)
    if len(tracks) > 1:
        yield f"protocol: {' and '.join(tracks)} are different tracks; all that differs is below"
    elif board is None:
        yield "protocol: no track has rules for both; all that differs is below"
    elif frozen := list(dict.fromkeys(read(board).frozen_of(each.rpartition(": ")[2] for each in differ))):
        yield f"protocol: NOT the same, {', '.join(frozen)} differ, which {board.name} has frozen"
    else:
        yield f"protocol: the same, nothing that {board.name} has frozen differs"
    for each in differ:
        yield f"differs: {each}: {shown(one, each)} | {shown(two, each)}"
    if a.seeds != b.seeds:
        yield f"differs: seeds: {_list(a.seeds)} | {_list(b.seeds)}"
    for name in ("software", "device"):
        yield from _facts(name, getattr(a, name), getattr(b, name))


def _fields(side: Comparand) -> dict[str, Any]:
    """Return all fields of a side's cells by their paths; those of several cells begin with the label of the target."""
    return {
        f"{label}: {path}" if label else path: value
        for label, cell in side.cells.items()
        for path, value in fields(cell).items()
    }


def _facts(name: str, one: Sequence[dict], two: Sequence[dict]) -> Iterator[str]:
    """Yield the facts `name`, such as software, that differ; all of them if a side's own seeds have different ones."""
    if len(one) == len(two) == 1:
        for each in differing(one[0], two[0]):
            yield f"differs: {name}.{each}: {shown(one[0], each)} | {shown(two[0], each)}"
    elif one != two:
        yield f"differs: {name}: {json.dumps(one)} | {json.dumps(two)}"


def _plain(text: str) -> str:
    return one_line(text, 1000)


def _list(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _what(result: Result) -> str:
    return " ".join([result.metric, *(f"{name}={label}" for name, label in result.where.items())])
