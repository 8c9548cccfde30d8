"""Axes of shares, of budgets, and logarithmic ones on which index 0, time infinity and ridge 0 have a place."""

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import FuncNorm
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from ntkbench.labels import as_number

INDEX = "feature index (0: largest eigenvalue)"
"""label of an axis of feature indices"""


def index_axis(axes: Axes, last: int) -> None:
    """Make the x axis logarithmic in index + 1, from 0 to the index `last`."""
    axes.set_xscale("function", functions=(np.log1p, np.expm1))
    axes.set_xlim(-0.15, (last + 1) * 1.08)
    axes.xaxis.set_major_locator(FixedLocator(index_ticks(last)))
    axes.xaxis.set_minor_locator(NullLocator())


def index_norm(last: int) -> FuncNorm:
    """Return a normalization of colors that is logarithmic in index + 1, from 0 to the index `last`."""
    return FuncNorm((np.log1p, np.expm1), vmin=0, vmax=max(last, 1))


def index_ticks(last: int) -> list[int]:
    """Return the ticks 0, 1, 10, 100, ... up to `last`."""
    return [0, *(10**power for power in range(len(str(max(last, 1)))))]


def share_axis(axes: Axes) -> None:
    """Make the y axis run from 0 to 1, with room for what lies on the ends."""
    axes.set_ylim(-0.03, 1.03)
    axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def budget_axis(axes: Axes, budgets: Iterable[str]) -> None:
    """Make the x axis one of perturbation budgets, from 0 to the largest of `budgets`, texts such as 8/255.

    Ticks are multiples of 1/255, a step of a pixel, where a budget is written so.
    """
    budgets = list(budgets)
    steps = 255 if any(int(of) % 255 == 0 for eps in budgets if (of := eps.partition("/")[2]).isdigit()) else 1
    largest = max(as_number(eps) or 0.0 for eps in budgets) * steps
    ticks = [tick for tick in MaxNLocator(5, steps=[1, 2, 4, 5, 10]).tick_values(0, largest) if tick <= largest * 1.01]
    names = [f"{tick:g}/255" if steps == 255 and tick else f"{tick:g}" for tick in ticks]
    axes.set_xlim(-0.06 * largest / steps, 1.06 * largest / steps)
    axes.set_xticks([tick / steps for tick in ticks], names)
    axes.xaxis.set_minor_locator(NullLocator())


def places(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return where values stand on a logarithmic axis, in an array of their shape.

    Positive finite values stand where they are, 0 half a decade below the least of those in `among`, infinity half a
    decade above the largest.
    """
    inside = among[np.isfinite(among) & (among > 0)]
    low, high = (inside.min(), inside.max()) if len(inside) else (1.0, 1.0)
    return np.where(values == 0, low / 10**0.5, np.where(np.isinf(values), high * 10**0.5, values))


def log_axis(axes: Axes, values: np.ndarray) -> None:
    """Make the x axis logarithmic, with few powers of ten as ticks; 0 and infinity among `values` have ticks of their
    own."""
    at = places(values, values)
    low, high = at.min(), at.max()
    axes.set_xscale("log")
    axes.set_xlim(low / 10**0.2, high * 10**0.2)
    inside = LogLocator(numticks=6).tick_values(low, high)
    ends = {float(at[values == end][0]): text for end, text in ((0, "0"), (np.inf, "∞")) if (values == end).any()}
    free = [tick for tick in inside if low <= tick <= high and all(abs(np.log10(tick / end)) > 0.9 for end in ends)]
    axes.xaxis.set_major_locator(FixedLocator([*free, *ends]))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda tick, _: ends.get(float(tick), f"$10^{{{round(np.log10(tick))}}}$"))
    )
    axes.xaxis.set_minor_locator(NullLocator())
