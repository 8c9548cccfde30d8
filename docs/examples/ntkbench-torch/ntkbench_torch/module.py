"""Turn a module of PyTorch into a function of its weights and one image, which JAX can differentiate.

net = as_function(module, mean=(0.49, 0.48, 0.45), std=(0.25, 0.24, 0.26))
nb.evaluate(net, data, attacks, name="mine")
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import torch
import torchax

Weights = dict[str, Any]
"""parameters by their names in the module, as arrays of JAX"""


def as_function(
    module: torch.nn.Module, *, mean: float | Sequence[float] = 0.0, std: float | Sequence[float] = 1.0
) -> tuple[Callable[[Weights, jax.Array], jax.Array], Weights]:
    """Return a module in evaluation mode as a function of its parameters and one image, and its parameters.

    The function takes an image as ntkbench has it, (rows, columns, channels) with pixels in [0, 1], standardizes it,
    and gives it to the module as a batch of one with the channels first. Two outputs become one, the second less the
    first, which is what ntkbench asks of two classes. Buffers, such as the statistics of batch normalization, and
    parameters that require no gradient are part of the function: a kernel has no derivatives by them. The module itself
    is not changed.

    Args:
        module: takes a batch of images (n, channels, rows, columns) and returns one output a class.
        mean: what is subtracted from pixels, for each channel or for all.
        std: what pixels are then divided by.
    """
    still = copy.deepcopy(module).eval()
    state, forward = torchax.extract_jax(still)
    named = {name for name, parameter in still.named_parameters() if parameter.requires_grad}
    weights = {name: value for name, value in state.items() if name in named}
    buffers = {name: value for name, value in state.items() if name not in named}
    shift, scale = jnp.asarray(mean, jnp.float32), jnp.asarray(std, jnp.float32)

    def function(weights: Weights, image: jax.Array) -> jax.Array:
        standardized = (image - shift.astype(image.dtype)) / scale.astype(image.dtype)
        (outputs,) = forward({**buffers, **weights}, (jnp.moveaxis(standardized, -1, 0)[None],))
        return outputs[1:] - outputs[:1] if outputs.size == 2 else outputs

    return function, weights
