"""Turn the architecture of a spec into a recipe, and draw networks from it."""

import functools
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ntkbench.data import dataset
from ntkbench.errors import DataError, UsageError
from ntkbench.ntk import activations, batch_norm, convolution, given, network
from ntkbench.ntk.batch_norm import BatchNorm
from ntkbench.ntk.compilation import jit
from ntkbench.ntk.layers import Dense, Flatten, Layer, Parameterization, Sequential, Sum
from ntkbench.ntk.standardize import Standardize
from ntkbench.plan import shapes, sizes, user_files
from ntkbench.plan.networks import layers
from ntkbench.plan.shapes import WidthAndOutputs
from ntkbench.spec import extensions
from ntkbench.spec import layers as spec_layers
from ntkbench.spec.architectures import Architecture, ExtensionNetwork, FunctionNetwork, Given
from ntkbench.spec.cell import Cell
from ntkbench.spec.training import Pretrained

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
        case spec_layers.BatchNorm(momentum=momentum, affine=affine):
            return BatchNorm(momentum, affine)
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


def initial(
    cell: Cell,
    seeds: Sequence[int],
    examples: dataset.Split,
    at_hand: Mapping[str, network.Trainable],
    roots: Sequence[Path],
) -> network.Trainable:
    """Return the networks of several seeds before their training, stacked along a first axis.

    Args:
        cell: the experiment, which has a network.
        seeds: what their weights are drawn with; a given network is the same for all.
        examples: the training examples, whose first ones batch normalization begins with.
        at_hand: predictors that architectures of the kind `given` stand for, by their SHA-256.
        roots: folders in which a file of weights is looked for, if it is not where the spec says.

    Raise DataError if the file of weights is not there, or holds other arrays than the network.
    """
    if isinstance(cell.training, Pretrained):
        filled = _with_weights_of_file(unstack(_drawn(cell, seeds[:1], examples, at_hand), 0), cell, roots)
        return stack([filled for _ in seeds])
    return _drawn(cell, seeds, examples, at_hand)


def _drawn(
    cell: Cell, seeds: Sequence[int], examples: dataset.Split, at_hand: Mapping[str, network.Trainable]
) -> network.Trainable:
    """Return what `initial` does, without the weights of a file."""
    shape = examples.images.shape[1:]
    match cell.architecture:
        case Given(sha256=sha256) if sha256 not in at_hand:
            raise UsageError(
                "a given network is in the memory of the Python program that called `ntkbench.evaluate`, and its "
                "weights are nowhere else"
            )
        case Given(sha256=sha256):
            return stack([at_hand[sha256] for _ in seeds])
        case ExtensionNetwork():
            return stack([_function(cell, seed, shape) for seed in seeds])
    return with_initial_statistics(networks(cell, seeds, shape, shapes.outputs(cell.data)), examples)


def _function(cell: Cell, seed: int, shape: tuple[int, ...]) -> given.Given:
    """Draw the network of another package for examples of `shape`.

    Raise NtkbenchError if its builder cannot be loaded, UsageError for weights and outputs that are not as they should.
    """
    words: Any = cell.architecture
    outputs, dtype = shapes.outputs(cell.data), cell.numerics.network
    init, apply = _functions(words, outputs)
    with jax.numpy_dtype_promotion("standard"):  # as its author's code may mix types
        weights = init(stream(seed, "init"), shape, cell.width)
    drawn = network.cast(given.Given.of(apply, weights), dtype)
    given.require_outputs(drawn, jnp.zeros(shape, dtype), outputs)
    return drawn


def _with_weights_of_file(drawn: network.Trainable, cell: Cell, roots: Sequence[Path]) -> network.Trainable:
    """Return a network with the weights of the cell's file, and with its inputs standardized where the cell says so."""
    words = cell.training
    assert isinstance(words, Pretrained)
    file, own = user_files.find(words, roots), leaves(cell, drawn)
    arrays = file.load()
    if why := file.misfit({name: each.shape for name, each in own.items()}):
        raise DataError(f"training.weights: {os.path.basename(words.weights)}: {why}")
    new = [jnp.asarray(arrays[name], leaf.dtype) for name, leaf in own.items()]
    filled = network.with_weights(drawn, jax.tree.unflatten(jax.tree.structure(drawn.weights), new))
    return filled if words.inputs is None else filled.after(Standardize(words.inputs.mean, words.inputs.std))


def leaves(cell: Cell, predictor: network.Trainable) -> dict[str, Any]:
    """Return the arrays of the cell's network by name, statistics of batch normalization included.

    Names follow from the list of layers; without one, from the places in the PyTree of the weights.
    """
    if isinstance(cell.architecture, FunctionNetwork):
        return given.named_leaves(predictor.weights)
    return dict(zip(sizes.leaves(cell), jax.tree.leaves(predictor.weights), strict=True))


@functools.cache
def _functions(words: ExtensionNetwork, outputs: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return `init` and `apply` of a network of another package; cached, as programs are compiled for each `apply`."""
    return extensions.builder(words)(words, outputs)


def stack(predictors: Sequence[network.T]) -> network.T:
    """Return several predictors that differ in their arrays alone, stacked along a first axis."""
    return jax.tree.map(lambda *same: jnp.stack(same) if eqx.is_array(same[0]) else same[0], *predictors)


def with_initial_statistics(networks: network.Network, examples: dataset.Split) -> network.Network:
    """Return the networks with batch normalization statistics from the first training examples, if they have any."""
    if not (there := batch_norm.statistics(networks.weights)):
        return networks
    return _settle(networks, jnp.asarray(examples.unit(there[0].mean.dtype)[:_FIRST_BATCH]))


_settle = jit(eqx.filter_vmap(network.settled, in_axes=(eqx.if_array(0), None)))


def unstack(stacked: Any, i: int) -> Any:
    """Return the i-th of several stacked predictors."""
    return jax.tree.map(lambda leaf: leaf[i] if eqx.is_array(leaf) else leaf, stacked)
