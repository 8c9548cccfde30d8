"""Turn the network that a spec describes into a recipe of `ntkbench.ntk`, from which networks and kernels are made.

    recipe(cell.architecture, width=512, outputs=10)    # Sequential((Conv(512, (3, 3), ...), ...))

The models of specs (`layers`) know names and relative widths; the layers of a recipe compute.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import jax
import jax.numpy as jnp

from ntkbench.bench import blueprint, layers
from ntkbench.bench.architecture import Architecture
from ntkbench.bench.shapes import Sizes
from ntkbench.ntk import activations, convolution
from ntkbench.ntk.batch_norm import BatchNorm
from ntkbench.ntk.layers import Dense, Flatten, Layer, Parameterization, Sequential, Sum

ACTIVATIONS: Mapping[str, activations.Activation] = MappingProxyType(
    {
        "relu": activations.ReLU(),
        "erf": activations.Erf(),
        "gelu": activations.GELU(),
        "tanh": activations.Logistic(jnp.tanh, activations.Erf(), slope=2**0.5),
        "sigmoid": activations.Logistic(jax.nn.sigmoid, activations.Erf(), slope=0.5**0.5, factor=0.5, shift=0.5),
        "softplus": activations.Logistic(jax.nn.softplus, activations.SmoothReLU(), power=1),
        "silu": activations.Logistic(jax.nn.silu, activations.GELU(), power=1),
        "sin": activations.Sin(),
    }
)
"""activations by their names in specs; those without a closed kernel are mixtures of others, see
`activations.Logistic`"""


def recipe(architecture: Architecture, width: int, outputs: int) -> Sequential:
    """Return the network that an architecture describes; equal descriptions give equal recipes.

    Args:
        architecture: its description in the spec.
        width: units of a hidden layer of relative width 1x.
        outputs: number of outputs.
    """
    sizes = Sizes(width, outputs)
    return _sequential(blueprint.layers(architecture), sizes, architecture.parameterization)


def _sequential(words: Sequence[layers.Layer], sizes: Sizes, parameterization: Parameterization) -> Sequential:
    return Sequential(tuple(_layer(word, sizes, parameterization) for word in words))


def _layer(word: layers.Layer, sizes: Sizes, parameterization: Parameterization) -> Layer:
    """Return the layer of a recipe that a layer of a spec describes."""
    match word:
        case layers.Dense():
            return Dense(int(sizes.units(word)), *_scales(word), parameterization)
        case layers.Conv(window=window, stride=stride, padding=padding):
            units = int(sizes.units(word))
            return convolution.Conv(units, window, stride, padding, *_scales(word), parameterization)
        case layers.AvgPool(window=window, steps=stride, padding=padding):
            return convolution.AvgPool(window, stride, padding)
        case layers.MaxPool(window=window, steps=stride):
            return convolution.MaxPool(window, stride)
        case layers.GlobalAvgPool():
            return convolution.GlobalAvgPool()
        case layers.Flatten():
            return Flatten()
        case layers.LayerNorm():
            return activations.LayerNorm()
        case layers.BatchNorm(momentum=momentum):
            return BatchNorm(momentum)
        case layers.LeakyReLU(leak=leak):
            return activations.ReLU(leak)
        case layers.Activation(op=name):
            return ACTIVATIONS[name]
        case layers.Residual(branches=branches):
            return Sum(tuple(_sequential(branch, sizes, parameterization) for branch in branches))


def _scales(word: layers.Weighted) -> tuple[float, float | None]:
    """Return W_std and b_std as floats; a layer without biases has no b_std."""
    return float(word.W_std), None if word.b_std is None else float(word.b_std)
