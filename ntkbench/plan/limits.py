"""Tell whether a network has a known infinite-width limit, and how large the covariances are that it needs.

In the limit, the units that leave a layer with weights are Gaussian and independent. Two rules follow: an activation's
formula holds for Gaussian units only, and the covariances of branches add only if the branches are uncorrelated.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType

from ntkbench.memo import by_identity
from ntkbench.plan.shapes import LayerError, Shape
from ntkbench.spec.document import Path
from ntkbench.spec.layers import (
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


class ComparedPositions(IntEnum):
    """The pairs of positions of two images whose covariance a limit needs."""

    NONE = 0
    """one number for a pair of images"""
    MATCHED = 1
    """the same position in both images: rows x columns numbers"""
    ALL = 2
    """every position of one image with every position of the other: (rows x columns)^2 numbers"""


_FINITE = "kind: empirical, the kernel of a finite network"
"""advice for layers without a limit"""
_INSTEAD: Mapping[str, str] = MappingProxyType({"max_pool": "avg_pool", "batch_norm": "layer_norm"})
"""layers without a limit, each with the layer that is most like it"""


@by_identity
def positions(layers: Sequence[Layer]) -> ComparedPositions:
    """Return the pairs of positions that the limit of a network needs.

    Pooling mixes positions and needs all pairs, convolutions and activations need matched ones, and a network that
    flattens its image at once needs none.
    """
    most = ComparedPositions.NONE
    for layer in layers:
        if isinstance(layer, Flatten):
            return most
        if isinstance(layer, Residual):
            most = max(most, ComparedPositions.MATCHED, *(positions(branch) for branch in layer.branches))
        else:
            most = max(
                most, ComparedPositions.ALL if isinstance(layer, AvgPool | GlobalAvgPool) else ComparedPositions.MATCHED
            )
        if isinstance(layer, GlobalAvgPool):
            return most
    return most


def entries(shape: Shape, needs: ComparedPositions) -> int:
    """Return how many numbers the covariance of two examples has.

    `shape`: rows, columns and channels of an example at this layer, or its features alone; channels are averaged over.
    """
    if len(shape) == 1 or needs is ComparedPositions.NONE:
        return 1
    rows, columns = map(int, shape[:2])
    return (rows * columns) ** int(needs)


def check(layers: Sequence[Layer], gaussian: bool = False, path: Path = ()) -> bool:
    """Check that a network has a known limit; return whether its last units are Gaussian.

    `gaussian`: whether the units at its start are; `path`: where its layers stand in the spec. Raise LayerError, with
    advice, at the first layer for which no limit is known.
    """
    for i, layer in enumerate(layers):
        here = (*path, i)
        if instead := _INSTEAD.get(layer.op):
            raise LayerError(here, f"{layer.op} has no infinite-width limit", f"use {instead}, or {_FINITE}")
        if isinstance(layer, Activation | LeakyReLU | LayerNorm):
            if not gaussian:
                message = f"{layer.op} has a known limit only if a conv or a dense layer stands between it and "
                message += "the activation above it, or the image"
                raise LayerError(here, message, f"put one there, or {_FINITE}")
            gaussian = isinstance(layer, LayerNorm)
        elif isinstance(layer, Weighted):
            gaussian = True
        elif isinstance(layer, Residual):
            gaussian = _added(layer, gaussian, here)
    return gaussian


def _added(residual: Residual, gaussian: bool, path: Path) -> bool:
    """Check a residual sum; return whether its units are Gaussian. Raise LayerError if branches may be correlated.

    Branches are independent if all but one have weights, and uncorrelated if all but one end in units of mean 0.
    """
    branches = residual.branches
    ends = [check(branch, gaussian, (*path, "branches", b)) for b, branch in enumerate(branches)]
    if ends.count(False) > 1 or sum(not _weighted(branch) for branch in branches) > 1:
        message = "a sum has a known limit only where its branches are uncorrelated: all but one end in a conv or a "
        message += "dense layer (poolings may follow)"
        raise LayerError(path, message, f"change its branches, or {_FINITE}")
    return all(ends)


def _weighted(layers: Sequence[Layer]) -> bool:
    """Return whether a branch has weights; a residual sum in it counts if each of its branches has some."""
    return any(
        all(map(_weighted, layer.branches)) if isinstance(layer, Residual) else isinstance(layer, Weighted)
        for layer in layers
    )
