"""The cases on ntkbench."""

from collections.abc import Callable
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
from cases import B_STD, EPS, STEP, STEPS, W_STD, Case

from ntkbench.ntk import attacks, balls, gram, losses, regression
from ntkbench.ntk.activations import ReLU
from ntkbench.ntk.convolution import AvgPool, Conv, GlobalAvgPool
from ntkbench.ntk.infinite import InfiniteKernel
from ntkbench.ntk.layers import Dense, Flatten, Layer, Sequential

# The limit knows no widths.
LAYERS: dict[str, Layer] = {
    "dense": Dense(1, W_STD, B_STD),
    "conv": Conv(1, W_std=W_STD, b_std=B_STD),
    "relu": ReLU(),
    "pool": AvgPool(),
    "gap": GlobalAvgPool(),
    "flatten": Flatten(),
}
TILE_BYTES = 64e6


def versions() -> str:
    return f"jax {jax.__version__}, equinox {version('equinox')}"


def prepare(
    case: Case, arrays: dict[str, np.ndarray]
) -> tuple[Callable[[], jax.Array], Callable[[jax.Array], jax.Array]]:
    """What is timed, and what of its result is compared. A predictor keeps what it knows of its support."""
    kernel = InfiniteKernel(Sequential(tuple(LAYERS[word] for word in case.network)))
    X = jnp.asarray(arrays["X"])
    if case.kind == "gram":
        return lambda: gram.gram(kernel, X, tile_bytes=TILE_BYTES), lambda K: K[:, 0, :, 0]

    x, labels, alpha = (jnp.asarray(arrays[name]) for name in ("x", "labels", "alpha"))
    predictor = jax.block_until_ready(regression.predictor(kernel, X, alpha))
    objective = attacks.Objective(losses.cross_entropy)
    if case.kind == "gradient":
        return lambda: attacks.gradients(objective, predictor, x, labels, batch_size=case.batch), lambda g: g

    attack = attacks.PGD(balls.Linf(), objective, STEPS, STEP)
    eps, key = jnp.array([EPS], x.dtype), jax.random.key(0)

    def run():
        return attacks.perturb(attack, predictor, x, labels, eps, key=key, batch_size=case.batch)

    return run, lambda adv: attacks.outputs(predictor, adv[0], batch_size=case.batch)
