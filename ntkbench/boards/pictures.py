"""Pictures of a leaderboard: its rows with their intervals, and the ranking metric against another column.

The site of leaderboards puts them into its pages as SVG.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from string import ascii_lowercase
from types import MappingProxyType
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkbench.boards.entry import Result
from ntkbench.boards.standings import Board, Standing
from ntkbench.results.plots import style as plots_style
from ntkbench.results.plots.intervals import Shares
from ntkbench.results.plots.study import Picture

MOST = 40
"""most rows of one picture"""
_LETTERS = 30
"""most characters of a name"""
_COLORS = "blue: not significantly different from the best; orange: references and entries that nobody has run again"
"""what captions say of the colors, see `_colored`"""
_TEXT: Mapping[str, Any] = MappingProxyType({"svg.fonttype": "none", "text.parse_math": False})
"""text stays text, in the fonts of the page around it, and a dollar in a name does not begin a formula"""


@contextmanager
def applied() -> Iterator[None]:
    """Draw inside the context as on a page: the look of all pictures, with text that stays text."""
    with plots_style.applied(), matplotlib.style.context(dict(_TEXT)), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the reader's fonts have more letters than matplotlib's
        yield


def pictures(board: Board) -> Iterator[Picture]:
    """Yield the ranking and, where a second column has values, a scatter plot; nothing of a board without rows."""
    lines = board.lines[:MOST]
    if not lines:
        return
    rank = board.track.rank.title
    whose = f"the first {len(lines)} of {len(board.lines)} rows" if len(lines) < len(board.lines) else "all rows"
    about = f"{rank[0].upper()}{rank[1:]} of {whose}, with 95 % intervals"
    lettered = ", letters tell which is which" if len(lines) <= len(ascii_lowercase) else ""
    yield Picture("ranking", _ranking(lines, rank), f"{about}; {_COLORS}{lettered}.")
    scattered = [line for line in lines if line.entry is not None]
    place = _other(board, scattered)
    if place is not None:
        title = board.track.columns[place - 1].title
        caption = f"{about}, against {title} (mean over seeds)."
        yield Picture("scatter", _scatter(lines, place, rank, title), caption)


def _other(board: Board, lines: Sequence[Standing]) -> int | None:
    """Return the place among an entry's results of the column to plot the ranking metric against, or None.

    It is the first accuracy that two rows have, since robustness is weighed against it, or else the first such column.
    """
    columns = sorted(enumerate(board.track.columns, 1), key=lambda column: column[1].metric != "accuracy")
    known = (place for place, _ in columns if sum(_result(line, place) is not None for line in lines) > 1)
    return next(known, None)


def _result(line: Standing, place: int) -> Result | None:
    """Return the result of a row in a column, or None where it has no mean."""
    result = line.entry.results[place] if line.entry is not None else None
    return result if result is not None and result.mean is not None else None


def _ranking(lines: Sequence[Standing], title: str) -> Figure:
    """Draw the rows from the best down, each with the interval of its estimate."""
    figure, (axes,) = plots_style.panels(1, columns=1, height=0.17 * len(lines) + 0.2, spare=0.25)
    places = np.arange(len(lines))
    of = _shares(lines)
    for color, chosen in _colored(lines):
        at = Shares(of.value[chosen], of.low[chosen], of.high[chosen])
        _bars(axes, at.value, places[chosen], color, xerr=at.bars, elinewidth=1)
    names = [_short(line.name) for line in lines]
    letters = _letters(lines)
    axes.set_yticks(places, [f"{name}  {letter}".rstrip() for name, letter in zip(names, letters, strict=True)])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=plots_style.GRAY, alpha=0.3, linewidth=0.4)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(title)
    return figure


def _scatter(lines: Sequence[Standing], place: int, rank: str, title: str) -> Figure:
    """Draw the ranking metric against the results at `place`, with intervals of both."""
    figure, (axes,) = plots_style.panels(1, columns=1, height=2.4)
    known = [(line, result) for line in lines if (result := _result(line, place)) is not None]
    shown, x = [line for line, _ in known], _mean_over_seeds([result for _, result in known])
    y = _shares(shown)
    for color, chosen in _colored(shown):
        below, right = (Shares(of.value[chosen], of.low[chosen], of.high[chosen]) for of in (y, x))
        _bars(axes, right.value, below.value, color, xerr=right.bars, yerr=below.bars, elinewidth=0.4)
    letters = dict(zip((line.name for line in lines), _letters(lines), strict=True))
    for a, b, line in zip(x.value, y.value, shown, strict=True):
        axes.annotate(letters[line.name], (a, b), (2, 2), textcoords="offset points")
    axes.set_xlabel(title)
    axes.set_ylabel(rank)
    return figure


def _shares(lines: Sequence[Standing]) -> Shares:
    """Return the estimates that rows are ranked by; an end of an interval that is infinite or unknown is the
    estimate."""
    value = np.array([line.value for line in lines])
    ends = np.array([line.interval or (line.value, line.value) for line in lines])
    low, high = np.where(np.isfinite(ends), ends, value[:, None]).T
    return Shares(value, low, high)


def _mean_over_seeds(results: Sequence[Result]) -> Shares:
    """Return the means over seeds of a column with their intervals."""
    value = np.array([result.mean for result in results], float)
    low, high = np.array([result.ci95 or (result.mean, result.mean) for result in results], float).T
    return Shares(value, low, high)


def _colored(lines: Sequence[Standing]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each color and which rows have it, (rows,): those that lead, other ranked ones, those without a rank."""
    leads, ranked = np.array([line.leads for line in lines]), np.array([line.ranks is not None for line in lines])
    yield plots_style.BLUE, leads
    yield plots_style.GRAY, ranked & ~leads
    yield plots_style.ORANGE, ~ranked


def _bars(axes: Axes, x: np.ndarray, y: np.ndarray, color: str, **style: Any) -> None:
    axes.errorbar(x, y, linestyle="none", marker="o", markersize=3, color=color, **style)


def _letters(lines: Sequence[Standing]) -> Sequence[str]:
    """Return a letter for each row, or empty texts where there are not enough letters."""
    return ascii_lowercase[: len(lines)] if len(lines) <= len(ascii_lowercase) else [""] * len(lines)


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else name[: _LETTERS - 1] + "…"
