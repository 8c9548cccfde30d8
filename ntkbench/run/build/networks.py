"""Turn the architecture of a spec into a recipe, and draw networks from it."""

import zlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ntkbench.data import dataset
from ntkbench.ntk import activations, batch_norm, convolution, network
from ntkbench.ntk.batch_norm import BatchNorm
from ntkbench.ntk.compilation import jit
from ntkbench.ntk.layers import Dense, Flatten, Layer, Parameterization, Sequential, Sum
from ntkbench.plan.networks import layers
from ntkbench.plan.shapes import WidthAndOutputs
from ntkbench.spec import layers as spec_layers
from ntkbench.spec.architectures import Architecture
from ntkbench.spec.cell import Cell

# Turn the network that a spec describes into a recipe of `ntkbench.ntk`, from which networks and kernels are made.
#
#     recipe(cell.architecture, width=512, outputs=10)    # Sequential((Conv(512, (3, 3), ...), ...))
#
# The models of specs (`layers`) know names and relative widths; the layers of a recipe compute.


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


def stateless(architecture: Architecture, width: int, outputs: int) -> Sequential:
    """Return the network that an architecture describes; equal descriptions give equal recipes.

    Args:
        architecture: its description in the spec.
        width: units of a hidden layer of relative width 1x.
        outputs: number of outputs.
    """
    sizes = WidthAndOutputs(width, outputs)
    return _sequential(layers(architecture), sizes, architecture.parameterization)


def _sequential(
    words: Sequence[spec_layers.Layer], sizes: WidthAndOutputs, parameterization: Parameterization
) -> Sequential:
    return Sequential(tuple(_layer(word, sizes, parameterization) for word in words))


def _layer(word: spec_layers.Layer, sizes: WidthAndOutputs, parameterization: Parameterization) -> Layer:
    """Return the layer of a recipe that a layer of a spec describes."""
    match word:
        case spec_layers.Dense():
            return Dense(int(sizes.units(word)), *_scales(word), parameterization)
        case spec_layers.Conv(window=window, stride=stride, padding=padding):
            units = int(sizes.units(word))
            return convolution.Conv(units, window, stride, padding, *_scales(word), parameterization)
        case spec_layers.AvgPool(window=window, steps=stride, padding=padding):
            return convolution.AvgPool(window, stride, padding)
        case spec_layers.MaxPool(window=window, steps=stride):
            return convolution.MaxPool(window, stride)
        case spec_layers.GlobalAvgPool():
            return convolution.GlobalAvgPool()
        case spec_layers.Flatten():
            return Flatten()
        case spec_layers.LayerNorm():
            return activations.LayerNorm()
        case spec_layers.BatchNorm(momentum=momentum):
            return BatchNorm(momentum)
        case spec_layers.LeakyReLU(leak=leak):
            return activations.ReLU(leak)
        case spec_layers.Activation(op=name):
            return ACTIVATIONS[name]
        case spec_layers.Residual(branches=branches):
            return Sum(tuple(_sequential(branch, sizes, parameterization) for branch in branches))


def _scales(word: spec_layers.Weighted) -> tuple[float, float | None]:
    """Return W_std and b_std as floats; a layer without biases has no b_std."""
    return float(word.W_std), None if word.b_std is None else float(word.b_std)


_FIRST_BATCH = 256
"""number of examples whose statistics batch normalization begins with, or all if there are fewer"""


def stream(seed: int, purpose: str) -> jax.Array:
    """Return the random key of a seed for one purpose; a key of its own for each, so that new uses shift no other."""
    return jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), zlib.crc32(purpose.encode()))


def networks(cell: Cell, seeds: Sequence[int], shape: tuple[int, ...], outputs: int) -> network.Network:
    """Draw the initial networks of several seeds, stacked along a first axis, for examples of `shape`."""
    assert cell.width is not None
    drawn = stateless(cell.architecture, cell.width, outputs)
    keys = jnp.stack([stream(seed, "init") for seed in seeds])
    return _draw(drawn, shape, jnp.dtype(cell.numerics.network), keys)


@eqx.filter_jit
def _draw(recipe, shape, dtype, keys):
    return eqx.filter_vmap(lambda key: network.initialize(recipe, shape, key=key, dtype=dtype))(keys)


def with_initial_statistics(networks: network.Network, examples: dataset.Split) -> network.Network:
    """Return the networks with batch normalization statistics from the first training examples, if they have any."""
    if not (there := batch_norm.statistics(networks.weights)):
        return networks
    return _settle(networks, jnp.asarray(examples.unit(there[0].mean.dtype)[:_FIRST_BATCH]))


_settle = jit(eqx.filter_vmap(network.settled, in_axes=(eqx.if_array(0), None)))


def unstack(stacked: Any, i: int) -> Any:
    """Return the i-th of several stacked predictors."""
    return jax.tree.map(lambda leaf: leaf[i] if eqx.is_array(leaf) else leaf, stacked)
