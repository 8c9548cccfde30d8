"""Follow the shape of an example through a network, without computing a number.

`rules.architectures` and `limits` find layers that cannot stand where they do, `sizes` counts weights and operations.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from ntkbench.data.catalog import DatasetInfo, entry
from ntkbench.memo import by_identity
from ntkbench.spec.data import Data, Synthetic
from ntkbench.spec.document import Path
from ntkbench.spec.layers import (
    OUTPUTS,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Layer,
    MaxPool,
    Pool,
    Residual,
    Weighted,
)

_Windowed = Conv | AvgPool | MaxPool
UnitCount = int | str
"""units of a layer: a number, or a multiple of the width, such as 2x, as long as there is no width"""
Shape = tuple[UnitCount, ...]
"""rows, columns and channels of an image, or the features of a vector"""


@dataclass(frozen=True)
class Step:
    """A layer between the shape that it takes and the shape that it gives."""

    layer: Layer
    path: Path
    """where the layer stands in the list of layers"""
    before: Shape
    after: Shape

    @property
    def count(self) -> int:
        """Number of values that the layer gives for one example, in a network that has a width."""
        return prod(map(int, self.after))


class LayerError(ValueError):
    """A layer that cannot stand where it does. `path` leads to it in the list of layers.

    `advice` says what to do, for those who chose the layers themselves.
    """

    def __init__(self, path: Path, message: str, advice: str):
        self.path, self.advice = path, advice
        super().__init__(message)


@dataclass(frozen=True)
class WidthAndOutputs:
    """The sizes that a cell gives its layers. Without a width, hidden layers keep their multiples of it."""

    width: int | None
    outputs: int

    def units(self, layer: Weighted) -> UnitCount:
        """Return the units of a layer with weights: as it says itself, the outputs, or a multiple of the width."""
        if isinstance(layer.width, int):
            return layer.width
        if layer.width == OUTPUTS:
            return self.outputs
        return layer.width if self.width is None else int(layer.width.removesuffix("x")) * self.width


@by_identity
def image(data: Data) -> tuple[int, int, int]:
    """Return rows, columns and channels of an example; a synthetic one has its features as channels of one position."""
    return (1, 1, data.dataset.dim) if isinstance(data.dataset, Synthetic) else _entry(data).shape


@by_identity
def outputs(data: Data) -> int:
    """Return the number of outputs of a predictor: one for two classes, else one for each class."""
    every = 2 if isinstance(data.dataset, Synthetic) else len(_entry(data).classes)
    classes = every if data.classes is None else len(data.classes)
    return 1 if classes == 2 else classes


def _entry(data: Data) -> DatasetInfo:
    """Return what is known of a set of images; raise UsageError if there is no data set of that name."""
    return data.entry or entry(getattr(data.dataset, "name", ""))


def steps(layers: tuple[Layer, ...], shape: Shape, sizes: WidthAndOutputs, path: Path = ()) -> Iterator[Step]:
    """Yield every layer in order, those of the branches of a residual sum before the sum itself.

    Args:
        layers: the layers
        shape: the shape of an example
        sizes: the width and the number of outputs
        path: where the list of layers stands, for the paths of the steps

    Raises LayerError at the first layer that cannot stand where it does.
    """
    for i, layer in enumerate(layers):
        here = (*path, i)
        if isinstance(layer, Residual):
            ends = []
            for b, branch in enumerate(layer.branches):
                inner = list(steps(branch, shape, sizes, (*here, "branches", b)))
                ends.append(inner[-1].after if inner else shape)
                yield from inner
            if len(set(ends)) > 1:
                raise LayerError(
                    here, f"the branches end in {' and '.join(map(shown, ends))}", "only equal shapes add up"
                )
            after = ends[0]
        else:
            after = _after(layer, shape, sizes, here)
        yield Step(layer, here, shape, after)
        shape = after


def _after(layer: Layer, shape: Shape, sizes: WidthAndOutputs, path: Path) -> Shape:
    """Return the shape that a layer other than a residual sum gives; raise LayerError where it cannot take this one."""
    if isinstance(layer, Dense):
        if len(shape) == 3:
            message = f"dense takes a vector, and this is {shown(shape)}"
            raise LayerError(path, message, "put {op: flatten} or {op: gap} before it")
        return (sizes.units(layer),)
    if isinstance(layer, Flatten):
        return (_product(shape),)
    if not isinstance(layer, _Windowed | GlobalAvgPool):
        return shape
    if len(shape) == 1:
        message = f"{layer.op} takes an image, and a layer above has left {shown(shape)}"
        raise LayerError(path, message, "delete it, or put it above that layer")
    if isinstance(layer, GlobalAvgPool):
        return shape[2:]
    rows, columns, channels = shape
    image = int(rows), int(columns)
    if _padding(layer) == "VALID" and any(w > size for w, size in zip(layer.window, image, strict=True)):
        message = f"windows of {' x '.join(map(str, layer.window))} do not fit into {shown(shape)}"
        raise LayerError(
            path, message, "choose smaller ones" + ("" if isinstance(layer, MaxPool) else ", or padding: SAME")
        )
    return (*_moved(layer, image), sizes.units(layer) if isinstance(layer, Conv) else channels)


def _padding(layer: _Windowed) -> str:
    return "VALID" if isinstance(layer, MaxPool) else layer.padding


def _moved(layer: _Windowed, image: tuple[int, int]) -> Iterator[int]:
    """Yield the number of positions of a layer's window along rows, then along columns."""
    strides = layer.stride if isinstance(layer, Conv) else layer.steps
    for size, window, stride in zip(image, layer.window, strides, strict=True):
        yield (size - window) // stride + 1 if _padding(layer) == "VALID" else -(-size // stride)


def _product(shape: Shape) -> UnitCount:
    """Return the number of features of a flattened shape; multiples of the width stay such."""
    *positions, channels = shape
    copies = prod(map(int, positions))
    return copies * channels if isinstance(channels, int) else f"{copies * int(channels.removesuffix('x'))}x"


def untiled(pool: Pool, shape: Shape) -> bool:
    """Return whether windows of a pooling, laid side by side, leave some positions out."""
    return any(int(size) % window for size, window in zip(shape[:2], pool.window, strict=True))


def shown(shape: Shape) -> str:
    """Return a shape in words: `an image of 8 x 8 with 32 channels`, `a vector of 64`."""
    if len(shape) == 1:
        return f"a vector of {shape[0]}"
    return f"an image of {shape[0]} x {shape[1]} with {shape[2]} channels"
