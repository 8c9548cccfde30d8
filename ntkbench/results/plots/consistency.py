"""Pictures of the analysis `consistency`: how far several kernels agree on the same training set.

Heat maps show the agreement of top eigenspaces by two measures, curves the cosine of the input gradients of features
that are matched by index.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ntkbench.results.plots import style as plots_style
from ntkbench.results.plots.axes import INDEX, index_axis, share_axis
from ntkbench.results.plots.study import Panel, Picture, PlottedAnalysis, count, figures_of
from ntkbench.vocabulary import LINEAR


@dataclass(frozen=True)
class _Measure:
    """A measure of the agreement of two eigenspaces, and how its heat map is drawn."""

    name: str
    """name of its series, and of the picture"""
    title: str
    unit: str
    highest: float
    """largest value that it can have; 0 is the smallest"""
    colors: str
    """matplotlib's name of the color map"""
    form: str
    """format of the numbers that are written into the map"""


_OVERLAP = _Measure("overlap", "overlap", "mean squared cosine", 1.0, plots_style.MAP, ".2f")
# Reversed colors, as a small angle is agreement: bright means agreement in both maps.
_ANGLE = _Measure("angle", "largest principal angle", "degrees", 90.0, f"{plots_style.MAP}_r", ".0f")


def pictures(study: PlottedAnalysis, budgets: Sequence[str]) -> Iterator[Picture]:
    """Yield a heat map for each measure, with all cells as rows, and the gradient cosines with a panel for each cell.

    Cells that were compared with other kernels or at other sizes have pictures of their own. There is nothing to draw
    at a budget: `budgets` is unused.
    """
    seeds: dict[str, list[Panel]] = {}
    for panel in study.panels:
        seeds.setdefault(panel.cell, []).append(panel)
    alike = list(_alike([_mean(panels) for panels in seeds.values()]))
    for rows in alike:
        runs = [panel for row in rows for panel in seeds[row.cell]]
        apart = rows[0].cell if len(alike) > 1 else ""
        for measure in (_OVERLAP, _ANGLE):
            yield Picture(
                f"{measure.name}-{apart}",
                _maps(rows, measure),
                f"{measure.title.capitalize()} ({measure.unit}) between the top eigenspaces of the kernel "
                f"{rows[0].asked['target']} of each row and of those of the columns, on the same training set; linear "
                f"is the kernel <x, x'>, up to its rank. {_seeds(runs, rows)}{study.provenance(runs)}",
            )
        for sheet, panels in figures_of(rows):
            yield Picture(
                f"gradients-{sheet or apart}",
                _cosines(panels),
                "Mean absolute cosine between the input gradients of features of the same index, of the kernel "
                f"{panels[0].asked['target']} and others, over {count(panels)} test points. "
                f"{_seeds(runs, rows)}{study.provenance([run for panel in panels for run in seeds[panel.cell]])}",
            )


def _mean(seeds: Sequence[Panel]) -> Panel:
    """Return the panel of a cell, with the means of its series over the seeds: they may draw the training set."""
    first = seeds[0]
    shared = set.intersection(*(set(panel.series) for panel in seeds))
    series = {name: np.mean([panel[name] for panel in seeds], axis=0) for name in first.series if name in shared}
    whole = {name: first[name] for name in ("top", "feature", "n_test") if name in series}
    return replace(first, label=first.cell if len(seeds) > 1 else first.label, series={**series, **whole})


def _seeds(runs: Sequence[Panel], rows: Sequence[Panel]) -> str:
    """Return the sentence of a caption that says what the numbers are means of; empty where each is of one run."""
    return f"Means over {len(runs) / len(rows):g} seeds of each row. " if len(runs) > len(rows) else ""


def _alike(cells: Sequence[Panel]) -> Iterator[list[Panel]]:
    """Yield groups of cells that can share a map: compared with the same kernels, at the same sizes."""
    groups: dict[tuple, list[Panel]] = {}
    for panel in cells:
        groups.setdefault((*panel.asked["against"], *panel["top"]), []).append(panel)
    yield from groups.values()


def _maps(panels: Sequence[Panel], measure: _Measure) -> Figure:
    """Draw an axes for each size k of the top eigenspace: rows are cells, columns other kernels, the linear one
    last."""
    top, against = panels[0]["top"], list(panels[0].asked["against"])
    control = f"linear_{measure.name}"  # which records of earlier versions do not have
    controlled = all(control in panel.series for panel in panels)
    height = 0.17 * len(panels) + 0.3
    figure, axes = plots_style.panels(len(top), columns=2, height=height, spare=0.9)
    colors = ScalarMappable(Normalize(0, measure.highest), measure.colors)
    for place, (at, k) in enumerate(zip(axes, top, strict=True)):
        values = np.stack([panel[measure.name][:, place] for panel in panels])
        if controlled:
            values = np.column_stack([values, [panel[control][0, place] for panel in panels]])
        at.imshow(values, cmap=measure.colors, vmin=0, vmax=measure.highest, aspect="auto", interpolation="nearest")
        _write(at, values, measure)
        at.set_title(f"top {k}")
        names = [*against, *([LINEAR] if controlled else [])]
        at.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
        at.set_yticks(range(len(panels)), [panel.label or panel.asked["target"] for panel in panels])
        at.tick_params(length=0)
        at.spines[:].set_visible(False)
    bar = figure.colorbar(colors, ax=axes, location="top", fraction=0.08, aspect=40, pad=0.02)
    bar.set_label(f"{measure.title} of top eigenspaces ({measure.unit})")
    bar.outline.set_visible(False)  # type: ignore[operator]
    return figure


def _write(axes: Axes, values: np.ndarray, measure: _Measure) -> None:
    """Write the numbers into a map that has at most five columns, in a color that stands out."""
    if values.shape[1] > 5:
        return
    dark = measure.highest / 2
    for (row, column), value in np.ndenumerate(values):
        if np.isnan(value):
            continue  # the linear kernel has no space of so many dimensions
        bright = value > dark if measure is _OVERLAP else value < dark
        text = format(value, measure.form)
        axes.text(column, row, text, ha="center", va="center", color=plots_style.BLACK if bright else "white")


def _cosines(panels: Sequence[Panel]) -> Figure:
    """Draw mean |cosine| of the input gradients against the feature index: a panel for each cell, a line for each
    kernel."""
    few, one = len(panels) <= 3, len(panels) == 1
    figure, axes = plots_style.panels(len(panels), columns=1 if few else 2, height=2.0 if one else 1.35, spare=0.6)
    for at, panel in zip(axes, panels, strict=True):
        for place, (name, cosine) in enumerate(zip(panel.asked["against"], panel["gradient_cosine"], strict=True)):
            style = {"color": plots_style.COLORS[place % 6], "marker": plots_style.MARKERS[place % 6], "label": name}
            at.plot(panel["feature"], cosine, **style)
        at.set_title(panel.label)
        index_axis(at, int(panel["feature"].max()))
        share_axis(at)
    figure.supxlabel(INDEX)
    figure.supylabel("mean |cosine| of input gradients")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside upper center", ncols=2 if len(names) == 4 else 3, title=f"against, {count(panels)}"
    )
    return figure
