"""Make one table of many records: choose the numbers, lay their axes out, average over seeds, and write it down.

    show(records, metrics=["transfer_rate"], where={"eps": "8/255"}, column="width")

`ntkbench show` prints the text of `show`; the report takes the `Grid`, plots the numbers of `select`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ntkbench import render
from ntkbench.errors import UsageError
from ntkbench.labels import CHECKS, FIXED, label_key, same_label
from ntkbench.plan.runs import Run
from ntkbench.results.export import exact
from ntkbench.results.tables import aggregate, measured, runs
from ntkbench.results.terminal import fitted
from ntkbench.spec.extensions import in_order, known_metrics, metric
from ntkbench.spec.notation import FIT, POISON
from ntkbench.store import failed_checks, kept
from ntkbench.store.record import Record
from ntkbench.text import did_you_mean, one_line

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["terminal", "md", "csv", "latex", "json", "plain"]
DEFAULT_DENOMINATOR = "target_correct"
"""the denominator of transfer rates that is shown where none is asked for"""
BESIDE = "majority_rate"
"""metric that accuracies have to beat: said below a table of them, and a column only where it is asked for"""
HEADLINES = ("transfer_rate", "eigenspace_robustness", "eigenspace_overlap", "kernel_drift")
"""metrics that are shown where none is asked for"""
_UNSAID = frozenset(("spec", "seed", "analysis", "metric", "source"))
"""axes that a caption leaves out where they do not vary"""
_REDUNDANT = ("source", "analysis", "target")
"""axes that are left out where the others tell them"""
_AXES = frozenset(("spec", "seed", "analysis", "metric"))
"""fixed columns that tell numbers apart"""


@dataclass(frozen=True)
class Selection:
    """Frames of numbers and of the runs that they are of (`tables.numbers`, `tables.runs`), after the filters."""

    numbers: "pd.DataFrame"
    runs: "pd.DataFrame"

    @property
    def axes(self) -> list[str]:
        """Columns by which numbers can be told apart: the axes of the matrix, and what numbers are about."""
        columns = dict.fromkeys((*self.runs, *self.numbers))
        return [name for name in columns if name in _AXES or name not in FIXED]

    def labels(self, axis: str) -> list[str]:
        """Return the labels along an axis in order: numbers by value, then words."""
        frame = self.runs if axis in self.runs else self.numbers
        return sorted({str(label) for label in frame[axis].unique()}, key=label_key)


@dataclass(frozen=True)
class Grid:
    """A table of summaries over seeds."""

    axes: tuple[str, ...]
    """axes whose labels stand at the left of each line"""
    columns: tuple[str, ...]
    lines: tuple[tuple[tuple[str, ...], tuple[Mapping | None, ...]], ...]
    """labels along the axes, and a summary for each column; None where nothing is measured"""
    caption: tuple[str, ...]


def show(
    records: Iterable[Record],
    *,
    metrics: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    rows: Sequence[str] = (),
    column: str | None = None,
    form: Format = "md",
    planned: Sequence[Run] | None = None,
    digits: int = 2,
) -> str:
    """Return the table as text. Axes that vary and are not named become rows: only seeds are averaged.

    Args:
        records: the records to choose from
        metrics: names of metrics; by default the headlines (transfer_rate, ...), or all there are
        where: labels to keep, by axis: `{"eps": "8/255", "width": "512"}`
        rows: axes of the rows, before all others that vary
        column: the axis of the columns; by default the metric or the budget
        form: terminal, md, plain and latex round; csv and json have all digits and a line for each number
        planned: the runs to expect; without it, the records are taken for all there should be
        digits: digits after the point

    Raises UsageError where there are no runs, or no such metric, axis or label.
    """
    records = list(records)
    if form not in ("csv", "json"):
        return _text(grid(records, metrics, where, rows, column, planned), form, digits)
    chosen = select(records, metrics, where or {}, (*rows, column), planned)
    row_axes, column = layout(chosen, rows, column)
    axes = [*row_axes, *([column] if column else [])]
    axes += [axis for axis in chosen.axes if axis not in (*axes, "seed") and any(chosen.labels(axis))]
    return exact(_summary(chosen, axes), form)


def grid(
    records: Sequence[Record],
    metrics: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    rows: Sequence[str] = (),
    column: str | None = None,
    planned: Sequence[Run] | None = None,
) -> Grid:
    """Return the table that `show` writes down, for whoever writes it in another form."""
    chosen = select(records, metrics, where or {}, (*rows, column), planned)
    row_axes, column = layout(chosen, rows, column)
    summary = _summary(chosen, [*row_axes, *([column] if column else [])])
    names = chosen.labels("metric")
    columns = chosen.labels(column) if column else [", ".join(names) or "runs"]
    lines: dict[tuple[str, ...], dict[str, Mapping]] = {}
    for row in summary.to_dict("records"):
        line = lines.setdefault(tuple(str(row[axis]) for axis in row_axes), {})
        line[str(row[column]) if column else columns[0]] = row
    titles = [f"{column} {label}" if column and column != "metric" else label for label in columns]
    body = [(labels, tuple(line.get(each) for each in columns)) for labels, line in lines.items()]
    caption = [*_caption(chosen, names, _majority(records, chosen, names)), *_gaps(summary, chosen.runs)]
    if failed := failed_checks.summary(records):
        caption.append(f"{failed_checks.MARK} {failed}" if any(summary[CHECKS]) else failed)
        caption += failed_checks.meanings(records)
    return Grid(tuple(row_axes), tuple(titles), tuple(body), tuple(caption))


def _summary(chosen: Selection, axes: Sequence[str]) -> "pd.DataFrame":
    """Return a row of `tables.aggregate` for each cell of the axes, sorted by labels."""
    summary = aggregate(chosen.numbers, chosen.runs, axes)
    return summary.sort_values(axes, key=lambda labels: labels.map(label_key)) if axes else summary


def select(
    records: Sequence[Record],
    metrics: Sequence[str],
    where: Mapping[str, str],
    axes: Sequence[str | None] = (),
    planned: Sequence[Run] | None = None,
) -> Selection:
    """Return the numbers that are asked for; UsageError, with what there is, for an unknown metric, axis or label."""
    of = runs(records, planned)
    if not len(of):
        raise UsageError("there are no runs to show; `ntkbench run SPEC` makes some")
    everything = measured(records, of)
    kinds = Selection(_latest(everything.kinds), of)  # a row a kind of number: a row a number would take long
    for name in (*filter(None, axes), *where):
        _known(name, kinds)
    if "denominator" in kinds.numbers and "denominator" not in (*axes, *where):
        where = {**where, "denominator": DEFAULT_DENOMINATOR}
    chosen = Selection(everything.numbers(_with_metrics(kinds, metrics).numbers.index.tolist()), of)
    for name, label in where.items():
        chosen = _filtered(chosen, name, label)
    return chosen


def _latest(found: "pd.DataFrame") -> "pd.DataFrame":
    """Return the numbers of the latest revision of each metric's definition: other revisions do not compare."""
    return found.loc[found["revision"] == found.groupby("metric")["revision"].transform("max")]


def layout(chosen: Selection, rows: Sequence[str], column: str | None) -> tuple[list[str], str | None]:
    """Return the axes of the rows and the axis of the columns: the given ones, then all others that vary."""
    varying = [axis for axis in chosen.axes if axis != "seed" and _varies(chosen, axis)]
    if column is None:
        column = next((axis for axis in ("metric", "eps") if axis in varying and axis not in rows), None)
    named = list(rows) if column is None or column in rows else [*rows, column]
    others = [axis for axis in varying if axis not in named]
    for axis in _REDUNDANT:
        rest = [*named, *(other for other in others if other != axis)]
        if axis in others and axis not in chosen.runs and _determine(chosen.numbers, axis, rest):
            others.remove(axis)
    return [axis for axis in [*named, *others] if axis != column], column


def _varies(chosen: Selection, axis: str) -> bool:
    """Return whether an axis has several labels in one metric, or among the runs.

    A metric that an axis says nothing about (clean accuracy has no budget) does not make the axis vary.
    """
    if axis in chosen.runs:
        return len(chosen.labels(axis)) > 1
    within = chosen.numbers.groupby("metric")[axis].nunique().gt(1).any()
    return bool(within) or sum(map(bool, chosen.labels(axis))) > 1


def _determine(frame: "pd.DataFrame", axis: str, by: Sequence[str]) -> bool:
    """Return whether the labels along the axes `by` determine the label along `axis`."""
    several = len(frame[[*by, axis]].drop_duplicates())
    return several == (len(frame[[*by]].drop_duplicates()) if by else 1)


def _known(name: str, chosen: Selection) -> None:
    if name not in chosen.axes:
        raise UsageError(f"no run has an axis {name!r}{did_you_mean(name, chosen.axes)}")


def _with_metrics(everything: Selection, metrics: Sequence[str]) -> Selection:
    """Return the numbers of these metrics; without a name, those of the headlines, or of all but how images were
    poisoned and networks fitted."""
    there = in_order(names := set(everything.numbers["metric"].unique()))
    for name in metrics:
        if name not in names and metric(name) and there:
            raise UsageError(f"no run measures {name}; they measure {', '.join(there)}")
    if metrics:
        return Selection(everything.numbers.loc[everything.numbers["metric"].isin(metrics)], everything.runs)
    asked = everything.numbers.loc[~everything.numbers["analysis"].isin((FIT, POISON))]
    names = set(asked["metric"].unique())
    wanted = names.intersection(HEADLINES) or names - {BESIDE}
    return Selection(asked.loc[asked["metric"].isin(wanted)], everything.runs)


def _filtered(chosen: Selection, name: str, label: str) -> Selection:
    """Return what carries the label, and the numbers that the axis says nothing about."""
    labels = chosen.labels(name)
    wanted = [each for each in labels if same_label(each, str(label))]
    if not wanted and any(labels):
        raise UsageError(f"no run has {name} {label}; there are {', '.join(filter(None, labels))}")
    wanted.append("")
    of = chosen.runs.loc[chosen.runs[name].astype(str).isin(wanted)] if name in chosen.runs else chosen.runs
    kept = chosen.numbers.loc[chosen.numbers[name].astype(str).isin(wanted)]
    return Selection(kept, of)


def _text(grid: Grid, form: str, digits: int) -> str:
    escape = render.markdown if form == "md" else str
    body = [
        [*map(escape, labels), *("" if row is None else cell(row, digits) for row in line)]
        for labels, line in grid.lines
    ]
    headers = [escape(header) for header in (*grid.axes, *grid.columns)]
    text = fitted(headers, body) if form == "terminal" else render.table(headers, body, form)
    if form == "md":
        caption = [f"{render.markdown(line)}  " for line in grid.caption]
    else:
        caption = [("% " if form == "latex" else "") + one_line(line, 1000) for line in grid.caption]
    return text + "\n\n" + "\n".join(caption) + "\n"


def cell(row: Mapping, digits: int) -> str:
    """Return a summary as `0.61 ± 0.02 (5)`, or how much is missing or undefined; marked where checks failed."""
    return _number(row, digits) + (failed_checks.MARK if row.get(CHECKS) else "")


def _number(row: Mapping, digits: int) -> str:
    if row["mean"] != row["mean"] or row["mean"] is None:
        if row["undefined"] and row["n"] + row["undefined"] == row["expected"]:
            return render.undefined(int(row["n"]), int(row["expected"]))
        return render.missing(int(row["n"]), int(row["expected"]))
    sd = None if row["sd"] is None or row["sd"] != row["sd"] else row["sd"]
    return render.mean_sd(row["mean"], sd, int(row["n"]), digits)


def _majority(records: Sequence[Record], chosen: Selection, names: Sequence[str]) -> str:
    """Return a line with the accuracy of always naming the largest class; empty where a table has no use for it."""
    if BESIDE in names or not any(name.endswith(("accuracy", "robustness")) for name in names):
        return ""
    here = set(chosen.runs["run_id"])
    values = kept.numbers([record for record in records if record.run_id in here]).of(BESIDE)
    found = sorted({f"{value:.3g}" for value in values}, key=float)
    return f"always naming the largest class scores {' to '.join(found[:: max(1, len(found) - 1)])}" if found else ""


def _gaps(summary: "pd.DataFrame", of: "pd.DataFrame") -> list[str]:
    """Return lines that explain the cells without a mean, of the runs `of`."""
    lines, without = [], summary.loc[summary["mean"].isna()]
    if (without["n"] + without["undefined"] < without["expected"]).any():
        ended = of.loc[~of["status"].isin(("ok", "missing")), "status"].value_counts(sort=False).items()
        told = "".join(f"; here {n} {status}, `ntkbench status` shows why" for status, n in ended)
        lines.append(f"– (3/5): three of five runs are there; an incomplete cell has no mean{told}")
    if reasons := list(dict.fromkeys(filter(None, without["reason"]))):
        lines.append(f"undefined (3/5): three of five runs have no value; here {'; '.join(reasons)}")
    return lines


def _caption(chosen: Selection, names: Sequence[str], majority: str) -> list[str]:
    lines = []
    for name in names:
        if name not in known_metrics():
            lines.append(f"{name}: no installed package declares this metric, so that its unit and range are not known")
            continue
        word = metric(name)
        better = f", {word.better} is better" if word.higher_is_better is not None else ""
        lines.append(f"{name} ({word.unit}{better}): {word.meaning}")
        if (old := chosen.numbers.loc[chosen.numbers["metric"] == name, "revision"].max()) < word.revision:
            lines[-1] += f"; but these are by revision {old}, an earlier definition; run the spec again in a new store"
    constant = {axis: [label for label in chosen.labels(axis) if label] for axis in chosen.axes if axis not in _UNSAID}
    if said := [f"{axis} {labels[0]}" for axis, labels in constant.items() if len(labels) == 1]:
        lines.append(f"all with {', '.join(said)}")
    lines += filter(None, ["mean ± standard deviation over seeds (number of seeds)", majority])
    return lines
