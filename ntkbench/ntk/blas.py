"""The structured empirical kernel on a CPU, its products of matrices left to NumPy's BLAS.

BLAS multiplies a matrix with its own transpose in half the operations, which XLA does not, and NumPy can be told where
to write: pages of memory that are new cost more than what is written there. All the rest is `structured`, with which
this agrees to round-off.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkbench.ntk.compilation import jit
from ntkbench.ntk.empirical import Layout
from ntkbench.ntk.layers import Weighted
from ntkbench.ntk.network import Part, Place
from ntkbench.ntk.structured import Sizes, StructuredKernel, between

_CHUNK_BYTES = 2**26
"""of gradients at once; with more, products are no faster"""


def gram(kernel: StructuredKernel, X: Float[Array, "n ..."], *, tile_bytes: float) -> Float[np.ndarray, "n o n o"]:
    """Theta(X, X), symmetric to the last bit.

    In memory at once: what backpropagation leaves of all examples, up to about four tiles, else of two batches of them;
    and the features of a layer, and a chunk of its gradients.
    """
    places = kernel.places(X.shape[1:], X.dtype)
    o = kernel.layout.directions(kernel.outputs(X.shape[1:], X.dtype)).shape[0]
    each = X.dtype.itemsize * _kept(places, o)
    rows = len(X) if len(X) * each <= 4 * tile_bytes else max(1, int(2 * tile_bytes / each))
    batches = [X[start : start + rows] for start in range(0, len(X), rows)]
    K: list[list[np.ndarray]] = [[] for _ in batches]
    for i, batch in enumerate(batches):
        one = _Side(_parts(kernel, batch))
        K[i] += [K[j][i].transpose(2, 3, 0, 1) for j in range(i)]
        K[i].append(_block(places, [one], kernel.layout, len(X)))
        for other in batches[i + 1 :]:
            K[i].append(_block(places, [one, _Side(_parts(kernel, other))], kernel.layout, len(X)))
    return np.concatenate([np.concatenate(row, axis=2) for row in K])


def _kept(places: Sequence[Place], o: int) -> int:
    """Numbers that backpropagation leaves of one example, and its features at the layer that has most."""
    sizes = [Sizes.of(place, o) for place in places]
    left = sum(place.x.size + o * place.y.size for place in places)
    return left + max(size.p * size.f for size in sizes)


@dataclass
class _Memory:
    """Reuse one block of memory for one array after the other."""

    block: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint8))

    def array(self, shape: Sequence[int], dtype: Any) -> np.ndarray:
        """Not initialized; it takes the place of the one before."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if self.block.size < size:
            self.block = np.empty(size, np.uint8)
        return self.block[:size].view(dtype).reshape(shape)


@dataclass
class _Side:
    """Hold the parts that backpropagation leaves of a batch, with the memory to work on them."""

    parts: Sequence[Part]
    _features: _Memory = field(default_factory=_Memory)
    _gradients: _Memory = field(default_factory=_Memory)

    def signals(self, layer: int) -> Float[np.ndarray, "n p o k"]:
        return np.asarray(self.parts[layer].signals)

    def features(self, layer: int, words: Weighted) -> Float[np.ndarray, "n p f"]:
        """phi; the next ones take their place."""
        seen = words.windows(np.asarray(self.parts[layer].x))
        positions = self.signals(layer).shape[1]
        fan_in = seen[0].size // positions
        scale, bias = words.scales(fan_in)
        phi = self._features.array((len(seen), positions, fan_in + (bias is not None)), seen.dtype)
        # A view: the features of a position lie together, and positions at equal distances.
        np.multiply(seen, np.asarray(scale, seen.dtype), out=phi[..., :fan_in].reshape(seen.shape, copy=False))
        if bias is not None:
            phi[..., fan_in] = bias
        return phi

    def gradients(self, layer: int, words: Weighted) -> Iterator[Float[np.ndarray, "n o k f"]]:
        """sum_p s_opk phi_pf, for some features after the other; each takes the place of the one before."""
        phi, signals = self.features(layer, words), self.signals(layer)
        n, positions, o, k = signals.shape
        rows = signals.reshape(n, positions, o * k).swapaxes(1, 2)
        chunks = -(-phi.nbytes // positions * o * k // _CHUNK_BYTES)
        for some in np.array_split(phi, chunks, axis=-1):
            J = self._gradients.array((n, o * k, some.shape[-1]), phi.dtype)
            yield np.matmul(rows, some, out=J).reshape(n, o, k, -1)


def _block(places: Sequence[Place], sides: Sequence[_Side], layout: Layout, n: int) -> Float[np.ndarray, "n1 s n2 s"]:
    """Two batches, layer after layer, or one with itself: NumPy halves the work of a matrix with its own transpose."""
    first = sides[0].parts[0]
    o = first.signals.shape[2]
    side = 1 if layout.trace else o
    n1, n2 = (len(sides[i].parts[0].x) for i in (0, -1))
    K = np.zeros((n1 * side, n2 * side), first.x.dtype)
    factors, others = [], []
    for layer, place in enumerate(places):
        sizes = Sizes.of(place, o)
        if not sizes.prefers_grams(layout, n):
            for J in zip(*(each.gradients(layer, place.layer) for each in sides), strict=True):
                K += J[0].reshape(len(K), -1) @ J[-1].reshape(K.shape[1], -1).T
        elif sizes.p == 1:
            phi = [each.features(layer, place.layer)[:, 0] for each in sides]
            S = [each.signals(layer).reshape(rows, -1) for each, rows in zip(sides, K.shape, strict=False)]
            factors.append((phi[0] @ phi[-1].T, S[0] @ S[-1].T))
        else:
            term = np.asarray(_between(place.layer, *(sides[i].parts[layer] for i in (0, -1)), layout))
            term = (term + term.transpose(2, 3, 0, 1)) / 2 if len(sides) == 1 else term
            others.append(term * (o if layout.trace else 1))
    return np.asarray(_total(K.reshape(n1, side, n2, side), factors, others)) / (o if layout.trace else 1)


@jit
def _parts(kernel, X):
    return jax.vmap(kernel.example)(X)[1]


@eqx.filter_jit
def _between(layer, one, two, layout):
    return between(layer, one, two, layout)


@jax.jit
def _total(K, factors, others):
    """Return the sum of K and all terms in one pass over arrays of its size."""
    terms = [inputs[:, None, :, None] * signals.reshape(K.shape) for inputs, signals in factors]
    return sum([*terms, *map(jnp.asarray, others)], K)
