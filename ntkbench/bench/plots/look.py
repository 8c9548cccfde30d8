"""How every picture looks: as wide as a paper's column, seven points, colors that all eyes can tell apart."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 3.3
"""inches"""
POINTS = 7
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK, GRAY = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#808080",
)  # fmt: skip
"""Okabe and Ito, without their yellow, which vanishes on white"""
COLORS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P")
CLEAN, ROBUST = BLUE, VERMILLION
MAP = "viridis"
RUG: Mapping[str, Any] = MappingProxyType({"marker": "|", "markersize": 4, "markeredgewidth": 0.3, "linestyle": "none"})
"""small ticks along an axis"""

_RULES: Mapping[str, Any] = MappingProxyType(
    {
        "font.size": POINTS,
        "axes.labelsize": POINTS,
        "axes.titlesize": POINTS,
        "xtick.labelsize": POINTS,
        "ytick.labelsize": POINTS,
        "legend.fontsize": POINTS,
        "legend.title_fontsize": POINTS,
        "figure.labelsize": POINTS,
        "figure.titlesize": POINTS,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlepad": 3,
        "axes.labelpad": 2,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.minor.width": 0.4,
        "ytick.minor.width": 0.4,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "xtick.minor.size": 1.5,
        "ytick.minor.size": 1.5,
        "xtick.major.pad": 2,
        "ytick.major.pad": 2,
        "lines.linewidth": 1,
        "lines.markersize": 2.5,
        "legend.frameon": False,
        "legend.handlelength": 1.6,
        "legend.borderaxespad": 0.2,
        "legend.columnspacing": 1.2,
        "legend.labelspacing": 0.25,
        "figure.constrained_layout.h_pad": 0.02,
        "figure.constrained_layout.w_pad": 0.02,
        "savefig.dpi": 300,
        "pdf.fonttype": 42,  # letters, not outlines: editable, and what publishers ask for
        "svg.hashsalt": "ntkbench",  # the same names inside the file each time
    }
)
_UNDATED: Mapping[str, Mapping[str, None]] = MappingProxyType(
    {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
)
FORMATS = tuple(_UNDATED)


@contextmanager
def applied() -> Iterator[None]:
    """Draw like this inside, whatever the user's own settings are."""
    with matplotlib.style.context(["default", dict(_RULES)]):
        yield


def panels(count: int, *, columns: int, height: float, spare: float = 0.0, **shared: Any) -> tuple[Figure, list[Axes]]:
    """A figure with `count` axes of `height` inches, and `spare` inches for what stands around them."""
    columns = min(columns, count)
    rows = ceil(count / columns)
    figure = Figure(figsize=(WIDTH, rows * height + spare), layout="constrained")
    shared = {"sharex": True, "sharey": True} | shared
    axes = list(figure.subplots(rows, columns, squeeze=False, **shared).ravel())
    for empty in axes[count:]:
        empty.set_visible(False)
    for above in axes[max(0, count - columns) : count]:  # with nothing below: they show the shared labels
        above.xaxis.set_tick_params(labelbottom=True)
    return figure, axes[:count]


def plain(text: str) -> str:
    """A label of a spec as it stands there: between two dollars it would be a formula."""
    return text.replace("$", r"\$")


def save(figure: Figure, path: Path) -> None:
    """Write the picture; the same picture is the same file."""
    form = path.suffix[1:]
    figure.savefig(path, format=form, metadata=dict(_UNDATED[form]))
