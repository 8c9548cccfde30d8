"""Pictures of the analysis `certificate`: certified accuracy and accuracy under an attack, against the radius."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ntkbench.results.plots import style
from ntkbench.results.plots.axes import budget_axis, share_axis
from ntkbench.results.plots.intervals import band, shares
from ntkbench.results.plots.study import NORMS, Panel, Picture, PlottedAnalysis, count, figures_of


def pictures(study: PlottedAnalysis, budgets: Sequence[str]) -> Iterator[Picture]:
    """Yield a picture of all radii; `budgets` chooses nothing."""
    for sheet, panels in figures_of(study.panels):
        norm = NORMS[panels[0].asked.get("norm", "linf")]
        attack = panels[0].attack.get("kind")
        above = f", and accuracy under {attack} on the predictor itself; nothing is known of the shaded gap" * bool(
            attack
        )
        yield Picture(
            f"radius-{sheet}" if sheet else "radius",
            _figure(panels, norm),
            f"Certified accuracy against the {norm} radius{above}. {count(panels)} test points, Wilson 95 % intervals. "
            f"{study.provenance(panels)}",
        )


def _figure(panels: Sequence[Panel], norm: str) -> Figure:
    """Draw a panel for each run; `norm` as the axis names it."""
    few, one = len(panels) <= 3, len(panels) == 1
    figure, axes = style.panels(len(panels), columns=1 if few else 2, height=2.0 if one else 1.35, spare=0.6)
    for at, panel in zip(axes, panels, strict=True):
        _curves(at, panel)
        at.set_title(panel.label)
    budget_axis(axes[0], [eps for panel in panels for eps in panel.asked["eps"]])
    figure.supxlabel(f"{norm} radius ε (pixels in [0, 1])")
    figure.supylabel("accuracy")
    handles: list[Line2D | Patch] = [Line2D([], [], label="certified", color=style.CLEAN, marker="o")]
    if any("robust" in panel.series for panel in panels):
        handles += [
            Line2D([], [], label="under attack", color=style.ROBUST, marker="s"),
            Patch(label="not known", color=style.GRAY, alpha=0.3, linewidth=0),
        ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, title=f"95 % intervals, {count(panels)}")
    return figure


def _curves(axes: Axes, panel: Panel) -> None:
    """Fill one panel, from radius 0, where both are the clean accuracy, to the largest radius."""
    x = np.array([0.0, *panel["eps"]])
    certified = np.array([panel["clean"], *panel["certified"]])
    if "robust" in panel.series:
        robust = np.array([panel["clean"], *panel["robust"]])
        axes.fill_between(x, certified / panel.n_test, robust / panel.n_test, color=style.GRAY, alpha=0.3, linewidth=0)
        band(axes, x, shares(robust, panel.n_test), color=style.ROBUST, marker="s")
    band(axes, x, shares(certified, panel.n_test), color=style.CLEAN, marker="o")
    share_axis(axes)
