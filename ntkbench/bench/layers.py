"""The words that networks are made of: one model a layer, told apart by its `op`.

A network of one's own is a list of them, and so is, in the end, every network with a name.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ntkbench.bench.notation import BelowOne, Offset, Says, Scale, Units, Window, listed
from ntkbench.bench.section import Section

OUTPUTS = "outputs"
"""The width of the last layer, which no spec has to know."""

Smooth = Literal["erf", "gelu", "tanh", "sigmoid", "softplus", "silu", "sin"]
ActivationName = Literal["relu", "leaky_relu", Smooth]


class Weighted(Section):
    """What layers with weights share."""

    width: Units = "1x"
    """units (channels); 2x is twice the width of the cell"""
    W_std: Scale | Literal["same"] = "same"
    """same: that of the architecture"""
    b_std: Offset | Literal["same"] | None = "same"
    """same: that of the architecture; null: no biases"""


class Dense(Weighted):
    """Every unit sees every feature of a vector; as the last layer, one unit an output."""

    op: Literal["dense"]


class Conv(Weighted):
    """A convolution of an image."""

    op: Literal["conv"]
    window: Window = (3, 3)
    """rows and columns that a unit sees"""
    stride: Window = (1, 1)
    """rows and columns from one unit to the next"""
    padding: Literal["SAME", "VALID", "CIRCULAR"] = "SAME"
    """what is beyond the border: zeros, nothing (the image shrinks), or the other side"""


class Pool(Section):
    """What poolings share."""

    window: Window = (2, 2)
    """rows and columns"""
    stride: Window | None = None
    """null: that of the window, so that windows lie side by side"""

    @property
    def steps(self) -> tuple[int, int]:
        return self.stride or self.window


class AvgPool(Pool):
    """The mean of each window."""

    op: Literal["avg_pool"]
    padding: Literal["SAME", "VALID", "CIRCULAR"] = "VALID"
    """what is beyond the border: nothing (the image shrinks), zeros, or the other side"""


class MaxPool(Pool):
    """The largest value of each window. Finite networks only: it has no limit."""

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
    """(x - mean) / sd of each channel over a batch and its positions, without weights. Finite networks only.

    In training they are those of the batch itself; everywhere else, constants that have moved along. A batch has two
    examples or more: one that is left over at the end of an epoch sits that epoch out.
    """

    op: Literal["batch_norm"]
    momentum: BelowOne = 0.9
    """share of the moving mean and variance that stays at each step"""


class Activation(Section):
    """A function of each unit. Its limit is exact (tanh, sigmoid, softplus and silu: to 1e-11)."""

    op: Literal["relu", Smooth]


class LeakyReLU(Section):
    """x above 0, `leak` x below."""

    op: Literal["leaky_relu"]
    leak: BelowOne = 0.01
    """slope below 0"""


class Residual(Section):
    """Branches side by side, added up; an empty list is the identity."""

    op: Literal["residual"]
    branches: Annotated[
        tuple[Annotated[tuple["Layer", ...], BeforeValidator(listed), Says("a list of layers, [] for none")], ...],
        Field(min_length=2),
        BeforeValidator(listed),
        Says("a list of two branches or more, each a list of layers"),
    ]
    """all see the same, and end in the same shape"""


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
    Field(discriminator="op"),
    Says("a layer such as {op: relu}"),
]
