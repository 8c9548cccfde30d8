"""What is timed: networks in words, their sizes, and the arrays that both sides read.

Read by the environments of both sides, so it needs nothing but NumPy.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Literal

import numpy as np

Network = tuple[str, ...]
"""Layers in words: dense, conv (3x3, SAME), relu, pool (2x2 mean), maxpool (2x2), gap, flatten. In finite networks they
have a width behind them."""
Peer = Literal["jit", "eager", "structured", "jacobian", "products", "script"]

W_STD, B_STD = math.sqrt(2), 0.1
EPS, STEP, STEPS = 8 / 255, 0.01, 20


def fc(depth: int) -> Network:
    return ("flatten", *("dense", "relu") * depth, "dense")


def conv(depth: int, head: str = "flatten") -> Network:
    return (*("conv", "relu") * depth, head, "dense")


def myrtle(*stages: int) -> Network:
    """So many convolutions a stage, and a pool between two stages."""
    layers = ()
    for convolutions in stages:
        layers += ("pool",) * bool(layers) + ("conv", "relu") * convolutions
    return (*layers, "gap", "dense")


@dataclasses.dataclass(frozen=True)
class Case:
    """A Gram matrix of n examples, or a predictor on n examples attacked at `tests` others; or the kernel of a finite
    network on n examples, of all pairs of outputs (`full`) or their mean (`trace`).

    `batch` is how many of those our side takes at a time: all, unless memory or the cache forbids. `peer`: jitted as a
    whole or eager; of finite networks which of its implementations, or as the published scripts call it.
    """

    name: str
    kind: Literal["gram", "gradient", "pgd", "full", "trace"]
    network: Network
    n: int
    tests: int = 0
    outputs: int = 10
    size: int = 32
    batch: int = 500
    peer: Peer = "jit"

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.size, self.size, 3

    def tiny(self) -> "Case":
        """The same on so few images that only agreement can be seen. Not smaller images: compilers err by shape."""
        few = 20 if self.kind in ("full", "trace") or "gap" not in self.network else 3
        return dataclasses.replace(self, n=min(self.n, few), tests=min(self.tests, 2))


CNN_SMALL = ("conv 32", "relu", "pool", "conv 64", "relu", "pool", "flatten", "dense 256", "relu", "dense 10")
CNN_LARGE = (
    *("conv 32", "relu", "conv 32", "relu", "maxpool", "conv 64", "relu", "conv 64", "relu"),
    *("conv 128", "relu", "conv 128", "relu", "pool", "flatten", "dense 10"),
)
FC = ("flatten", *("dense 1024", "relu") * 3, "dense 10")


def finite(name: str, network: Network, n: int, *, few: int = 50) -> Iterator[Case]:
    """The kernel by each of the peer's implementations, by the slow ones on few examples, and its mean over outputs."""
    yield Case(name, "full", network, n, peer="structured")
    yield Case(f"{name}-jacobian", "full", network, few, peer="jacobian")
    yield Case(f"{name}-products", "full", network, few, peer="products")
    yield Case(f"{name}-trace", "trace", network, n, peer="structured")


CASES = {
    case.name: case
    for case in (
        Case("fc3", "gram", fc(3), 2000),
        Case("conv2", "gram", conv(2), 100),
        Case("myrtle5-8", "gram", myrtle(2, 1, 1), 8),
        Case("myrtle5", "gram", myrtle(2, 1, 1), 20),
        Case("myrtle7", "gram", myrtle(2, 2, 2), 20, size=16),
        Case("myrtle10", "gram", myrtle(3, 3, 3), 20, size=16),
        Case("conv2-gap", "gram", conv(2, "gap"), 20, size=16),
        Case("gradient-fc1", "gradient", fc(1), 2000, 100, outputs=1),
        Case("gradient-fc3", "gradient", fc(3), 2000, 100),
        Case("gradient-conv2", "gradient", conv(2), 1000, 40, batch=1),
        Case("gradient-myrtle5", "gradient", myrtle(2, 1, 1), 8, 2, batch=1),
        Case("pgd-fc3-500", "pgd", fc(3), 2000, 500),
        Case("pgd-fc1", "pgd", fc(1), 2000, 100, outputs=1),
        Case("pgd-fc3", "pgd", fc(3), 2000, 100),
        Case("pgd-fc1-eager", "pgd", fc(1), 2000, 100, outputs=1, peer="eager"),
        Case("pgd-fc3-eager", "pgd", fc(3), 2000, 100, peer="eager"),
        *finite("cnn-small", CNN_SMALL, 100),
        *finite("cnn-large", CNN_LARGE, 100, few=20),
        *finite("fc", FC, 200),
        Case("cnn-small-script", "full", CNN_SMALL, 50, peer="script"),
        Case("cnn-large-script", "full", CNN_LARGE, 50, peer="script"),
    )
}


def arrays(case: Case, dtype: str) -> dict[str, np.ndarray]:
    """Uniform pixels. The predictor's coefficients are drawn too: what they are makes no difference to the time."""
    rng = np.random.default_rng(0)
    X = rng.random((case.n, *case.shape)).astype(dtype)
    if case.kind == "gram":
        return {"X": X}
    if case.kind in ("full", "trace"):
        return {"X": X, **{name: w.astype(dtype) for name, w in weights(case, rng).items()}}
    return {
        "X": X,
        "alpha": (rng.standard_normal((case.n, case.outputs)) / math.sqrt(case.n)).astype(dtype),
        "x": rng.random((case.tests, *case.shape)).astype(dtype),
        "labels": rng.integers(max(2, case.outputs), size=case.tests).astype(np.int32),
    }


def layers(case: Case) -> Iterator[tuple[str, tuple[int, ...], int]]:
    """Of a finite network: each word, the shape that goes in, and the width."""
    shape: tuple[int, ...] = case.shape
    for text in case.network:
        word, _, width = text.partition(" ")
        yield word, shape, int(width or 0)
        match word:
            case "conv":
                shape = (*shape[:2], int(width))
            case "pool" | "maxpool":
                shape = (*(size // 2 for size in shape[:2]), *shape[2:])
            case "flatten":
                shape = (math.prod(shape),)
            case "dense":
                shape = (int(width),)


def weights(case: Case, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Standard normal, by layer: `w0`, `b0` and so on, in the order of the network."""
    found = {}
    for word, shape, width in layers(case):
        if width:
            place = len(found) // 2
            into = (3, 3, shape[-1]) if word == "conv" else shape
            found |= {f"w{place}": rng.standard_normal((*into, width)), f"b{place}": rng.standard_normal(width)}
    return found


def losses(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cross-entropy of each example; of one output the logistic loss."""
    outputs = outputs.astype(np.float64)
    if outputs.shape[1] == 1:
        outputs = np.concatenate([np.zeros_like(outputs), outputs], axis=1)
    return np.log(np.sum(np.exp(outputs), axis=1)) - outputs[np.arange(len(labels)), labels]


def difference(case: Case, one: np.ndarray, two: np.ndarray, labels: np.ndarray | None) -> float:
    """The largest relative difference of two results.

    Of a Gram matrix off its diagonal, where the peer loses digits; of gradients, and of kernels of finite networks,
    relative to the largest entry; of attacks in the loss reached, since a gradient of 0 to round-off moves a pixel
    either way.
    """
    if case.kind == "gram":
        off = ~np.eye(case.n, dtype=bool)
        return float(np.max(np.abs(one - two)[off] / np.abs(two)[off]))
    if case.kind in ("gradient", "full", "trace"):
        return float(np.max(np.abs(one - two)) / np.max(np.abs(two)))
    assert labels is not None
    one, two = losses(one, labels), losses(two, labels)
    return float(np.max(np.abs(one - two) / two))
