"""Pictures of the analysis `transfer_matrix`: a heat map of the transfer rates from every source to every target.

Rows are sources, a floor (such as random signs) below them, and columns are targets. A cell has the rate and its 95 %
interval; frames mark white-box attacks, whose source is the target.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ntkbench.results.plots.intervals import Shares
from ntkbench.results.plots.study import Panel, Picture, PlottedAnalysis, ball
from ntkbench.results.plots.style import BLACK, MAP, VERMILLION, WIDTH, plain
from ntkbench.store.record import MetricRow
from ntkbench.uncertainty import from_counts, interval

_NO_SOURCE = "none"
"""source of attacks that follow no gradient, as records have it"""
_COLUMN, _ROW, _AROUND = 0.56, 0.3, 0.9
"""width and height of a cell, and what stands around the map, in inches"""


@dataclass(frozen=True)
class _Rates:
    """Transfer rates by source and target."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    shares: Shares
    """(sources, targets); NaN where some seed has no rate"""


def pictures(study: PlottedAnalysis, budgets: Sequence[str]) -> Iterator[Picture]:
    """Yield a heat map for each budget and each complete cell of the spec's matrix."""
    for eps in budgets:
        for label, seeds in study.complete_cells():
            first, several = seeds[0], len(seeds) > 1
            attack, floor = first.asked["attack"], first.asked["floor"]
            over = (
                f"means over {len(seeds)} seeds with 95 % intervals over seeds and"
                if several
                else "95 % intervals over"
            )
            beside = f", and of {floor} at the bottom" if floor else ""
            yield Picture(
                f"matrix-eps-{eps}-{label}",
                _map(_rates(seeds, eps), str(floor), eps),
                "Transfer rate (share of the test points that the target had right and that the attack turns wrong) of "
                f"{attack} at {ball(first, eps)}, made on each source (rows) and shown to each target (columns)"
                f"{beside}; {over} test points; frames mark white-box attacks. {study.provenance(seeds)}",
            )


def _rates(seeds: Sequence[Panel], eps: str) -> _Rates:
    """Return the rates at a budget over the seeds of a cell, sources and targets in the order of the record."""
    found = [
        {
            (str(row.where["source"]), str(row.where["target"])): row
            for row in panel.rows("transfer_rate", eps=eps, denominator="target_correct")
        }
        for panel in seeds
    ]
    sources, targets = (tuple(dict.fromkeys(names)) for names in zip(*found[0], strict=True))
    table = [[_share([each[source, target] for each in found]) for target in targets] for source in sources]
    return _Rates(sources, targets, Shares(*np.moveaxis(np.array(table, float), -1, 0)))


def _share(rows: Sequence[MetricRow]) -> tuple[float, float, float]:
    """Return the mean of a rate over seeds and the ends of its interval, over seeds and test points."""
    if any(row.value is None for row in rows):
        return np.nan, np.nan, np.nan
    share = from_counts([row.k or 0 for row in rows], [row.n or 0 for row in rows])
    return (float(share.mean), *interval(share))


def _map(rates: _Rates, floor: str, eps: str) -> Figure:
    """Draw the rates as a heat map with numbers; `floor`: the name of the row without a source."""
    rows, columns = rates.shares.value.shape
    size = (max(WIDTH, _COLUMN * columns + _AROUND), _ROW * rows + _AROUND)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.imshow(rates.shares.value, cmap=MAP, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    _write(axes, rates)
    axes.set_xticks(
        range(columns), [plain(name) for name in rates.targets], rotation=30, ha="right", rotation_mode="anchor"
    )
    axes.set_yticks(range(rows), [plain(floor if name == _NO_SOURCE else name) for name in rates.sources])
    axes.set_xlabel("target")
    axes.set_ylabel("source")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), MAP), ax=axes, location="top", aspect=40, pad=0.02)
    bar.set_label(f"transfer rate at ε = {eps}, 95 % intervals")
    bar.outline.set_visible(False)  # type: ignore[operator]
    return figure


def _write(axes: Axes, rates: _Rates) -> None:
    """Write rates and intervals into the map, in a color that stands out, and frame the white-box attacks."""
    of, middle = rates.shares, dict[str, Any](ha="center", va="center")
    for (row, column), value in np.ndenumerate(of.value):
        color = BLACK if value > 0.5 else "white"
        if rates.sources[row] == rates.targets[column]:
            axes.add_patch(Rectangle((column - 0.47, row - 0.46), 0.94, 0.92, fill=False, edgecolor=VERMILLION))
        if np.isnan(value):
            axes.text(column, row, "–", color=BLACK, **middle)
            continue
        axes.text(column, row - 0.17, f"{value:.2f}", color=color, **middle)
        ends = f"[{of.low[row, column]:.2f}, {of.high[row, column]:.2f}]"
        axes.text(column, row + 0.22, ends, color=color, fontsize=5, **middle)
