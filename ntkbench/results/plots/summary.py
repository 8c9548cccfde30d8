"""Draw an experiment in one picture: its first metrics with intervals over seeds, a row for each cell of the matrix.

The report of a spec begins with it.

    made = figure({"transfer_rate": grid(records, ["transfer_rate"])})
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import AutoLocator, FixedLocator, NullLocator, StrMethodFormatter

from ntkbench.labels import as_number
from ntkbench.results.plots import style
from ntkbench.results.show import Grid
from ntkbench.spec.extensions import known_metrics

METRICS = 3
"""most metrics of the picture"""
_ROWS = 36
"""most rows of a metric: longer tables are no summary"""
_ROW, _AROUND = 0.13, 0.62
"""height of a row, and of title, axis and legend of a metric, in inches"""
_WIDE = 30
"""most characters of a row's name"""


def figure(tables: Mapping[str, Grid]) -> Figure | None:
    """Return a picture of the first tables with values, by the names of their metrics; None where there is none."""
    shown = {metric: table for metric, table in tables.items() if 0 < len(_rows(table)) <= _ROWS}
    shown = dict(list(shown.items())[:METRICS])
    if not shown:
        return None
    heights = [_ROW * max(3, len(_rows(table))) + _AROUND for table in shown.values()]
    with style.applied():
        made = Figure(figsize=(1.5 * style.WIDTH, sum(heights)), layout="constrained")
        axes = made.subplots(len(shown), squeeze=False, height_ratios=heights).ravel()
        for at, (metric, table) in zip(axes, shown.items(), strict=True):
            _fill(at, metric, table)
    return made


def _rows(table: Grid) -> list[tuple[tuple[str, ...], list[Mapping | None]]]:
    """Return the rows of a table that have a mean, each with its labels; what has none is None."""
    rows = [(labels, [row if _has_mean(row) else None for row in line]) for labels, line in table.lines]
    return [(labels, line) for labels, line in rows if any(line)]


def _has_mean(row: Mapping | None) -> bool:
    """Return whether a cell of a table has a mean; an incomplete one has None or NaN."""
    return row is not None and row["mean"] is not None and bool(np.isfinite(row["mean"]))


def _fill(axes: Axes, metric: str, table: Grid) -> None:
    """Draw a metric: rows of the table from above, a color for each of its columns, which stand below one another."""
    rows, columns = _rows(table), _chosen(len(table.columns))
    for place, column in enumerate(columns):
        found = [(y, line[column]) for y, (_, line) in enumerate(rows)]
        aside = 0.5 * (place - (len(columns) - 1) / 2) / max(len(columns), 1)
        _points(
            axes,
            np.array([y + aside for y, row in found if row]),
            [row for _, row in found if row],
            color=style.COLORS[place],
            marker=style.MARKERS[place],
            label=style.plain(table.columns[column]),
        )
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [_name(table.axes, labels) for labels, _ in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_title(metric)
    _scale(axes, metric)
    if len(columns) > 1:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def _chosen(columns: int) -> list[int]:
    """Return which columns are drawn: all, or as many as there are colors, the first and the last among them."""
    return np.unique(np.linspace(0, columns - 1, min(columns, len(style.COLORS))).round().astype(int)).tolist()


def _points(axes: Axes, y: np.ndarray, rows: Sequence[Mapping], **look: str) -> None:
    """Draw means with their intervals over seeds, where there are several."""
    mean = np.array([row["mean"] for row in rows], float)
    low, high = (_ends(rows, end, mean) for end in ("ci_low", "ci_high"))
    ends = np.maximum(np.stack([mean - low, high - mean]), 0.0)
    axes.errorbar(mean, y, xerr=ends, linestyle="none", markersize=3, elinewidth=0.6, **look)  # type: ignore[arg-type]


def _ends(rows: Sequence[Mapping], name: str, mean: np.ndarray) -> np.ndarray:
    """Return ends of intervals; the mean itself where there is none."""
    ends = np.array([np.nan if row[name] is None else row[name] for row in rows], float)
    return np.where(np.isfinite(ends), ends, mean)


def _name(axes: Sequence[str], labels: Sequence[str]) -> str:
    """Return the name of a row, shortened in the middle: its labels, numbers behind the name of their axis."""
    told = zip(axes, labels, strict=True)
    said = [label if as_number(label) is None else f"{axis.rpartition('.')[2]} {label}" for axis, label in told]
    text = ", ".join(filter(None, said))
    text = text if len(text) <= _WIDE else f"{text[: _WIDE // 2]}…{text[-_WIDE // 2 + 1 :]}"
    return style.plain(text)


def _scale(axes: Axes, metric: str) -> None:
    """Set the axis of values: from end to end where the metric has two, otherwise what the means need."""
    low, high = known_metrics()[metric].range if metric in known_metrics() else (-np.inf, np.inf)
    if np.isfinite(low) and np.isfinite(high):
        rim = 0.03 * (high - low)
        axes.set_xlim(low - rim, high + rim)
        axes.xaxis.set_major_locator(FixedLocator(np.linspace(low, high, 5).tolist()))
    else:
        axes.xaxis.set_major_locator(AutoLocator())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.4g}"))
    axes.grid(axis="y", linewidth=0.3, color=style.GRAY, alpha=0.4)
