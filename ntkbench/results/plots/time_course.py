"""Pictures of the analysis `time`: accuracy of kernel regression along gradient-flow time and along the ridge."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ntkbench.results.plots import style
from ntkbench.results.plots.axes import log_axis, places, share_axis
from ntkbench.results.plots.intervals import band, shares
from ntkbench.results.plots.study import Panel, Picture, PlottedAnalysis, ball, count, figures_of


def pictures(study: PlottedAnalysis, budgets: Sequence[str]) -> Iterator[Picture]:
    """Yield, for each budget, a picture against the time and one against the ridge."""
    for sheet, panels in figures_of(study.panels):
        for eps in budgets:
            attack = f"{panels[0].attack['kind']} on the predictor itself, {ball(panels[0], eps)}"
            end = f"{count(panels)} test points, Wilson 95 % intervals. {study.provenance(panels)}"
            yield Picture(
                f"flow-eps-{eps}-{sheet}",
                _figure(panels, eps, "time", "time t of the flow (1 / eigenvalue)"),
                f"Accuracy of f_t, clean and under {attack}, against the time t of gradient flow; the ticks below are "
                f"1 / eigenvalue, when each feature is learned. {end}",
            )
            yield Picture(
                f"ridge-eps-{eps}-{sheet}",
                _figure(panels, eps, "ridge", "ridge r (unit of the eigenvalues)"),
                f"Accuracy of kernel regression, clean and under {attack}, against the ridge r; the ticks below are "
                f"the eigenvalues. {end}",
            )


def _figure(panels: Sequence[Panel], eps: str, along: str, label: str) -> Figure:
    """Draw clean and robust accuracy with a panel for each run.

    Args:
        panels: the runs.
        eps: perturbation budget of the robust accuracy.
        along: `time` or `ridge`, the quantity on the x axis.
        label: label of that axis.
    """
    few, one = len(panels) <= 3, len(panels) == 1
    figure, axes = style.panels(len(panels), columns=1 if few else 2, height=2.0 if one else 1.35, spare=0.6)
    every = np.concatenate([panel[along] for panel in panels])
    for at, panel in zip(axes, panels, strict=True):
        _curves(at, panel, eps, along, places(panel[along], every))
        at.set_title(panel.label)
    log_axis(axes[0], every)
    figure.supxlabel(label)
    figure.supylabel("accuracy")
    handles = [
        Line2D([], [], label=name, color=color, marker=mark)
        for name, color, mark in (("clean", style.CLEAN, "o"), (f"ε = {eps}", style.ROBUST, "s"))
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, title=f"95 % intervals, {count(panels)}")
    return figure


def _curves(axes: Axes, panel: Panel, eps: str, along: str, x: np.ndarray) -> None:
    """Fill one panel; `x` are the places of its times or ridges on the axis.

    Ticks below mark the scale of each feature: 1 / eigenvalue along time, the eigenvalue along the ridge.
    """
    n = panel.n_test
    order = np.argsort(x)
    for counts, color, mark in (
        (panel[f"{along}_clean"], style.CLEAN, "o"),
        (panel[f"{along}_robust"][panel.at(eps)], style.ROBUST, "s"),
    ):
        band(axes, x[order], shares(counts[order], n), color=color, marker=mark)
    eigenvalues = panel["eigenvalue"][panel["eigenvalue"] > 0]
    scale = 1 / eigenvalues if along == "time" else eigenvalues
    height = np.full(len(scale), 0.03)
    axes.plot(scale, height, color=style.GRAY, transform=axes.get_xaxis_transform(), **style.RUG)
    share_axis(axes)
