"""What a cell's networks cannot be: layers that do not fit, limits that nobody knows.

Found without computing anything, and told at the layer's own line where the layers are the spec's own.
"""

from collections.abc import Iterator

from ntkbench.bench import blueprint, limit, shapes
from ntkbench.bench.architecture import LEAK, Architecture, CNNSmall, ConvNet, Layers, Named
from ntkbench.bench.document import Path
from ntkbench.bench.layers import Dense, Pool
from ntkbench.bench.shapes import Misfit, Shape, Sizes
from ntkbench.bench.spec import InfiniteKernel
from ntkbench.bench.validate import Draft
from ntkbench.errors import Problem


def problems(draft: Draft) -> Iterator[Problem]:
    """Of the cell's own network, and of those of its kernels."""
    own, kernels = draft.cell.architecture, draft.cell.kernels
    if draft.whole("architecture", "width"):
        yield from _network(draft, ("architecture",), own, draft.cell.width)
    for name, kernel in kernels.items():
        if isinstance(kernel, InfiniteKernel):
            if kernel.architecture is not None:
                path = ("kernels", name, "architecture")
                yield from _network(draft, path, kernel.architecture, kernel.width)
                yield from _limit(draft, path, kernel.architecture, path)
            elif draft.whole("architecture"):
                yield from _limit(draft, ("architecture",), own, ("kernels", name))


def _network(draft: Draft, path: Path, architecture: Architecture, width: int | None) -> Iterator[Problem]:
    yield from _leak(draft, path, architecture)
    yield from _head(draft, path, architecture)
    shape = _image(draft)
    if shape is not None:
        try:
            walk = list(shapes.steps(blueprint.layers(architecture), shape, Sizes(width, 1)))
            if not isinstance(architecture, Layers):
                _tiled(walk)
        except Misfit as fault:
            own = isinstance(architecture, Layers | ConvNet)
            advice = fault.advice if own else "choose another network, or write it as kind: layers"
            yield _problem(draft, path, architecture, fault, advice)


def _image(draft: Draft) -> Shape | None:
    """Unknown where the data are."""
    return shapes.image(draft.cell.data) if draft.sized else None


def _tiled(walk: list[shapes.Step]) -> None:
    """Networks with a name pool every position; who writes layers may leave the rest of a border out."""
    for step in walk:
        if isinstance(step.layer, Pool) and shapes.untiled(step.layer, step.before):
            raise Misfit(step.path, f"its windows do not cover {shapes.shown(step.before)}", "")


def _leak(draft: Draft, path: Path, architecture: Architecture) -> Iterator[Problem]:
    if isinstance(architecture, Named) and architecture.activation != "leaky_relu" and architecture.leak != LEAK:
        message = f"{architecture.activation} has no leak; delete this, or write activation: leaky_relu"
        yield draft.root.at((*path, "leak")).place.problem((*path, "leak"), message)


def _head(draft: Draft, path: Path, architecture: Architecture) -> Iterator[Problem]:
    if not isinstance(architecture, Layers):
        return
    last = len(architecture.layers) - 1
    head, here = architecture.layers[last], (*path, "layers", last)
    if not isinstance(head, Dense):
        message = f"a network ends in a dense layer, and this one in {head.op}; add {{op: dense}} below it"
        yield draft.root.at(here).place.problem(here, message)
    elif head.width != "1x":
        message = "the last layer has one unit an output, as many as the data ask for; delete its width"
        yield draft.root.at((*here, "width")).place.problem((*here, "width"), message)


def _limit(draft: Draft, path: Path, architecture: Architecture, asked: Path) -> Iterator[Problem]:
    """`asked`: where the limit is asked for."""
    if isinstance(architecture, CNNSmall):
        message = (
            "cnn_small is a finite network; use kind: empirical, "
            "or write its layers (kind: layers), which have a limit, since all its pools are avg_pool"
        )
        yield draft.root.at(asked).key.problem(asked, message)
        return
    try:
        limit.check(blueprint.layers(architecture))
    except Misfit as fault:
        where = path if isinstance(architecture, Layers) else asked
        yield _problem(draft, where, architecture, fault, fault.advice)


def _problem(draft: Draft, path: Path, architecture: Architecture, fault: Misfit, advice: str) -> Problem:
    """At the layer that somebody wrote; else at what names the network."""
    if isinstance(architecture, Layers):
        here = (*path, "layers", *fault.path)
        return draft.root.at(here).place.problem(here, f"{fault}; {advice}")
    return draft.root.at(path).key.problem(path, f"{architecture.kind}, layer {_number(fault.path)}: {fault}; {advice}")


def _number(path: Path) -> str:
    """People count from 1."""
    return ".".join(str(step + 1) for step in path if isinstance(step, int))
