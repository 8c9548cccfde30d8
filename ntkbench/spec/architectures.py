"""The `architecture` section of a spec: networks by name, or layer by layer.

A model describes a finite network of any width and, for most, its infinite-width limit. `blueprint.layers` turns each
into a list of layers, so that no other module knows a network by its name.
"""

import abc
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from ntkbench.spec.extensions import Kinds
from ntkbench.spec.layers import ActivationName, Layer
from ntkbench.spec.notation import BelowOne, Expects, Name, Offset, Scale, Window, listed
from ntkbench.spec.section import Section

LEAK = 0.01
"""default slope of leaky_relu below 0"""

Depth = Annotated[int, Field(ge=1, le=100)]
Head = Literal["flatten", "gap"]
"""what turns an image into a vector before the dense layer"""


class Initialization(Section):
    """Base class of all networks: the scales of weights and biases."""

    W_std: Scale = 2**0.5
    """standard deviation of the weights, before the division by sqrt(fan in)"""
    b_std: Offset | None = 0.1
    """standard deviation of the biases; null builds a network without them"""
    parameterization: Literal["ntk", "standard"] = "ntk"
    """ntk: W_std w / sqrt(fan in) with w ~ N(0, 1); standard: the scale is in the initial weights"""


class NamedArchitecture(Initialization):
    """Base class of the networks that have a name: their activation."""

    activation: ActivationName = "relu"
    """nonlinearity of all hidden layers"""
    leak: Annotated[BelowOne, Field(json_schema_extra={"as_before": LEAK})] = LEAK
    """slope below 0, of leaky_relu alone"""


class FC(NamedArchitecture):
    """A fully connected network; `depth` counts its hidden layers."""

    kind: Literal["fc"]
    depth: Depth = 1
    """number of hidden layers"""


class ConvNet(NamedArchitecture):
    """Convolutions of equal width, then a dense head."""

    kind: Literal["conv"]
    depth: Depth = 1
    """number of convolutions"""
    window: Window = (3, 3)
    """rows and columns that a unit sees"""
    stride: Window = (1, 1)
    """rows and columns from one unit to the next, in each convolution"""
    padding: Literal["SAME", "VALID", "CIRCULAR"] = "SAME"
    """what is beyond the border: zeros, nothing (the image shrinks), or the other side"""
    head: Head = "flatten"
    """what is before the dense layer: flatten keeps positions, gap takes the mean over them"""


class Myrtle(NamedArchitecture):
    """The Myrtle networks (Shankar et al. 2020): 3 x 3 convolutions in three groups, 2 x 2 average pooling between."""

    kind: Literal["myrtle"]
    depth: Literal[5, 7, 10] = 5
    """convolutions and the head: 2+1+1, 2+2+2 or 3+3+3 convolutions"""


class ResNet(NamedArchitecture):
    """A wide residual network (Zagoruyko & Komodakis 2016) without batch normalization."""

    kind: Literal["resnet"]
    blocks: Depth = 1
    """residual blocks in each stage, of two 3 x 3 convolutions"""
    stages: Annotated[int, Field(ge=1, le=6)] = 1
    """number of stages; each but the first halves the image and doubles the width"""
    layer_norm: bool = False
    """layer normalization before the last activation"""
    head: Head = "gap"
    """what is before the dense layer: flatten keeps positions, gap takes the mean over them"""


class ResNet18(NamedArchitecture):
    """Finite only: ResNet-18 (He et al. 2016) for small images, 11,173,962 weights for CIFAR-10 at width 64.

    It begins with one 3 x 3 convolution of stride 1. Batch normalization has a weight and a shift for each channel, and
    convolutions have no biases.
    """

    kind: Literal["resnet18"]
    b_std: Offset | None = 0.0
    """standard deviation of the biases of the last layer; null builds a network without them"""
    parameterization: Literal["ntk", "standard"] = "standard"


class PaperCNN(NamedArchitecture):
    """Base class of the networks of Tsilivis & Kempe 2022.

    Weights are drawn as their scripts do: variance 1 / fan in, biases 0, the scale in the initial weights.
    """

    W_std: Scale = 1.0
    b_std: Offset | None = 0.0
    parameterization: Literal["ntk", "standard"] = "standard"


class CNNSmall(PaperCNN):
    """Finite only: the small network of Tsilivis & Kempe 2022, 1,070,794 weights for CIFAR-10 at width 32."""

    kind: Literal["cnn_small"]


class CNNLarge(PaperCNN):
    """Finite only: the large network of Tsilivis & Kempe 2022, 368,938 weights for CIFAR-10 at width 32."""

    kind: Literal["cnn_large"]


class Layers(Initialization):
    """A network given layer by layer; the last layer is dense, with one unit for each output."""

    kind: Literal["layers"]
    layers: Annotated[
        tuple[Layer, ...],
        Field(min_length=1),
        BeforeValidator(listed),
        Expects("a list of layers, such as [{op: conv}, {op: relu}, {op: flatten}, {op: dense}]"),
    ]
    """from the image to the outputs, each with its `op`"""


class FunctionNetwork(Section):
    """Base class of the networks that are functions of weights and an example: nothing is known of their layers."""

    parameterization: ClassVar[Literal["ntk"]] = "ntk"
    """of a limit, which they do not have"""


class Given(FunctionNetwork):
    """A trained network from a Python program, which `ntkbench.evaluate` hands over; a file cannot name one."""

    kind: Literal["given"]
    name: Name
    """what its author calls it"""
    version: Annotated[str, Field(min_length=1, max_length=80)]
    """which one of that name it is"""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$"), Expects("64 hexadecimal digits")]
    """SHA-256 of its weights and of the program that JAX traces from it"""


class ExtensionNetwork(FunctionNetwork, abc.ABC):
    """Base class of the networks of other packages that are functions, such as Equinox or Flax modules."""

    builder: ClassVar[str]
    """`package.module:function`, which takes this model and the number of outputs, and returns two functions:
    `init(key, shape, width)` returns the weights for examples of that shape, `apply(weights, x)` the outputs for one
    example"""


class ExtensionArchitecture(Initialization, abc.ABC):
    """Base class of the architectures of other packages, which give a network as the list of its layers."""

    @abc.abstractmethod
    def stack(self) -> tuple[Layer, ...]:
        """Return the layers from the image to the outputs; the last is dense, whatever its width one unit an output."""


Architecture = Annotated[
    FC | ConvNet | Myrtle | ResNet | ResNet18 | CNNSmall | CNNLarge | Layers | Given,
    Kinds("architectures", ExtensionArchitecture | ExtensionNetwork),
]
