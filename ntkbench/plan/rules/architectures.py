"""Find what is wrong with the networks of a cell: layers that do not fit, and infinite limits that do not exist.

Shapes are followed through the layers; nothing is computed. A problem points at the layer's own line where the spec
lists the layers, else at the architecture that it names. `rules.problems` calls `problems` for each cell.
"""

from collections.abc import Collection, Iterator

from ntkbench.errors import Problem
from ntkbench.plan import limits, networks, shapes
from ntkbench.plan.shapes import LayerError, Shape, WidthAndOutputs
from ntkbench.spec.architectures import (
    LEAK,
    Architecture,
    CNNSmall,
    ConvNet,
    FunctionNetwork,
    Given,
    Layers,
    NamedArchitecture,
)
from ntkbench.spec.document import Path
from ntkbench.spec.kernels import InfiniteKernel
from ntkbench.spec.layers import Dense, Pool
from ntkbench.spec.reading.validate import Draft


def problems(draft: Draft) -> Iterator[Problem]:
    """Yield the problems of the cell's own network, and of the networks of its infinite kernels."""
    own, kernels = draft.cell.architecture, draft.cell.kernels
    if isinstance(own, Given) and draft.whole("width") and draft.cell.width is not None:
        yield draft.problem(("width",), "a given network has the width that it was made with; write null")
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


def absent(draft: Draft, given: Collection[str]) -> Iterator[Problem]:
    """Yield a problem for a given network that is not at hand; `given`: the digests of those that are."""
    own = draft.cell.architecture
    if draft.whole("architecture") and isinstance(own, Given) and own.sha256 not in given:
        message = (
            "a given network is in the memory of the Python program that calls `ntkbench.evaluate`, and cannot be run "
            "from here; hand it over there, or write another kind"
        )
        yield draft.root.at(("architecture",)).key.problem("architecture", message)


def _network(draft: Draft, path: Path, architecture: Architecture, width: int | None) -> Iterator[Problem]:
    """Yield what is wrong with a finite network at `path`, including where its shapes do not fit the data."""
    yield from _leak(draft, path, architecture)
    yield from _head(draft, path, architecture)
    shape = _image(draft)
    if shape is not None:
        try:
            walk = list(shapes.steps(networks.layers(architecture), shape, WidthAndOutputs(width, 1)))
            if not isinstance(architecture, Layers):
                _tiled(walk)
        except LayerError as fault:
            own = isinstance(architecture, Layers | ConvNet)
            advice = fault.advice if own else "choose another network, or write it as kind: layers"
            yield _problem(draft, path, architecture, fault, advice)


def _image(draft: Draft) -> Shape | None:
    """Return the shape of an example; None if the data section does not tell it."""
    return shapes.image(draft.cell.data) if draft.sized else None


def _tiled(walk: list[shapes.Step]) -> None:
    """Raise a LayerError if a pool of a named network leaves out positions; lists of layers are allowed to."""
    for step in walk:
        if isinstance(step.layer, Pool) and shapes.untiled(step.layer, step.before):
            raise LayerError(step.path, f"its windows do not cover {shapes.shown(step.before)}", "")


def _leak(draft: Draft, path: Path, architecture: Architecture) -> Iterator[Problem]:
    """Yield a problem if a leak is set for an activation that has none."""
    if (
        isinstance(architecture, NamedArchitecture)
        and architecture.activation != "leaky_relu"
        and architecture.leak != LEAK
    ):
        message = f"{architecture.activation} has no leak; delete this, or write activation: leaky_relu"
        yield draft.root.at((*path, "leak")).place.problem((*path, "leak"), message)


def _head(draft: Draft, path: Path, architecture: Architecture) -> Iterator[Problem]:
    """Yield a problem if a list of layers does not end in a dense layer with one unit an output."""
    if not isinstance(architecture, Layers):
        return
    last = len(architecture.layers) - 1
    head, here = architecture.layers[last], (*path, "layers", last)
    if not isinstance(head, Dense):
        message = f"a network ends in a dense layer, and this one in {head.op}; add {{op: dense}} below it"
        yield draft.root.at(here).place.problem(here, message)
    elif head.width != "1x":
        message = "the last layer has one unit per output, and the data determine how many; delete its width"
        yield draft.root.at((*here, "width")).place.problem((*here, "width"), message)


def _limit(draft: Draft, path: Path, architecture: Architecture, asked: Path) -> Iterator[Problem]:
    """Yield a problem if a network has no infinite-width limit.

    `path` leads to the architecture, and `asked` to what needs the limit.
    """
    if isinstance(architecture, FunctionNetwork):
        what = "a given network" if isinstance(architecture, Given) else f"{architecture.kind} is a function, and"
        advice = "choose another network" if path == asked else "give the kernel an `architecture` of its own"
        yield draft.root.at(asked).key.problem(asked, f"{what} has no known infinite-width limit; {advice}")
        return
    if isinstance(architecture, CNNSmall):
        message = (
            "cnn_small is a finite network; use kind: empirical, "
            "or write its layers (kind: layers), which have a limit, since all its pools are avg_pool"
        )
        yield draft.root.at(asked).key.problem(asked, message)
        return
    try:
        limits.check(networks.layers(architecture))
    except LayerError as fault:
        where = path if isinstance(architecture, Layers) else asked
        yield _problem(draft, where, architecture, fault, fault.advice)


def _problem(draft: Draft, path: Path, architecture: Architecture, fault: LayerError, advice: str) -> Problem:
    """Return a problem at the layer at fault if the spec lists the layers, else at the architecture."""
    if isinstance(architecture, Layers):
        here = (*path, "layers", *fault.path)
        return draft.root.at(here).place.problem(here, f"{fault}; {advice}")
    return draft.root.at(path).key.problem(path, f"{architecture.kind}, layer {_number(fault.path)}: {fault}; {advice}")


def _number(path: Path) -> str:
    """Return the number of a layer, counted from 1, and of its place in a branch, such as `3.1.2`."""
    return ".".join(str(step + 1) for step in path if isinstance(step, int))
