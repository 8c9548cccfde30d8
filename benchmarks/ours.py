"""The cases on ntkbench."""

from collections.abc import Callable
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
from cases import B_STD, EPS, STEP, STEPS, W_STD, Case, Network

from ntkbench.ntk import attacks, balls, cheapest, gram, losses, regression
from ntkbench.ntk.activations import ReLU
from ntkbench.ntk.convolution import AvgPool, Conv, GlobalAvgPool, MaxPool
from ntkbench.ntk.empirical import FULL, TRACE
from ntkbench.ntk.infinite import InfiniteKernel
from ntkbench.ntk.layers import Dense, Flatten, Layer, Sequential
from ntkbench.ntk.network import Network as FiniteNetwork

LAYERS: dict[str, Layer] = {
    "relu": ReLU(),
    "pool": AvgPool(),
    "maxpool": MaxPool(),
    "gap": GlobalAvgPool(),
    "flatten": Flatten(),
}
TILE_BYTES = 64e6
FINITE_TILE_BYTES = 500e6
"""what `algorithms.ntk` takes unless it is told"""


def layer(text: str) -> Layer:
    """In the words of the cases; a limit knows no widths."""
    word, _, width = text.partition(" ")
    match word:
        case "dense":
            return Dense(int(width or 1), W_STD, B_STD)
        case "conv":
            return Conv(int(width or 1), W_std=W_STD, b_std=B_STD)
    return LAYERS[word]


def recipe(network: Network) -> Sequential:
    return Sequential(tuple(map(layer, network)))


def finite(case: Case, arrays: dict[str, np.ndarray]) -> FiniteNetwork:
    """With the weights that were drawn. A Dense layer's stand the other way round here."""
    weights, left = [], iter(range(len(arrays)))
    for text in case.network:
        if " " not in text:
            weights.append(())
            continue
        place = next(left)
        w, b = (jnp.asarray(arrays[f"{name}{place}"]) for name in "wb")
        weights.append((w.T if w.ndim == 2 else w, b))
    return FiniteNetwork(recipe=recipe(case.network), weights=tuple(weights))


def versions() -> str:
    return f"jax {jax.__version__}, equinox {version('equinox')}"


def prepare(
    case: Case, arrays: dict[str, np.ndarray]
) -> tuple[Callable[[], jax.Array], Callable[[jax.Array], jax.Array]]:
    """What is timed, and what of its result is compared. A predictor keeps what it knows of its support."""
    X = jnp.asarray(arrays["X"])
    if case.kind in ("full", "trace"):
        net, layout = finite(case, arrays), FULL if case.kind == "full" else TRACE
        return lambda: cheapest.ntk(net, X, layout=layout, tile_bytes=FINITE_TILE_BYTES), lambda K: K
    kernel = InfiniteKernel(recipe(case.network))
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
