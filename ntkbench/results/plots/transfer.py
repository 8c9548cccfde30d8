"""Pictures of numbers along an axis of the matrix, mostly width: transfer rates, and metrics of other packages.

`pictures` draws the analysis `transfer`, `declared` any analysis whose class declares metrics.
Points are means over seeds with 95 % intervals. The rate of the attack stands between those of a floor (such as random
signs) and of a ceiling (such as an attack on the target itself).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ntkbench.labels import FIXED, as_number, label_key
from ntkbench.results.plots.study import MOST, Picture, PlottedAnalysis, ball
from ntkbench.results.plots.style import BLUE, COLORS, GRAY, MARKERS, VERMILLION, panels, plain
from ntkbench.results.show import select
from ntkbench.results.tables import aggregate, groups
from ntkbench.vocabulary import Metric

if TYPE_CHECKING:
    import pandas as pd

_MOST_TICKS = 20
"""labels that stand beside each other along an axis"""
_ROLES = (("attack", BLUE, "o", "-"), ("ceiling", VERMILLION, "^", "--"), ("floor", GRAY, "s", ":"))
"""field of the analysis, color, marker and line style of each attack"""


@dataclass(frozen=True)
class _Results:
    """Summaries over seeds of one metric: a table for each panel, with a row for each label along `axis` and attack."""

    axis: str
    """name of the matrix axis that is drawn along; empty where the matrix has none with two labels"""
    labels: tuple[str, ...]
    """labels along this axis, in the order in which they are drawn"""
    panels: Mapping[str, "pd.DataFrame"]
    """by the panel's title: the rows of `tables.aggregate` that it shows"""
    about: tuple[str, ...] = ()
    """labels in which the lines of a panel differ"""

    @cached_property
    def numeric(self) -> bool:
        """Return whether all labels are positive numbers, so that the axis can be logarithmic."""
        return all((as_number(label) or 0.0) > 0 for label in self.labels)

    def place(self, label: str) -> float:
        """Return where a label stands on the x axis: its number, or its position among the labels."""
        return as_number(label) or 0.0 if self.numeric else self._positions[label]

    @cached_property
    def _positions(self) -> Mapping[str, float]:
        """Return the positions of the labels, from 0 on."""
        return {label: float(place) for place, label in enumerate(self.labels)}

    @property
    def seeds(self) -> str:
        """Return how many seeds are behind each point, as captions have it: `n = 3 seeds`."""
        counts = sorted({int(n) for frame in self.panels.values() for n in frame["n"]})
        return f"n = {', '.join(map(str, counts))} seed{'s' if counts != [1] else ''}"


def pictures(study: PlottedAnalysis, budgets: Sequence[str]) -> Iterator[Picture]:
    """Yield, for each budget, the transfer rates in panels and, with a ceiling and a floor, the normalized transfer."""
    panel = study.panels[0]
    asked = {role: panel.asked[role] for role, *_ in _ROLES if panel.asked.get(role)}
    for eps in budgets:
        at = f"at {ball(panel, eps)}; points are means over seeds, bars 95 % intervals, none where there is one seed"
        rates = _results(study, "transfer_rate", {"eps": eps}, ["attack"])
        for sheet, part in _sheets(rates):
            yield Picture(
                f"rate-eps-{eps}-{sheet}",
                _rates(part, asked, eps),
                "Transfer rate (share of the test points that the target had right and that the attack turns wrong) "
                f"of {', '.join(f'{name} ({role})' for role, name in asked.items())} {at}; {part.seeds}. "
                f"Spec {study.spec}, analysis {study.analysis}.",
            )
        if "ceiling" in asked and "floor" in asked:
            for sheet, part in _sheets(_results(study, "normalized_transfer", {"eps": eps}, ["attack"])):
                yield Picture(
                    f"normalized-eps-{eps}-{sheet}",
                    _normalized(part, asked["attack"], eps),
                    f"Transfer of {asked['attack']} on the scale where {asked['floor']} is 0 and {asked['ceiling']} is "
                    f"1, {at}; {part.seeds}. Spec {study.spec}, analysis {study.analysis}.",
                )


def declared(study: PlottedAnalysis, metrics: Iterable[Metric]) -> Iterator[Picture]:
    """Yield a picture of each of the metrics that the analysis measures, with a line for each thing it is about."""
    measured = {row.metric for panel in study.panels for row in panel.record.metrics if row.analysis == study.analysis}
    for metric in (each for each in metrics if each.name in measured):
        for sheet, part in _sheets(_results(study, metric.name, {})):
            better = "" if metric.higher_is_better is None else f", {metric.better} is better"
            yield Picture(
                f"{metric.name}-{sheet}" if sheet else metric.name,
                _numbers(part, metric),
                f"{metric.name} ({metric.unit}{better}): {metric.meaning}; points are means over seeds, bars 95 % "
                f"intervals, none where there is one seed; {part.seeds}. Spec {study.spec}, analysis {study.analysis}.",
            )


def _numbers(results: _Results, metric: Metric) -> Figure:
    """Draw the means of a metric with an axes for each panel, and a line for each label that tells numbers apart."""
    few, one = len(results.panels) <= 3, len(results.panels) == 1
    figure, axes = panels(len(results.panels), columns=1 if few else 2, height=2.0 if one else 1.3, spare=0.5)
    lines = list(dict.fromkeys(name for frame in results.panels.values() for name in groups(frame, results.about)))
    middle = (len(lines) - 1) / 2
    for at, (name, frame) in zip(axes, results.panels.items(), strict=True):
        for about, own in groups(frame, results.about).items():
            place = lines.index(about)
            style = {"color": COLORS[place % len(COLORS)], "marker": MARKERS[place % len(MARKERS)]}
            _line(at, results, own, place - middle, **style, label=_panel_title(results.about, about))
        at.set_title(name)
    _axis(axes[0], results)
    figure.supxlabel(plain(results.axis.rpartition(".")[2]))
    figure.supylabel(plain(f"{metric.name} ({metric.unit})"))
    if len(lines) > 1:
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=3)
    return figure


def _results(
    study: PlottedAnalysis, metric: str, where: Mapping[str, str], about: Sequence[str] | None = None
) -> _Results:
    """Return the summaries of the numbers of a metric with the labels `where`: the matrix is split into an axis to draw
    along and panels; the labels `about` tell lines apart, by default all others that vary."""
    records = [panel.record for panel in study.panels]
    chosen = select(records, [metric], {"analysis": study.analysis, **where}, (), study.planned)
    matrix = [name for name in chosen.runs if name not in FIXED]
    others = [name for name in chosen.axes if name not in matrix and name not in FIXED and len(chosen.labels(name)) > 1]
    about = others if about is None else about
    axis = _along({name: chosen.labels(name) for name in matrix})
    summary = aggregate(chosen.numbers, chosen.runs, [*matrix, *about]).dropna(subset=["mean"])
    others = [name for name in matrix if name != axis and len(chosen.labels(name)) > 1]
    panels = {_panel_title(others, key): frame for key, frame in groups(summary, others).items() if len(frame)}
    labels = [str(label) for label in chosen.runs[axis].unique()] if axis else [""]
    if all(as_number(label) is not None for label in labels):
        labels.sort(key=label_key)
    return _Results(axis, tuple(labels), panels, tuple(about))


def _along(axes: Mapping[str, Sequence[str]]) -> str:
    """Return the axis to draw along: the width, or the numeric axis with most labels, or any; empty without one.

    `axes`: the labels of each axis by its name.
    """
    numeric = {name for name, labels in axes.items() if all(as_number(label) is not None for label in labels)}
    order = sorted(axes, key=lambda name: (name == "width", name in numeric, len(axes[name])), reverse=True)
    return next((name for name in order if len(axes[name]) > 1), "")


def _panel_title(axes: Sequence[str], labels: Sequence[str]) -> str:
    """Return the title of a panel, from its labels on the axes that distinguish panels."""
    said = (
        label if as_number(label) is None else f"{axis.rpartition('.')[2]} {label}"
        for axis, label in zip(axes, labels, strict=True)
    )
    return plain(", ".join(said))


def _sheets(results: _Results) -> Iterator[tuple[str, _Results]]:
    """Yield name and results of each picture; nothing where no cell is complete and has values."""
    if not results.panels:
        return
    if len(results.panels) <= MOST:
        yield "", results
    else:
        yield from ((name, replace(results, panels={name: frame})) for name, frame in results.panels.items())


def _rates(results: _Results, asked: Mapping[str, str], eps: str) -> Figure:
    """Draw transfer rates with an axes for each panel and a line for each attack; `asked`: ids of attacks by role."""
    few, one = len(results.panels) <= 3, len(results.panels) == 1
    figure, axes = panels(len(results.panels), columns=1 if few else 2, height=2.0 if one else 1.3, spare=0.5)
    for at, (name, frame) in zip(axes, results.panels.items(), strict=True):
        for place, (role, color, mark, line) in enumerate(_ROLES):
            if role in asked:
                own = frame.loc[frame["attack"] == asked[role]]
                told = f"{asked[role]} ({role})" if role != "attack" else asked[role]
                _line(at, results, own, place - 1.0, color=color, marker=mark, linestyle=line, label=told)
        at.set_title(name)
        at.set_ylim(-0.03, 1.03)
    _axis(axes[0], results)
    figure.supxlabel(plain(results.axis.rpartition(".")[2]))
    figure.supylabel(f"transfer rate at ε = {eps}")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3, title=f"95 % intervals, {results.seeds}")
    return figure


def _normalized(results: _Results, attack: str, eps: str) -> Figure:
    """Draw the normalized transfer (0: floor, 1: ceiling) in one axes, with a line for each panel."""
    figure, (axes,) = panels(1, columns=1, height=2.2, spare=0.3)
    for level in (0, 1):
        axes.axhline(level, color=GRAY, linewidth=0.6, linestyle="dotted", zorder=0)
    middle = (len(results.panels) - 1) / 2
    for place, (name, frame) in enumerate(results.panels.items()):
        style = {"color": COLORS[place], "marker": MARKERS[place], "label": name or attack}
        _line(axes, results, frame, place - middle, **style)
    _axis(axes, results)
    axes.set_xlabel(plain(results.axis.rpartition(".")[2]))
    axes.set_ylabel(f"normalized transfer at ε = {eps}")
    figure.legend(loc="outside upper center", ncols=3, title=f"0: floor, 1: ceiling; 95 % intervals, {results.seeds}")
    return figure


def _line(axes: Axes, results: _Results, frame: "pd.DataFrame", shift: float, **style: Any) -> None:
    """Draw means with intervals along the axis; `shift`: by how many small steps aside, so that no bar hides
    another."""
    x = np.array([results.place(str(label)) for label in (frame[results.axis] if results.axis else [""] * len(frame))])
    order = np.argsort(x)
    x, frame = x[order], frame.iloc[order]
    x = x * 1.04**shift if results.numeric else x + 0.05 * shift
    mean = frame["mean"].to_numpy(float)
    ends = np.stack([mean - frame["ci_low"].to_numpy(float), frame["ci_high"].to_numpy(float) - mean])
    axes.errorbar(x, mean, yerr=ends if np.isfinite(ends).all() else None, elinewidth=0.6, capsize=1.5, **style)


def _axis(axes: Axes, results: _Results) -> None:
    """Scale the axis and name its labels: all of them, or where they are too many to be read, round numbers or some."""
    if results.numeric:
        axes.set_xscale("log")
    if results.numeric and len(results.labels) > _MOST_TICKS:
        axes.xaxis.set_major_formatter("{x:g}")
    else:
        named = results.labels[:: -(-len(results.labels) // _MOST_TICKS)]
        axes.set_xticks([results.place(label) for label in named], [plain(label) for label in named])
    axes.xaxis.set_minor_locator(NullLocator())
