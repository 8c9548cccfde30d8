"""The layers that a spec can name: one model for each, selected by its `op`.

A network of one's own is a list of layers, and every named architecture is turned into one:

    architecture: {kind: layers, layers: [{op: flatten}, {op: dense}, {op: relu}, {op: dense}]}

The texts below the fields are shown in the reference of specs.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ntkbench.spec.notation import BelowOne, Expects, Offset, Scale, Units, Window, listed
from ntkbench.spec.section import Section, ToldApart

OUTPUTS = "outputs"
"""width that stands for the number of outputs; the program sets it on the last layer"""

Smooth = Literal["erf", "gelu", "tanh", "sigmoid", "softplus", "silu", "sin"]
"""activations without parameters, apart from relu"""
ActivationName = Literal["relu", "leaky_relu", Smooth]
"""activations that a named architecture can use"""


class Weighted(Section):
    """Fields of all layers with weights."""

    width: Units = "1x"
    """units (channels); 2x is twice the width of the cell"""
    W_std: Scale | Literal["same"] = "same"
    """standard deviation of the weights before the division by sqrt(fan in); same: that of the architecture"""
    b_std: Offset | Literal["same"] | None = "same"
    """standard deviation of the biases; same: that of the architecture; null: no biases"""


class Dense(Weighted):
    """A fully connected layer; as the last layer it has one unit for each output."""

    op: Literal["dense"]


class Conv(Weighted):
    """A convolution of an image."""

    op: Literal["conv"]
    window: Window = (3, 3)
    """rows and columns that a unit sees"""
    stride: Window = (1, 1)
    """rows and columns from one unit to the next"""
    padding: Literal["SAME", "VALID", "CIRCULAR", "CENTERED"] = "SAME"
    """what is beyond the border: zeros, nothing (the image shrinks), or the other side. SAME has as many zeros as the
    stride needs, the odd one after the image; CENTERED half a window on either side, as in PyTorch"""


class Pool(Section):
    """Fields of all pooling layers."""

    window: Window = (2, 2)
    """rows and columns of a window"""
    stride: Window | None = None
    """rows and columns from one window to the next; null: those of the window, so that windows lie side by side"""

    @property
    def steps(self) -> tuple[int, int]:
        """The stride, by default that of the window."""
        return self.stride or self.window


class AvgPool(Pool):
    """The mean of each window."""

    op: Literal["avg_pool"]
    padding: Literal["SAME", "VALID", "CIRCULAR"] = "VALID"
    """what is beyond the border: nothing (the image shrinks), zeros, or the other side"""


class MaxPool(Pool):
    """The largest value of each window. Finite networks only: it has no infinite-width limit."""

    op: Literal["max_pool"]


class GlobalAvgPool(Section):
    """The mean over the whole image, a vector of channels."""

    op: Literal["gap"]


class Flatten(Section):
    """The image as one vector."""

    op: Literal["flatten"]


class LayerNorm(Section):
    """(x - mean) / sd over the channels at each position, without weights."""

    op: Literal["layer_norm"]


class BatchNorm(Section):
    """(x - mean) / sd of each channel over a batch and its positions. Finite networks only.

    In training, mean and sd are those of the batch; everywhere else, moving averages. A batch has two examples or more:
    if a single one is left over at the end of an epoch, it sits that epoch out.
    """

    op: Literal["batch_norm"]
    momentum: BelowOne = 0.9
    """share of the moving mean and variance that is kept at each step"""
    affine: Annotated[bool, Field(json_schema_extra={"as_before": False})] = False
    """whether each channel then has a weight and a shift, which are trained and begin at 1 and 0"""


class Activation(Section):
    """An activation function. Its infinite-width kernel is exact (tanh, sigmoid, softplus and silu: to 1e-11)."""

    op: Literal["relu", Smooth]


class LeakyReLU(Section):
    """x above 0, `leak` x below."""

    op: Literal["leaky_relu"]
    leak: BelowOne = 0.01
    """slope below 0"""


class Residual(Section):
    """The sum of parallel branches; an empty branch is the identity."""

    op: Literal["residual"]
    branches: Annotated[
        tuple[Annotated[tuple["Layer", ...], BeforeValidator(listed), Expects("a list of layers, [] for none")], ...],
        Field(min_length=2),
        BeforeValidator(listed),
        Expects("a list of two branches or more, each a list of layers"),
    ]
    """all get the same input, and end in the same shape"""


Layer = Annotated[
    Dense
    | Conv
    | AvgPool
    | MaxPool
    | GlobalAvgPool
    | Flatten
    | LayerNorm
    | BatchNorm
    | Activation
    | LeakyReLU
    | Residual,
    ToldApart("op"),
    Expects("a layer such as {op: relu}"),
]
"""any layer, selected by its `op`"""
