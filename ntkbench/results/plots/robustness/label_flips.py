"""Pictures of the analysis `label_flips`: certified accuracy against the number of training labels that are wrong."""

from collections.abc import Iterator, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ntkbench.results.plots.robustness import curves
from ntkbench.results.plots.study import Panel, Picture, PlottedAnalysis


def pictures(study: PlottedAnalysis, budgets: Sequence[str]) -> Iterator[Picture]:
    """Yield one picture with a line for each cell; `budgets` chooses nothing."""
    cells = dict(study.complete_cells())
    if not cells:
        return
    seeds = list(cells.values())
    yield Picture(
        "flips",
        _figure(cells),
        "Share of the test points that the kernel has right whichever training labels are flipped, against their "
        f"number; dashed: the share of the largest class. {curves.about(seeds, _points(seeds))} "
        f"{study.provenance(study.panels)}",
    )


def _points(seeds: Sequence[Sequence[Panel]]) -> set[int]:
    return {panel.n_test for runs in seeds for panel in runs}


def _figure(cells: dict[str, tuple[Panel, ...]]) -> Figure:
    """Draw a line for each cell from no flip on, where the share is the accuracy; cells by their labels."""
    figure, axes = curves.beside(
        {label: _curve(runs) for label, runs in cells.items()},
        {label: curves.majority(runs[0]) for label, runs in cells.items()},
    )
    for at in axes:
        at.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    figure.supxlabel("number of flipped training labels")
    figure.supylabel("certified accuracy")
    return figure


def _curve(seeds: Sequence[Panel]) -> curves.Curve:
    """Return the certified accuracy of a cell at each number of flips."""
    counts = {0.0: [curves.right(seed) for seed in seeds]}
    for place, flips in enumerate(seeds[0]["flips"]):
        counts[float(flips)] = [int(seed["certified"][place]) for seed in seeds]
    return curves.curve(counts, seeds[0].n_test)
