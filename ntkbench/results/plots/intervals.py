"""Shares of test points and means over seeds with their 95 % intervals, and the marks that draw them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ntkbench.uncertainty import Bounds, from_counts, interval, summary, wilson

DENSE = 128
"""number of points from which on a band is clearer than bars"""


@dataclass(frozen=True)
class Shares:
    """Estimates with the ends of their 95 % intervals: three arrays of one shape."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def bars(self) -> np.ndarray:
        """Return the lengths of the intervals below and above the estimates, (2, ...)."""
        return np.maximum(np.stack([self.value - self.low, self.high - self.value]), 0.0)


def shares(counts: np.ndarray, n: int) -> Shares:
    """Return the shares k/n for the `counts` k of `n` test points, with Wilson's intervals (Wilson 1927)."""
    kinds, back = np.unique(counts, return_inverse=True)
    ends = np.array([wilson(int(k), n) for k in kinds]).reshape(-1, 2)[back]
    return Shares(counts / n, ends[..., 0], ends[..., 1])


def means(values: np.ndarray, bounds: Bounds) -> Shares:
    """Return means over the first axis of `values`, (seeds, ...), with intervals inside of `bounds`.

    The intervals are those of `statistics.mean_interval`; of one seed they have no width.
    """
    found = [summary(list(of_seeds), bounds) for of_seeds in values.reshape(len(values), -1).T]
    ends = np.array([each.interval or (each.mean, each.mean) for each in found]).reshape(*values.shape[1:], 2)
    return Shares(values.mean(axis=0), ends[..., 0], ends[..., 1])


def over_seeds(counts: np.ndarray, n: int) -> Shares:
    """Return the means over seeds of shares of `n` test points, of which `counts`, (seeds, ...), are right.

    The intervals are over seeds and test points: where all seeds agree, as on a kernel that no seed changes, they are
    those of the points. Of one seed they are those of `shares`.
    """
    ends = [interval(from_counts(k, [n] * len(k))) for k in counts.reshape(len(counts), -1).T.tolist()]
    low, high = np.moveaxis(np.array(ends).reshape(*counts.shape[1:], 2), -1, 0)
    return Shares((counts / n).mean(axis=0), low, high)


def bars(axes: Axes, x: np.ndarray, of: Shares, **style: Any) -> None:
    """Draw points with bars for their intervals; `style` goes to `Axes.errorbar`."""
    style = {"linestyle": "none", "marker": "o", "markersize": 2, "elinewidth": 0.6} | style
    axes.errorbar(x, of.value, yerr=of.bars, **style)


def band(axes: Axes, x: np.ndarray, of: Shares, **style: Any) -> None:
    """Draw a line in a band of its intervals; `style` goes to `Axes.plot`."""
    (line,) = axes.plot(x, of.value, **style)
    axes.fill_between(x, of.low, of.high, color=line.get_color(), alpha=0.2, linewidth=0)


def points(axes: Axes, x: np.ndarray, of: Shares, **style: Any) -> None:
    """Draw points with bars where they are fewer than `DENSE`, and in a band where they are not."""
    if len(x) < DENSE:
        bars(axes, x, of, **style)
    else:
        band(axes, x, of, **style | {"linestyle": "none", "marker": ".", "markersize": 1})
