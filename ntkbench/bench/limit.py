"""Whether a network has a limit that is known, and what it costs.

In the limit, the units that leave a layer with weights are Gaussian and independent. What follows needs just that:
an activation's formula holds for Gaussian units, and covariances of branches add where they are independent.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType

from ntkbench.bench.document import Path
from ntkbench.bench.layers import (
    Activation,
    AvgPool,
    Flatten,
    GlobalAvgPool,
    Layer,
    LayerNorm,
    LeakyReLU,
    Residual,
    Weighted,
)
from ntkbench.bench.shapes import Misfit, Shape


class Positions(IntEnum):
    """Which pairs of positions of two images a limit has to tell apart."""

    NONE = 0
    MATCHED = 1
    ALL = 2


_FINITE = "kind: empirical, the kernel of a finite network"
_INSTEAD: Mapping[str, str] = MappingProxyType({"max_pool": "avg_pool", "batch_norm": "layer_norm"})
"""layers without a limit, and those that are most like them"""


def positions(layers: Sequence[Layer]) -> Positions:
    """Pooling mixes positions; flattening at once leaves none."""
    most = Positions.NONE
    for layer in layers:
        if isinstance(layer, Flatten):
            return most
        if isinstance(layer, Residual):
            most = max(most, Positions.MATCHED, *(positions(branch) for branch in layer.branches))
        else:
            most = max(most, Positions.ALL if isinstance(layer, AvgPool | GlobalAvgPool) else Positions.MATCHED)
        if isinstance(layer, GlobalAvgPool):
            return most
    return most


def entries(shape: Shape, needs: Positions) -> int:
    """Numbers in the covariance of two examples where they have that shape."""
    if len(shape) == 1 or needs is Positions.NONE:
        return 1
    rows, columns = map(int, shape[:2])
    return (rows * columns) ** int(needs)


def check(layers: Sequence[Layer], gaussian: bool = False, path: Path = ()) -> bool:
    """Whether units are Gaussian at the end, given whether they are at the start; Misfit if the limit is not known."""
    for i, layer in enumerate(layers):
        here = (*path, i)
        if instead := _INSTEAD.get(layer.op):
            raise Misfit(here, f"{layer.op} has no infinite-width limit", f"use {instead}, or {_FINITE}")
        if isinstance(layer, Activation | LeakyReLU | LayerNorm):
            if not gaussian:
                message = f"{layer.op} has a known limit only if a conv or a dense layer stands between it and "
                message += "the activation above it, or the image"
                raise Misfit(here, message, f"put one there, or {_FINITE}")
            gaussian = isinstance(layer, LayerNorm)
        elif isinstance(layer, Weighted):
            gaussian = True
        elif isinstance(layer, Residual):
            gaussian = _added(layer, gaussian, here)
    return gaussian


def _added(residual: Residual, gaussian: bool, path: Path) -> bool:
    """Branches are independent if all but one have weights, and uncorrelated if all but one have mean 0."""
    branches = residual.branches
    ends = [check(branch, gaussian, (*path, "branches", b)) for b, branch in enumerate(branches)]
    if ends.count(False) > 1 or sum(not _weighted(branch) for branch in branches) > 1:
        message = "a sum has a known limit only where its branches are uncorrelated: all but one end in a conv or a "
        message += "dense layer (poolings may follow)"
        raise Misfit(path, message, f"change its branches, or {_FINITE}")
    return all(ends)


def _weighted(layers: Sequence[Layer]) -> bool:
    """Residual sums within count where each of their branches does."""
    return any(
        all(map(_weighted, layer.branches)) if isinstance(layer, Residual) else isinstance(layer, Weighted)
        for layer in layers
    )
