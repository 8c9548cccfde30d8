"""Pictures of the analysis `drift`: how the kernel of a network moves along its training, as means over seeds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ntkbench.results.plots.axes import share_axis
from ntkbench.results.plots.intervals import Shares, means
from ntkbench.results.plots.study import MOST, Panel, Picture, PlottedAnalysis, ball
from ntkbench.results.plots.style import BLUE, COLORS, GREEN, MAP, MARKERS, VERMILLION, panels
from ntkbench.uncertainty import Bounds

_PROBES = {"": "the clean probe", "adversarial_": "a probe that is attacked anew at each snapshot"}
"""prefix of the series of each probe, and what captions call it"""
_PARTS = (("top_", "top {}", VERMILLION, "s"), ("rest_", "rest", GREEN, "^"), ("", "whole", BLUE, "o"))
"""prefix, legend, color, marker of the kernel's parts; the whole comes last, as it may hide the top"""
_RANKS = {"participation_rank": "participation", "entropy_rank": "entropy", "stable_rank": "stable"}
_POSITIVE, _SHARE, _COSINE, _ANY = (0.0, np.inf), (0.0, 1.0), (-1.0, 1.0), (-np.inf, np.inf)
_TURNS = "Dotted: the epochs at which another phase of the training begins. "
_FEW = 24
"""most points of a curve that have a marker"""


@dataclass(frozen=True)
class _Cell:
    """One cell of the matrix with the runs of all its seeds."""

    label: str
    seeds: tuple[Panel, ...]

    @property
    def epoch(self) -> np.ndarray:
        return self.seeds[0]["epoch"]

    def mean(self, values: Callable[[Panel], np.ndarray], bounds: Bounds = _POSITIVE) -> Shares:
        """Return means over seeds with 95 % intervals; `bounds`: range of the quantity, which limits the intervals."""
        return means(np.stack([values(seed) for seed in self.seeds]), bounds)

    def series(self, name: str) -> Shares:
        return self.mean(lambda seed: seed[name])


@dataclass(frozen=True)
class _Curve:
    """A quantity that one axes of a picture shows along training, with a line for each cell."""

    label: str
    values: Callable[[Panel], np.ndarray]
    at: Callable[[Panel], np.ndarray] = lambda seed: seed["epoch"]
    scale: Callable[[Axes], None] = lambda axes: None
    bounds: Bounds = _POSITIVE
    level: Callable[[Panel], float] | None = None
    """returns the epoch of a seed whose mean over seeds a dashed line marks"""


def pictures(study: PlottedAnalysis, budgets: Sequence[str]) -> Iterator[Picture]:
    """Yield maps, polar curves and kernel quantities for each probe, then weight distances and accuracies."""
    for sheet, cells in _sheets([_Cell(*cell) for cell in study.complete_cells()]):
        n = sorted({len(cell.seeds) for cell in cells})
        seeds = f"n = {', '.join(map(str, n))} seed{'s' if n != [1] else ''}"
        end = (
            f"Means over seeds, 95 % intervals, none where there is one seed; {seeds}. "
            f"{_TURNS if any(seed.turns for cell in cells for seed in cell.seeds) else ''}"
            f"{study.provenance([seed for cell in cells for seed in cell.seeds])}"
        )
        for prefix, probe in _PROBES.items():
            if all(f"{prefix}distance" in seed.series for cell in cells for seed in cell.seeds):
                yield from _probe_pictures(cells, prefix, sheet, seeds, f"Of kernels on {probe}. {end}")
        weights = _Curve(r"$|\theta_t - \theta_0|\,/\,|\theta_0|$", lambda seed: seed["weight_distance"])
        yield Picture(
            f"weights-{sheet}", _curves(cells, [weights], seeds), f"Distance of the weights from those at init. {end}"
        )
        if curves := list(_accuracies(cells[0].seeds[0], budgets)):
            under = f", and under {cells[0].seeds[0].attack['kind']}" if budgets else ""
            yield Picture(
                f"accuracy-{sheet}", _curves(cells, curves, seeds), f"Accuracy along training, clean{under}. {end}"
            )


def _probe_pictures(cells: Sequence[_Cell], prefix: str, sheet: str, seeds: str, end: str) -> Iterator[Picture]:
    """Yield the kernel pictures of one probe; `prefix`: that of its series, `end`: the end of captions."""
    name, first = f"{prefix.replace('_', '-')}{{}}-{sheet}", cells[0].seeds[0]
    yield Picture(
        name.format("distance"),
        _maps(cells, f"{prefix}distance", seeds),
        f"Distance 1 - cosine of the kernels at every two snapshots, each as wide as any other. {end}",
    )
    k = int(first["top"][-1]) if len(first["top"]) else None
    yield Picture(
        name.format("polar"),
        _polar(cells, prefix, k, seeds),
        "Polar curves from init, at the origin: the distance |K_t - K_0| as a share of |K_T - K_0|, against the angle "
        f"between K_t and K_0{'' if k is None else f'; of the kernel, its top {k} directions and the rest'}. {end}",
    )
    for what, curves, told in _looks(first, prefix):
        yield Picture(name.format(what), _curves(cells, curves, seeds), f"{told} {end}")


def _looks(first: Panel, prefix: str) -> Iterator[tuple[str, list[_Curve], str]]:
    """Yield name, curves and caption of the pictures of quantities along training, `first` being any run."""

    def of(name: str) -> Callable[[Panel], np.ndarray]:
        return lambda seed: seed[prefix + name]

    def mass(place: int) -> Callable[[Panel], np.ndarray]:
        return lambda seed: seed[f"{prefix}top_mass"][place]

    yield _velocity(first, of, prefix)
    if len(first["top"]):
        masses = [_Curve(f"mass of top {k}", mass(place), bounds=_SHARE) for place, k in enumerate(first["top"])]
        yield "mass", masses, "Share of the largest eigenvalues in the sum of all squared ones."
    ranks = [_Curve(f"{told} rank", of(name)) for name, told in _RANKS.items()]
    yield "ranks", ranks, "Effective ranks: tr(K)^2 / |K|^2, exp of the entropy of the eigenvalues, tr(K) / lambda_1."
    labels = [_Curve("label alignment", of("label_alignment"), bounds=_COSINE)]
    if f"{prefix}class_specialization" in first.series:
        labels.append(_Curve("specialization", of("class_specialization"), bounds=_ANY))
    yield "labels", labels, "Alignment of the centered kernel with the labels, and of outputs with their own classes."


def _velocity(first: Panel, of: Callable, prefix: str) -> tuple[str, list[_Curve], str]:
    """Return the picture of the velocity and, beside it, of the onset of laziness, which older records lack."""
    told, name = "Distance from each snapshot to the next an epoch, drawn in the middle of both", "velocity (1 / epoch)"
    if f"{prefix}onset_by_horizon" not in first.series:
        return "velocity", [_Curve(name, of("velocity"), _between, _logarithmic)], f"{told}."
    speed = _Curve(name, of("velocity"), _between, _logarithmic, level=lambda seed: of("onset_by_horizon")(seed)[-1])
    curves = [
        _Curve(label, of(f"{word}_by_horizon"), lambda seed: seed["horizon"])
        for label, word in (("onset (epoch)", "onset"), ("nearness (epoch)", "nearness"))
    ]
    about = (
        "dashed: the onset of laziness, from which on it stays below a tenth of its peak. Below, against the epoch at "
        "which the training is cut: that onset, and the first epoch at which a tenth of the way to the end is left"
    )
    return "velocity", [speed, *curves], f"{told}; {about}. No point where there is none."


def _between(seed: Panel) -> np.ndarray:
    """Return the epochs in the middle between consecutive snapshots, at which velocities are drawn."""
    return (seed["epoch"][1:] + seed["epoch"][:-1]) / 2


def _accuracies(first: Panel, budgets: Sequence[str]) -> Iterator[_Curve]:
    """Yield curves of clean and robust accuracy on test and training examples, as far as a run has them."""

    def share(split: str, budget: str | None) -> Callable[[Panel], np.ndarray]:
        def values(seed: Panel) -> np.ndarray:
            counts = seed[f"{split}_clean"] if budget is None else seed[f"{split}_robust"][seed.at(budget)]
            return counts / seed[f"n_{split}"]

        return values

    def judged(seed: Panel) -> np.ndarray:
        return seed["accuracy_epoch"]

    for split in ("test", "train"):
        if f"{split}_clean" in first.series:
            yield _Curve(f"{split}, clean", share(split, None), judged, share_axis, _SHARE)
            for eps in budgets:
                yield _Curve(f"{split}, {ball(first, eps)}", share(split, eps), judged, share_axis, _SHARE)


# ---- cells ---------------------------------------------------------------------------------------


def _sheets(cells: Sequence[_Cell]) -> Iterator[tuple[str, Sequence[_Cell]]]:
    """Yield name and cells of each sheet: all cells together, or each alone where they are more than `MOST`."""
    if len(cells) > MOST:
        yield from ((cell.label, [cell]) for cell in cells)
    elif cells:
        yield "", cells


# ---- figures -------------------------------------------------------------------------------------


def _maps(cells: Sequence[_Cell], name: str, seeds: str) -> Figure:
    """Draw the distances of all pairs of snapshots, an axes for each cell, with one color scale for all."""
    distances = [cell.series(name).value for cell in cells]
    columns = min(len(cells), _beside(cells))
    size = {"columns": columns, "height": {1: 2.6, 2: 1.5, 3: 1.1}[columns]}
    figure, axes = panels(len(cells), **size, spare=0.6, sharex=False, sharey=False)
    highest = max(float(np.nanmax(each)) for each in distances) or 1.0
    norm = Normalize(0, highest)
    for at, cell, distance in zip(axes, cells, distances, strict=True):
        at.imshow(distance, cmap=MAP, norm=norm, origin="lower", interpolation="nearest")
        ticks = np.unique(np.linspace(0, len(cell.epoch) - 1, 7 if columns == 1 else 3).round().astype(int))
        labels = [format(cell.epoch[tick], ".3g") for tick in ticks]
        at.set_xticks(ticks, labels)
        at.set_yticks(ticks, labels)
        at.spines[:].set_visible(False)
        at.set_title(cell.label)
    figure.supxlabel("epoch")
    figure.supylabel("epoch")
    bar = figure.colorbar(ScalarMappable(norm, MAP), ax=axes, location="top", fraction=0.08, aspect=40, pad=0.02)
    bar.set_label(f"distance of kernels, 1 − cosine ({seeds})")
    bar.outline.set_visible(False)  # type: ignore[operator]
    return figure


def _polar(cells: Sequence[_Cell], prefix: str, k: int | None, seeds: str) -> Figure:
    """Draw distance from the first kernel against the angle to it, for the whole, its top `k` and the rest."""
    few, one = len(cells) <= 3, len(cells) == 1
    figure, axes = panels(len(cells), columns=1 if few else 2, height=2.2 if one else 1.35, spare=0.6)
    for at, cell in zip(axes, cells, strict=True):
        for part, told, color, mark in _PARTS if k is not None else _PARTS[-1:]:
            angle, radius = (cell.mean(_last(f"{prefix}{part}{name}")) for name in ("angle", "radius"))
            style = {"color": color, "marker": mark, "label": told.format(k), "elinewidth": 0.4}
            style |= {} if part else {"linestyle": "--", "markerfacecolor": "none", "markersize": 4}
            every = -(-len(cell.epoch) // _FEW)
            at.errorbar(
                np.degrees(angle.value),
                radius.value,
                xerr=np.degrees(angle.bars),
                yerr=radius.bars,
                markevery=every,
                errorevery=every,
                **style,
            )
            if not part and np.isnan(radius.value).all():
                at.text(0.5, 0.5, "does not move", ha="center", va="center", transform=at.transAxes)
        at.set_title(cell.label)
    _within(axes[0], axes)
    figure.supxlabel("angle from the first kernel (degrees)")
    figure.supylabel("distance from the first kernel (1: the last)")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3, title=f"95 % intervals, {seeds}")
    return figure


def _within(shared: Axes, panels: Sequence[Axes]) -> None:
    """Set limits that show all means; intervals of few seeds may be many times as wide, and are cut off."""
    points = np.concatenate([np.asarray(line.get_xydata(), float) for at in panels for line in at.lines])
    x, y = np.nanmax(points, axis=0, initial=0) * 1.1
    shared.set_xlim(-0.05 * x or None, x or None)
    shared.set_ylim(-0.05 * y or None, y or None)


def _beside(cells: Sequence[_Cell]) -> int:
    """Return how many columns leave room for the longest label."""
    longest = max(len(cell.label) for cell in cells)
    return 3 if longest <= 14 else 2 if longest <= 28 else 1


def _last(name: str) -> Callable[[Panel], np.ndarray]:
    """Return a function that reads a series (tops, snapshots), and of several tops takes the largest."""
    return lambda seed: seed[name].reshape(-1, len(seed["epoch"]))[-1]


def _curves(cells: Sequence[_Cell], curves: Sequence[_Curve], seeds: str) -> Figure:
    """Draw one axes for each quantity, with one line for each cell."""
    figure, axes = panels(len(curves), columns=1, height=2.0 if len(curves) == 1 else 1.15, spare=0.6, sharey=False)
    for at, curve in zip(axes, curves, strict=True):
        for place, cell in enumerate(cells):
            _line(at, curve.at(cell.seeds[0]), cell.mean(curve.values, curve.bounds), place, cell.label)
            for turn in cell.seeds[0].turns:
                at.axvline(turn, color=COLORS[place], linewidth=0.8, linestyle="dotted", zorder=0)
            if curve.level and np.isfinite(level := float(np.mean([curve.level(seed) for seed in cell.seeds]))):
                at.axvline(level, color=COLORS[place], linewidth=0.6, linestyle="dashed", zorder=0)
        at.set_ylabel(curve.label)
        at.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        curve.scale(at)
    figure.supxlabel("epoch")
    handles, names = axes[0].get_legend_handles_labels()
    shown = (handles, names) if any(names) else ([], [])
    figure.legend(*shown, loc="outside upper center", ncols=_beside(cells), title=f"95 % intervals, {seeds}")
    return figure


def _logarithmic(axes: Axes) -> None:
    """Set a logarithmic axis from a third of the least positive mean; intervals may reach below it."""
    lines = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines])
    if (above := lines[lines > 0]).size:
        axes.set_yscale("log", nonpositive="clip")
        axes.set_ylim(bottom=above.min() / 3)


def _line(axes: Axes, x: np.ndarray, of: Shares, place: int, label: str) -> None:
    color, mark = COLORS[place], MARKERS[place]
    axes.plot(x, of.value, color=color, marker=mark, markevery=-(-len(x) // _FEW), label=label)
    axes.fill_between(x, of.low, of.high, color=color, alpha=0.2, linewidth=0)
