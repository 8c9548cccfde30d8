"""The fully connected network: the recipe that all others are built like.

Networks with a name are lists of words, and are put together from layers where words become numbers.
"""

import math

from ntkbench.ntk.activations import Activation, ReLU
from ntkbench.ntk.layers import Dense, Flatten, Parameterization, Sequential


def fc(
    width: int,
    outputs: int,
    *,
    depth: int,
    activation: Activation = ReLU(),  # noqa: B008 (a frozen value)
    W_std: float = math.sqrt(2),
    b_std: float | None = 0.0,
    parameterization: Parameterization = "ntk",
) -> Sequential:
    """A fully connected network with `depth` hidden layers of `width` units."""
    hidden = Dense(width, W_std, b_std, parameterization)
    head = Dense(outputs, W_std, b_std, parameterization)
    return Sequential((Flatten(), *(hidden, activation) * depth, head))
