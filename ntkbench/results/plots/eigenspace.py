"""Pictures of the analysis `eigenspace`: usefulness and robustness of features, cumulative predictors, the spectrum.

Usefulness is the clean accuracy of a feature, robustness its accuracy under an attack on the feature itself (Tsilivis &
Kempe 2022, eqs. 3-4).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator, StrMethodFormatter

from ntkbench.results.plots import style as plots_style
from ntkbench.results.plots.axes import INDEX, index_axis, index_norm, index_ticks, share_axis
from ntkbench.results.plots.images import features
from ntkbench.results.plots.intervals import band, bars, points, shares
from ntkbench.results.plots.study import Panel, Picture, PlottedAnalysis, ball, count, figures_of

_KINDS = (("useful, robust", "o"), ("useful, not robust", "^"), ("not useful", "x"))
"""legend and marker of the three groups of features; useful and robust are verdicts of corrected tests"""


def pictures(study: PlottedAnalysis, budgets: Sequence[str]) -> Iterator[Picture]:
    """Yield all pictures of a study, those under attack once for each perturbation budget in `budgets`."""
    for sheet, panels in figures_of(study.panels):
        who, n = study.provenance(panels), count(panels)
        for eps in budgets:
            on = f"eps-{eps}-{sheet}"
            attack = f"{panels[0].attack['kind']} on the predictor itself, {ball(panels[0], eps)}"
            wilson = f"{n} test points, Wilson 95 % intervals. {who}"
            yield Picture(
                f"scatter-{on}",
                _scatter(panels, eps),
                f"Usefulness (clean accuracy) and robustness (accuracy under {attack}) of single features, colored by "
                f"index; useful and robust are what beats the largest class in a corrected test. Dashed: the share of "
                f"the largest class; dotted: chance, where it differs. Cross: the widest interval. {wilson}",
            )
            yield Picture(
                f"index-{on}",
                _by_index(panels, eps),
                f"Usefulness (clean accuracy) and robustness ({attack}) of single features by index. {wilson}",
            )
            yield Picture(
                f"cumulative-{on}",
                _cumulative(panels, eps),
                f"Accuracy of the predictor of the first k features and of the rest, clean and under {attack}; k90 is "
                f"the smallest k with 90 % of the whole predictor's clean accuracy. {wilson}",
            )
        yield Picture(f"spectrum-{sheet}", _spectrum(panels), f"Eigenvalues of the kernel on the training set. {who}")
        if all("picture_gradient" in panel.series for panel in panels):
            yield Picture(
                f"features-{sheet}",
                features.grid(panels),
                "Test images and the gradients of features, and of sums of consecutive ones, with respect to them, "
                f"each scaled to its own minimum and maximum. {who}",
            )


def _scatter(panels: Sequence[Panel], eps: str) -> Figure:
    """Draw robustness against usefulness of single features at budget `eps`, with a panel for each run."""
    figure, axes = plots_style.panels(len(panels), columns=2, height=2.3 if len(panels) == 1 else 1.35, spare=0.7)
    last = max(int(panel["feature"].max()) for panel in panels)
    # The brightest colors of the map would be lost on white.
    colors = ScalarMappable(index_norm(last), ListedColormap(colormaps[plots_style.MAP](np.linspace(0, 0.93, 256))))
    for at, panel in zip(axes, panels, strict=True):
        _scattered(at, panel, eps, colors)
        at.set_title(panel.label)
    share_axis(axes[0])
    figure.colorbar(colors, ax=axes, ticks=index_ticks(last), format="%d", fraction=0.05, pad=0.02).minorticks_off()
    figure.supxlabel("usefulness (clean accuracy); color: feature index")
    figure.supylabel(f"robustness (accuracy at ε = {eps})")
    handles = [
        Line2D([], [], linestyle="none", marker=mark, color=plots_style.GRAY, label=name) for name, mark in _KINDS
    ]
    title = f"cross: widest 95 % interval, {count(panels)}"
    figure.legend(handles=handles, loc="outside upper center", ncols=3, handletextpad=0.1, title=title)
    return figure


def _scattered(axes: Axes, panel: Panel, eps: str, colors: ScalarMappable) -> None:
    """Fill one panel of `_scatter`; `colors` maps the feature index to a color.

    The cross in the corner shows the widest interval that a share of the test points can have, that of one half.
    """
    useful, tested = panel["feature_useful"], panel["feature_tested_robust"][panel.at(eps)]
    rho, gamma = panel["feature_clean"] / panel.n_test, panel["feature_robust"][panel.at(eps)] / panel.n_test
    _levels(axes, panel, both=True)
    for place, (chosen, (_, mark)) in enumerate(zip((tested, useful & ~tested, ~useful), _KINDS, strict=True)):
        back = np.flatnonzero(chosen)[::-1]  # the first features lie on top
        style = {"c": panel["feature"][back], "cmap": colors.cmap, "norm": colors.norm, "clip_on": False}
        axes.scatter(rho[back], gamma[back], s=7, marker=mark, linewidths=0.6, zorder=5 - place, **style)
    half = shares(np.array([panel.n_test // 2]), panel.n_test).bars.max()
    axes.errorbar(rho.max(), 0.98 - half, xerr=half, yerr=half, color=plots_style.BLACK, elinewidth=0.6, marker="none")


def _levels(axes: Axes, panel: Panel, both: bool = False) -> None:
    """Draw the accuracy of guessing (dotted) and of always naming the largest class (dashed), on `both` axes or on
    y."""
    for level, style in {panel.chance: "dotted", panel.majority: "dashed"}.items():
        for line in (axes.axhline, axes.axvline)[: 2 if both else 1]:
            line(level, color=plots_style.GRAY, linewidth=0.6, linestyle=style, zorder=0)


def _by_index(panels: Sequence[Panel], eps: str) -> Figure:
    """Draw usefulness and robustness at budget `eps` against the feature index, with a panel for each run."""
    figure, axes = _curves(panels)
    for at, panel in zip(axes, panels, strict=True):
        robust = panel["feature_robust"][panel.at(eps)]
        _levels(at, panel)
        points(at, panel["feature"], shares(panel["feature_clean"], panel.n_test), color=plots_style.CLEAN, marker="o")
        points(at, panel["feature"], shares(robust, panel.n_test), color=plots_style.ROBUST, marker="s")
        at.set_title(panel.label)
        index_axis(at, int(panel["feature"].max()))
        share_axis(at)
    figure.supxlabel(INDEX)
    figure.supylabel("accuracy of the feature")
    _legend(
        figure,
        (
            ("usefulness (clean)", plots_style.CLEAN, "none", "o"),
            (f"robustness (ε = {eps})", plots_style.ROBUST, "none", "s"),
        ),
        f"95 % intervals, {count(panels)}",
    )
    return figure


def _cumulative(panels: Sequence[Panel], eps: str) -> Figure:
    """Draw the accuracy of the first k features and of the rest against k, with a panel for each run."""
    figure, axes = _curves(panels, spare=0.75)
    for at, panel in zip(axes, panels, strict=True):
        _accumulated(at, panel, eps)
        k90 = panel.number("k90")
        at.set_title(", ".join(filter(None, (panel.label, "" if k90 is None else f"k90 = {k90:.0f}"))))
        share_axis(at)
    figure.supxlabel("number of features k")
    figure.supylabel("accuracy")
    _legend(
        figure,
        (
            ("first k, clean", plots_style.CLEAN, "-", ""),
            ("rest, clean", plots_style.SKY, "--", "o"),
            (f"first k, ε = {eps}", plots_style.ROBUST, "-", "s"),
            (f"rest, ε = {eps}", plots_style.ORANGE, "--", "D"),
        ),
        f"95 % intervals, {count(panels)}",
    )
    return figure


def _accumulated(axes: Axes, panel: Panel, eps: str) -> None:
    """Fill one panel of `_cumulative`.

    Clean accuracy of the first k is known for every k, all else at the truncations of the analysis alone; k90 is
    marked.
    """
    n, e, k = panel.n_test, panel.at(eps), panel["truncation"]
    every = panel["cumulative_clean"]
    rest = k < len(every)  # of all features none is left
    _levels(axes, panel)
    band(axes, np.arange(1, len(every) + 1), shares(every, n), color=plots_style.CLEAN)
    bars(axes, k, shares(panel["truncation_robust"][e], n), color=plots_style.ROBUST, marker="s", linestyle="-")
    for name, color, mark in (("tail_clean", plots_style.SKY, "o"), ("tail_robust", plots_style.ORANGE, "D")):
        counts = panel[name] if name == "tail_clean" else panel[name][e]
        style = {"linestyle": "--", "marker": mark, "zorder": 1.5}
        bars(axes, k[rest], shares(counts[rest], n), color=color, **style)
    if (k90 := panel.number("k90")) is not None:
        axes.axvline(k90, color=plots_style.BLACK, linewidth=0.6, linestyle=(0, (4, 2)), zorder=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _spectrum(panels: Sequence[Panel]) -> Figure:
    """Draw the eigenvalues of all runs in one axes.

    Ticks below mark eigenvalues whose gap to the next is too small for single eigenvectors to have a meaning; the
    legend counts them.
    """
    figure, (axes,) = plots_style.panels(1, columns=1, height=2.2)
    last = max(len(panel["eigenvalue"]) for panel in panels) - 1
    for place, panel in enumerate(panels):
        color, values, close = plots_style.COLORS[place], panel["eigenvalue"], np.flatnonzero(panel["small_gap"])
        told = f"{panel.label}: {len(close)} of {len(values) - 1}".removeprefix(": ")
        some = {
            "marker": plots_style.MARKERS[place],
            "markevery": list(np.unique(np.geomspace(1, len(values), 12).astype(int)) - 1),
        }
        axes.plot(np.arange(len(values)), values, color=color, label=told, **some)
        height = np.full(len(close), 0.03 + 0.05 * place)
        axes.plot(close, height, color=color, transform=axes.get_xaxis_transform(), **plots_style.RUG)
    axes.set_yscale("log", nonpositive="mask")
    low, high = np.log10(axes.get_ylim())
    axes.set_ylim(10 ** (low - (0.06 + 0.06 * len(panels)) * (high - low)), 10**high)
    axes.yaxis.set_minor_locator(NullLocator())
    index_axis(axes, last)
    axes.set_xlabel(INDEX)
    axes.set_ylabel("eigenvalue")
    axes.legend(title="ticks: relative gap to the next < 0.001")
    return figure


def _curves(panels: Sequence[Panel], spare: float = 0.6) -> tuple[Figure, list[Axes]]:
    """Return a figure with an axes for each run, in one column where these are at most three."""
    few = len(panels) <= 3
    return plots_style.panels(
        len(panels), columns=1 if few else 2, height=2.0 if len(panels) == 1 else 1.35, spare=spare
    )


def _legend(figure: Figure, lines: Sequence[tuple[str, str, Any, str]], title: str) -> None:
    """Add a legend above the panels; `lines`: name, color, line style and marker of each entry."""
    handles = [Line2D([], [], label=name, color=c, linestyle=s, marker=mark) for name, c, s, mark in lines]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, title=title)
