"""Networks by name: each function returns a recipe."""

import math
from collections.abc import Callable

from ntkbench.ntk.activations import Activation, ReLU
from ntkbench.ntk.layers import Dense, Flatten, Parameterization, Sequential

ACTIVATIONS: dict[str, Callable[[], Activation]] = {"relu": ReLU}


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
