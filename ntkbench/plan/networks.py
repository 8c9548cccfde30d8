"""Turn every architecture of a spec into one list of layers; what a network's name stands for is defined only here.

    layers(FC(kind="fc", depth=1))      # flatten, dense, relu, dense

Shapes, costs, limits and recipes all read this list, and none of them knows a network by its name.
"""

from collections.abc import Iterator, Sequence

from ntkbench.memo import by_identity
from ntkbench.spec.architectures import (
    FC,
    Architecture,
    CNNLarge,
    CNNSmall,
    ConvNet,
    ExtensionArchitecture,
    FunctionNetwork,
    Initialization,
    Layers,
    Myrtle,
    NamedArchitecture,
    ResNet,
    ResNet18,
)
from ntkbench.spec.layers import (
    OUTPUTS,
    Activation,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Layer,
    LayerNorm,
    LeakyReLU,
    MaxPool,
    Residual,
    Weighted,
)

_FLATTEN, _GAP = Flatten(op="flatten"), GlobalAvgPool(op="gap")
_HEADS = {"flatten": _FLATTEN, "gap": _GAP}
_MYRTLE = {5: (2, 1, 1), 7: (2, 2, 2), 10: (3, 3, 3)}
"""numbers of convolutions in the three groups, by depth (Shankar et al. 2020)"""


@by_identity
def layers(architecture: Architecture) -> tuple[Layer, ...]:
    """Return the layers from example to outputs with W_std and b_std filled in; a width such as `2x` stays relative.

    Nothing is known of the layers of a network that is a function: it has none here.
    """
    if isinstance(architecture, FunctionNetwork):
        return ()
    return tuple(_scaled(layer, architecture) for layer in _layers(architecture))


@by_identity
def operations(architecture: Architecture) -> frozenset[str]:
    """Return the `op` of every layer of the network, those inside residual branches included."""
    return _operations(layers(architecture))


def _operations(layers: Sequence[Layer]) -> frozenset[str]:
    within = (_operations(branch) for layer in layers if isinstance(layer, Residual) for branch in layer.branches)
    return frozenset(layer.op for layer in layers).union(*within)


def _scaled(layer: Layer, scales: Initialization) -> Layer:
    """Return the layer with the network's W_std and b_std where it says `same`."""
    if isinstance(layer, Residual):
        branches = tuple(tuple(_scaled(inner, scales) for inner in branch) for branch in layer.branches)
        return layer.model_copy(update={"branches": branches})
    if not isinstance(layer, Weighted):
        return layer
    own = {name: getattr(scales, name) for name in ("W_std", "b_std") if getattr(layer, name) == "same"}
    return layer.model_copy(update=own)


def _layers(architecture: Initialization) -> Iterator[Layer]:
    """Yield the layers as the definition of the network has them, before scales are filled in."""
    if isinstance(architecture, Layers | ExtensionArchitecture):
        *body, last = architecture.layers if isinstance(architecture, Layers) else architecture.stack()
        yield from (*body, _head(last) if isinstance(last, Dense) else last)
        return
    assert isinstance(architecture, NamedArchitecture)
    act = activation(architecture)
    match architecture:
        case FC(depth=depth):
            yield from (_FLATTEN, *(Dense(op="dense"), act) * depth)
        case ConvNet(depth=depth, window=window, stride=stride, padding=padding, head=head):
            yield from (Conv(op="conv", window=window, stride=stride, padding=padding), act) * depth
            yield _HEADS[head]
        case Myrtle(depth=depth):
            first, second, third = ((Conv(op="conv"), act) * number for number in _MYRTLE[depth])
            yield from (*first, AvgPool(op="avg_pool"), *second, AvgPool(op="avg_pool"), *third, _GAP)
        case ResNet():
            yield from _residual(architecture, act)
        case ResNet18():
            yield from _resnet18(act)
        case CNNSmall():
            for width in ("1x", "2x"):
                yield from (Conv(op="conv", width=width), act, AvgPool(op="avg_pool"))
            yield from (_FLATTEN, Dense(op="dense", width="8x"), act)
        case CNNLarge():
            yield from (Conv(op="conv"), act) * 2
            yield MaxPool(op="max_pool")
            for width in ("2x", "4x"):
                yield from (Conv(op="conv", width=width), act) * 2
            yield from (AvgPool(op="avg_pool"), _FLATTEN)
    yield _head(Dense(op="dense"))


def _head(last: Dense) -> Dense:
    """Return the last layer with one unit for each output, whatever width the spec gives it."""
    return last.model_copy(update={"width": OUTPUTS})


def activation(named: NamedArchitecture) -> Activation | LeakyReLU:
    """Return the layer of the activation that follows each hidden layer."""
    if named.activation == "leaky_relu":
        return LeakyReLU(op="leaky_relu", leak=named.leak)
    return Activation(op=named.activation)


def _residual(network: ResNet, act: Layer) -> Iterator[Layer]:
    """Yield the layers of a wide residual network (Zagoruyko & Komodakis 2016).

    Activations stand before convolutions, so that every summand ends in a convolution or a sum of them, and the sum has
    a known infinite-width limit. The first block of a stage that halves the image has a 1 x 1 convolution of stride 2
    as its shortcut.
    """
    yield Conv(op="conv")
    for stage in range(network.stages):
        width = f"{2**stage}x"
        for block in range(network.blocks):
            halves = stage > 0 and block == 0
            stride = (2, 2) if halves else (1, 1)
            shortcut = (Conv(op="conv", width=width, window=(1, 1), stride=stride),) if halves else ()
            main = (act, Conv(op="conv", width=width, stride=stride), act, Conv(op="conv", width=width))
            yield Residual(op="residual", branches=(shortcut, main))
    if network.layer_norm:
        yield LayerNorm(op="layer_norm")
    yield from (act, _HEADS[network.head])


def _resnet18(act: Layer) -> Iterator[Layer]:
    """Yield the layers of ResNet-18 for small images (He et al. 2016): four stages of two blocks each.

    A block that halves the image and doubles the width has a 1 x 1 convolution, normalized, as its shortcut. Borders
    are padded as in PyTorch, so that weights from there mean the same.
    """
    yield from (*_normalized("1x"), act)
    for stage in range(4):
        width = f"{2**stage}x"
        for block in range(2):
            first = stage > 0 and block == 0
            stride = (2, 2) if first else (1, 1)
            shortcut = _normalized(width, stride, window=(1, 1)) if first else ()
            main = (*_normalized(width, stride), act, *_normalized(width))
            yield from (Residual(op="residual", branches=(shortcut, main)), act)
    yield _GAP


def _normalized(
    width: str, stride: tuple[int, int] = (1, 1), window: tuple[int, int] = (3, 3)
) -> tuple[Conv, BatchNorm]:
    """Return a convolution without biases, and batch normalization with a weight and a shift for each channel."""
    conv = Conv(op="conv", width=width, window=window, stride=stride, padding="CENTERED", b_std=None)
    return conv, BatchNorm(op="batch_norm", affine=True)
