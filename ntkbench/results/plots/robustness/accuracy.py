"""Pictures of the analysis `accuracy`: accuracy against the size of perturbations, under each attack.

Where a cell has one attack, one axes compares the cells; otherwise each cell has an axes with a line for each attack,
one for what is certified of the same predictor, and the gap between the two, in which nobody knows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ntkbench.labels import as_number
from ntkbench.results.plots import style
from ntkbench.results.plots.axes import budget_axis, share_axis
from ntkbench.results.plots.robustness import curves
from ntkbench.results.plots.robustness.curves import Curve, curve
from ntkbench.results.plots.study import MOST, NORMS, Panel, Picture, PlottedAnalysis, asked
from ntkbench.vocabulary import WORST

_NOISE = "random_sign"
"""kind of the attack that knows nothing of the predictor, a floor of what attacks do"""
_CERTIFIED = "certified"
_UNKNOWN = "not known"


@dataclass(frozen=True)
class _JudgedCell:
    """The accuracies of one cell under the attacks of one norm."""

    label: str
    seeds: tuple[Panel, ...]
    norm: str

    @property
    def attacks(self) -> dict[str, str]:
        """Return the kinds of the attacks of this norm by their ids, with the worst case of several."""
        known = asked(self.seeds[0].record)["attacks"]
        found = {id: known[id]["kind"] for id in self.seeds[0].asked["attacks"] if _norm(known[id]) == self.norm}
        return found | ({WORST: WORST} if any(self.seeds[0].rows("robust_accuracy", attack=WORST)) else {})

    def under(self, attack: str) -> Curve:
        """Return the accuracy under an attack at each of its budgets, from no perturbation on."""
        return self._curve(lambda seed: seed.rows("robust_accuracy", attack=attack))

    @property
    def certified(self) -> Curve | None:
        """Return what is certified of the same predictor in the same norm; None where no analysis says."""
        first = self.seeds[0]
        for id, analysis in asked(first.record)["analyses"].items():
            same = analysis.get("target") == first.asked["target"] and _norm(analysis) == self.norm
            if analysis["kind"] == "certificate" and same:
                return self._curve(lambda seed, id=id: seed.rows("certified_accuracy", id, bound="best"))
        return None

    def _curve(self, rows: Any) -> Curve:
        """Return the shares of the rows that the function `rows` yields of a seed, and of clean images at 0."""
        counts: dict[float, list[int]] = {0.0: [curves.right(seed) for seed in self.seeds]}
        for seed in self.seeds:
            for row in rows(seed):
                counts.setdefault(as_number(str(row.where["eps"])) or 0.0, []).append(row.k)
        return curve(counts, curves.points(self.seeds[0]))


def _norm(words: Mapping[str, Any]) -> str:
    """Return the norm of an attack or of an analysis."""
    return words.get("norm", "linf")


def pictures(study: PlottedAnalysis, budgets: Sequence[str]) -> Iterator[Picture]:
    """Yield a picture of all budgets for each norm; `budgets` chooses nothing."""
    cells = list(study.complete_cells())
    every = [attack for panel in study.panels for attack in _attacks(panel)]
    norms = list(dict.fromkeys(_norm(attack) for attack in every))
    for norm in norms:
        found = [_JudgedCell(label, seeds, norm) for label, seeds in cells]
        found = [cell for cell in found if cell.attacks]
        alike = len({name for cell in found for name in cell.attacks}) == 1
        one_line = alike and len(found) > 1 and not any(cell.certified for cell in found)
        name = "curve" if len(norms) == 1 else f"curve-{norm}"
        labels = [eps for attack in every if _norm(attack) == norm for eps in attack["eps"]]
        for sheet, part in [("", found)] if one_line else _sheets(found):
            figure = _compared(part, labels) if one_line else _panels(part, labels)
            figure.supxlabel(f"{NORMS[norm]} budget ε of the attack")
            figure.supylabel(_said(part, one_line))
            yield Picture(f"{name}-{sheet}" if sheet else name, figure, _caption(study, part, norm))


def _attacks(panel: Panel) -> list[Mapping[str, Any]]:
    """Return the fields of the attacks of a run's analysis."""
    known = asked(panel.record)["attacks"]
    return [known[id] for id in panel.asked["attacks"]]


def _sheets(cells: Sequence[_JudgedCell]) -> Iterator[tuple[str, Sequence[_JudgedCell]]]:
    """Yield name and cells of each picture: all together, or each alone where they are more than `MOST`."""
    if len(cells) > MOST:
        yield from ((cell.label, [cell]) for cell in cells)
    elif cells:
        yield "", cells


def _said(cells: Sequence[_JudgedCell], one_line: bool) -> str:
    """Return the label of the axis of accuracies, which names the attack where all lines are under the same one."""
    return f"accuracy under {style.plain(next(iter(cells[0].attacks)))}" if one_line else "accuracy"


def _caption(study: PlottedAnalysis, cells: Sequence[_JudgedCell], norm: str) -> str:
    """Return what a picture of these cells shows."""
    seeds = [cell.seeds for cell in cells]
    known = {f"{name} ({kind})" if name != kind else name for cell in cells for name, kind in cell.attacks.items()}
    certified = (
        "; certified: what no attack can turn, shaded: the gap to the strongest attack, of which nothing is known"
        * any(cell.certified is not None for cell in cells)
    )
    return (
        f"Accuracy of {cells[0].seeds[0].asked['target']} against the {NORMS[norm]} budget ε under "
        f"{', '.join(sorted(known))}, from clean images (ε = 0) on; dashed: the share of the largest class{certified}. "
        f"{curves.about(seeds, {curves.points(runs[0]) for runs in seeds})} "
        f"{study.provenance([seed for runs in seeds for seed in runs])}"
    )


def _compared(cells: Sequence[_JudgedCell], budgets: Sequence[str]) -> Figure:
    """Draw a line for each cell, all of them under the same attack."""
    figure, axes = curves.beside(
        {cell.label: cell.under(next(iter(cell.attacks))) for cell in cells},
        {cell.label: curves.majority(cell.seeds[0]) for cell in cells},
    )
    budget_axis(axes[0], budgets)
    return figure


def _panels(cells: Sequence[_JudgedCell], budgets: Sequence[str]) -> Figure:
    """Draw an axes for each cell with a line for each attack."""
    few, one = len(cells) <= 3, len(cells) == 1
    names = list(dict.fromkeys(name for cell in cells for name in cell.attacks))
    looks = _looks({name: kind for cell in cells for name, kind in cell.attacks.items()})
    rows = -(-(len(names) + 2) // 3)
    size = {"columns": 1 if few else 2, "height": 2.0 if one else 1.35}
    figure, axes = style.panels(len(cells), **size, spare=0.4 + 0.13 * rows)
    for at, cell in zip(axes, cells, strict=True):
        _curves(at, cell, looks)
        at.set_title(cell.label)
    budget_axis(axes[0], budgets)
    handles: list[Line2D | Patch] = [Line2D([], [], label=style.plain(name), **looks[name]) for name in names]
    if any(cell.certified for cell in cells):
        handles += [
            Line2D([], [], label=_CERTIFIED, **looks[_CERTIFIED]),
            Patch(label=_UNKNOWN, color=style.GRAY, alpha=0.25, linewidth=0),
        ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, title="95 % intervals")
    return figure


def _looks(kinds: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the style of each line by its name; `kinds`: kinds of attacks by their ids."""
    free = iter([*zip(style.COLORS, style.MARKERS, strict=True)] * len(kinds))
    looks = {
        WORST: {"color": style.BLACK, "marker": "x", "linestyle": "-"},
        _CERTIFIED: {"color": style.BLACK, "marker": "v", "linestyle": "--"},
    }
    for name, kind in kinds.items():
        if kind == _NOISE:
            looks[name] = {"color": style.GRAY, "marker": ".", "linestyle": ":"}
        elif name not in looks:
            color, mark = next(free)
            looks[name] = {"color": color, "marker": mark, "linestyle": "-"}
    return looks


def _curves(axes: Axes, cell: _JudgedCell, looks: Mapping[str, Mapping[str, Any]]) -> None:
    """Fill the axes of one cell."""
    curves.floor_line(axes, curves.majority(cell.seeds[0]))
    under = {name: cell.under(name) for name in cell.attacks}
    if (certified := cell.certified) is not None:
        curves.gap(axes, certified, [of for name, of in under.items() if cell.attacks[name] != _NOISE])
        curves.line(axes, certified, **looks[_CERTIFIED])
    for place, (name, of) in enumerate(under.items()):
        curves.line(axes, of, place - (len(under) - 1) / 2, **looks[name])
    share_axis(axes)
