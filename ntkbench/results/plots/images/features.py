"""Draw test images and, beside each, the input gradients of features and of groups of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkbench.results.plots.study import Panel
from ntkbench.results.plots.style import MAP, WIDTH

_MOST = 7
"""most gradients in a row, beside the test image"""
_LINE, _PAGE = 0.13, 8.5
"""height of a line of text, and of the whole figure at most, in inches"""


@dataclass(frozen=True)
class _Row:
    """The content of one row; where a test image has several rows, the others have no image."""

    label: str
    image: np.ndarray | None
    """(rows, columns, channels), values from 0 to 1"""
    titles: Sequence[str]
    gradients: Sequence[np.ndarray]
    """one (rows, columns, channels) for each title"""


def grid(panels: Sequence[Panel]) -> Figure:
    """Draw a row for each run and test image: the image, then a gradient for each feature and group.

    A test image with more gradients than fit has several rows. Each gradient is scaled from its smallest value to its
    largest.
    """
    rows = [row for panel in panels for row in _rows(panel)]
    columns = 1 + max(len(row.titles) for row in rows)
    title = _LINE * (0.4 + max(row.label.count("\n") + 1 for row in rows))
    side = min(WIDTH / columns, 1.0, max(_PAGE / len(rows) - title, 0.3))
    figure = Figure(figsize=(WIDTH, len(rows) * (side + title)), layout="constrained")
    cells = figure.subplots(len(rows), columns, squeeze=False)
    for axes in cells.ravel():
        axes.set_axis_off()
    for line, row in zip(cells, rows, strict=True):
        if row.image is not None:
            _show(line[0], row.image, row.label, "gray", scale=False)
        for axes, title, gradient in zip(line[1:], row.titles, row.gradients, strict=False):
            _show(axes, gradient, title, MAP, scale=True)
    return figure


def _rows(panel: Panel) -> Iterator[_Row]:
    """Yield the rows of each test image: single features, then groups, in one row where there is room for all."""
    shown = [
        (f"i = {index}", gradient)
        for index, gradient in zip(panel["picture_feature"], panel["picture_gradient"], strict=True)
    ]
    groups = []
    if "picture_group" in panel.series:
        named = zip(panel["picture_group"], panel["picture_group_gradient"], strict=True)
        groups = [(f"{first}–{stop - 1}", gradient) for (first, stop), gradient in named]
    parts = [shown + groups] if len(shown) + len(groups) <= _MOST else [shown, groups]
    lines = [part[start : start + _MOST] for part in parts for start in range(0, len(part), _MOST)]
    for place, (test, image) in enumerate(zip(panel["picture_test"], panel["picture_image"], strict=True)):
        for number, line in enumerate(lines):
            titles, gradients = [title for title, _ in line], [gradient[place] for _, gradient in line]
            about = (panel.label, panel.class_name(int(test)), f"test {test}")
            yield _Row("\n".join(filter(None, about)), None if number else image, titles, gradients)


def _show(axes: Axes, picture: np.ndarray, title: str, colors: str, *, scale: bool) -> None:
    """Draw an image (rows, columns, channels): one channel by a color map, three as red, green and blue.

    `scale`: map the smallest value to 0 and the largest to 1; otherwise values are shown as they are.
    """
    if scale:
        low, high = picture.min(), picture.max()
        picture = (picture - low) / (high - low) if high > low else np.full_like(picture, 0.5)
    picture = picture[..., 0] if picture.shape[-1] == 1 else picture
    axes.imshow(picture, cmap=colors, vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, pad=2)
