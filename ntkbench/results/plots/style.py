"""The look of all pictures: the width of a paper's column, text of seven points, colors for color-blind eyes too.

    with applied():
        figure, axes = panels(4, columns=2, height=1.35)

Drawing and saving both stand inside `applied`, since matplotlib reads some settings when it writes a file.
"""

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
"""width of a figure in inches"""
POINTS = 7
"""size of all text in points"""
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK, GRAY = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#808080",
)  # fmt: skip
"""colors of Okabe and Ito without their yellow, which vanishes on white"""
COLORS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
"""colors of lines, in the order in which they are used"""
MARKERS = ("o", "s", "^", "D", "v", "P")
"""markers of lines, in the same order"""
CLEAN, ROBUST = BLUE, VERMILLION
MAP = "viridis"
"""color map of heat maps"""
RUG: Mapping[str, Any] = MappingProxyType({"marker": "|", "markersize": 4, "markeredgewidth": 0.3, "linestyle": "none"})
"""style of small ticks along an axis"""

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
"""metadata to leave out for each file format, so that equal pictures are equal files"""
FORMATS = tuple(_UNDATED)
"""file formats that pictures can have"""


@contextmanager
def applied() -> Iterator[None]:
    """Draw in this look inside the context, whatever the user's matplotlib settings are."""
    with matplotlib.style.context(["default", dict(_RULES)]):
        yield


def panels(count: int, *, columns: int, height: float, spare: float = 0.0, **shared: Any) -> tuple[Figure, list[Axes]]:
    """Return a figure with `count` axes in a grid.

    Args:
        count: number of axes.
        columns: number of columns, at most.
        height: height of a row in inches.
        spare: inches to add for what stands around the axes, such as labels and a legend.
        shared: arguments of `Figure.subplots`; axes share both scales by default.
    """
    columns = min(columns, count)
    rows = ceil(count / columns)
    figure = Figure(figsize=(WIDTH, rows * height + spare), layout="constrained")
    shared = {"sharex": True, "sharey": True} | shared
    axes = list(figure.subplots(rows, columns, squeeze=False, **shared).ravel())
    for empty in axes[count:]:
        empty.set_visible(False)
    for above in axes[max(0, count - columns) : count]:  # no axes below: these show the shared labels
        above.xaxis.set_tick_params(labelbottom=True)
    return figure, axes[:count]


def plain(text: str) -> str:
    """Return a label of a spec so that matplotlib shows it as it is: text between two dollars would be a formula."""
    return text.replace("$", r"\$")


def save(figure: Figure, path: Path) -> None:
    """Write a figure in this look, in the format of the path's suffix; equal figures give equal files."""
    form = path.suffix[1:]
    with applied():
        figure.savefig(path, format=form, metadata=dict(_UNDATED[form]))
