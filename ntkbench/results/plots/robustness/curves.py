"""Draw lines of shares that fall as an attacker may do more: one axes with a line for each cell, or for each attack."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from ntkbench.results.plots import style
from ntkbench.results.plots.axes import share_axis
from ntkbench.results.plots.intervals import Shares, over_seeds
from ntkbench.results.plots.study import Panel

LINES = len(style.COLORS)
"""most lines of one axes"""
_STEP = 0.02
"""distance in inches between lines beside one another"""


@dataclass(frozen=True)
class Curve:
    """Shares at rising strengths of the attacker."""

    x: np.ndarray
    of: Shares


def curve(counts: Mapping[float, Sequence[int]], n: int) -> Curve:
    """Return the shares of `n` test points at each strength; `counts`: how many are right, for each seed."""
    x = sorted(counts)
    return Curve(np.array(x), over_seeds(np.array([counts[at] for at in x]).T, n))


def line(axes: Axes, of: Curve, shift: float = 0.0, **style: Any) -> None:
    """Draw a line with bars for the intervals; `style` goes to `Axes.errorbar`.

    `shift`: how many small steps to the right, so that no bar hides another.
    """
    aside = ScaledTranslation(_STEP * shift, 0.0, axes.figure.dpi_scale_trans)
    style = {"elinewidth": 0.6, "capsize": 1.5, "transform": axes.transData + aside} | style
    axes.errorbar(of.x, of.of.value, yerr=of.of.bars, **style)


def gap(axes: Axes, below: Curve, above: Sequence[Curve]) -> None:
    """Shade what lies between a curve and the lowest of some others, as far as all of them reach."""
    reach = min(of.x.max() for of in (below, *above))
    x = np.unique([at for of in (below, *above) for at in of.x if at <= reach])
    lowest, other = np.min([_at(of, x) for of in above], axis=0), _at(below, x)
    axes.fill_between(x, other, np.maximum(lowest, other), color=style.GRAY, alpha=0.25, linewidth=0)


def _at(of: Curve, x: np.ndarray) -> np.ndarray:
    """Return where a curve is drawn at some strengths: on straight lines between its points."""
    return np.interp(x, of.x, of.of.value)


def beside(curves: Mapping[str, Curve], floor: Mapping[str, float]) -> tuple[Figure, list[Axes]]:
    """Draw all curves, `LINES` of them in each axes, with a legend of their names at its right.

    `floor`: for each curve the share of the largest class.
    """
    names = list(curves)
    parts = [names[first : first + LINES] for first in range(0, len(names), LINES)]
    figure, axes = style.panels(len(parts), columns=1, height=2.0 if len(parts) == 1 else 1.45, spare=0.45)
    for at, part in zip(axes, parts, strict=True):
        for level in {floor[name] for name in part}:
            floor_line(at, level)
        looks = zip(part, style.COLORS, style.MARKERS, strict=False)
        for place, (name, color, mark) in enumerate(looks):
            line(at, curves[name], place - (len(part) - 1) / 2, color=color, marker=mark, label=name)
        share_axis(at)
        if any(part):
            at.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="95 % intervals" if at is axes[0] else None)
    return figure, axes


def floor_line(axes: Axes, level: float, **style_of_line: Any) -> None:
    """Draw the share of the largest class, which nobody needs a predictor for."""
    axes.axhline(level, color=style.GRAY, linewidth=0.6, linestyle="dashed", zorder=0, **style_of_line)


def right(panel: Panel) -> int:
    """Return how many clean test points the predictor of an analysis has right."""
    return next(row.k for row in panel.rows("accuracy") if row.k is not None)


def points(panel: Panel) -> int:
    """Return the number of test points of an analysis that keeps no series of it."""
    return next(row.n for row in panel.rows("accuracy") if row.n is not None)


def majority(panel: Panel) -> float:
    """Return the share of the largest class among the test points."""
    return next(row.value for row in panel.rows("majority_rate") if row.value is not None)


def about(seeds: Sequence[Sequence[Panel]], n: set[int]) -> str:
    """Return the sentences of a caption that say what values and intervals are.

    Args:
        seeds: the runs of each cell.
        n: numbers of test points.
    """
    on = f"n = {', '.join(map(str, sorted(n)))} test points"
    counts = sorted({len(each) for each in seeds})
    if counts == [1]:
        return f"Bars: Wilson's 95 % intervals over {on}."
    return f"Means over {', '.join(map(str, counts))} seeds with 95 % intervals over seeds and test points; {on}."
