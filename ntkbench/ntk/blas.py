"""The structured empirical kernel on a CPU, its largest products left to BLAS.

BLAS multiplies a matrix with its own transpose in half the operations (`syrk`), which XLA does not. All the rest is
`structured`, with which this agrees to round-off.
"""

from collections.abc import Iterator

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float
from scipy.linalg import blas

from ntkbench.ntk.compilation import jit
from ntkbench.ntk.structured import Sizes, StructuredKernel, between, gradients


def gram(kernel: StructuredKernel, X: Float[Array, "n ..."], *, tile_bytes: float) -> Float[np.ndarray, "n o n o"]:
    """Theta(X, X), symmetric to the last bit.

    In memory at once: what backpropagation leaves of all examples, up to about four tiles, else of two batches of them;
    and the gradients by the weights of a layer, or of a part of them, up to two.
    """
    places = kernel.places(X.shape[1:], X.dtype)
    each = kernel.example_bytes(X.shape[1:], X.dtype)
    rows = len(X) if len(X) * each <= 4 * tile_bytes else max(1, int(2 * tile_bytes / each))
    batches = [X[start : start + rows] for start in range(0, len(X), rows)]
    K: list[list[np.ndarray]] = [[] for _ in batches]
    for i, batch in enumerate(batches):
        one = _parts(kernel, batch)
        K[i] += [K[j][i].transpose(2, 3, 0, 1) for j in range(i)]
        K[i].append(_square(places, one, kernel.layout, len(X), 2 * tile_bytes))
        for other in batches[i + 1 :]:
            each_place = zip(places, one, _parts(kernel, other), strict=True)
            terms = [np.asarray(_between(place.layer, a, b, kernel.layout)) for place, a, b in each_place]
            K[i].append(sum(terms[1:], terms[0]))
    return np.concatenate([np.concatenate(row, axis=2) for row in K])


def _square(places, parts, layout, n, chunk_bytes) -> Float[np.ndarray, "n o n o"]:
    """A batch with itself, layer after layer. Triangles are added up, and mirrored in the end."""
    rows, o = parts[0].signals.shape[:2]
    side = 1 if layout.trace else o
    triangle = np.zeros((rows * side, rows * side), parts[0].x.dtype, order="F")
    for place, part in zip(places, parts, strict=True):
        sizes = Sizes.of(place, o)
        if not sizes.prefers_grams(layout, n):
            for gradients in _chunks(place.layer, part, sizes, chunk_bytes):
                triangle = _syrk(gradients.reshape(rows * side, -1), triangle)
        elif sizes.p == 1:
            inputs, signals = np.asarray(_features(place.layer, part.x))[:, 0], np.asarray(part.signals)
            term = _syrk(signals.reshape(rows * side, -1)).reshape(rows, side, rows, side)
            term *= (inputs @ inputs.T)[:, None, :, None]
            triangle += term.reshape(triangle.shape)
        else:
            term = np.asarray(_between(place.layer, part, part, layout)) * (o if layout.trace else 1)
            triangle += np.triu(term.reshape(triangle.shape))
    np.fill_diagonal(triangle, triangle.diagonal() / 2)
    triangle = triangle + triangle.T
    return triangle.reshape(rows, side, rows, side) / (o if layout.trace else 1)


def _chunks(layer, part, sizes, chunk_bytes) -> Iterator[Float[np.ndarray, "n o k f"]]:
    """Gradients by the weights of some channels after the other."""
    whole = len(part.x) * sizes.o * sizes.k * sizes.f * part.x.dtype.itemsize
    channels = -(-sizes.k // -(-whole // int(chunk_bytes)))
    for start in range(0, sizes.k, channels):
        yield np.asarray(_gradients(layer, part.x, part.signals[..., start : start + channels]))


def _syrk(A: Float[np.ndarray, "n m"], K: Float[np.ndarray, "n n"] | None = None) -> Float[np.ndarray, "n n"]:
    """The upper triangle of A A^T, added to that of K."""
    (syrk,) = blas.get_blas_funcs(("syrk",), (A,))
    if K is None:
        return syrk(1.0, A.T, trans=1)
    return syrk(1.0, A.T, beta=1.0, c=K, trans=1, overwrite_c=1)


@jit
def _parts(kernel, X):
    return jax.vmap(kernel.example)(X)[1]


@eqx.filter_jit
def _features(layer, x):
    return jax.vmap(layer.features)(x)


@eqx.filter_jit
def _gradients(layer, x, signals):
    return gradients(jax.vmap(layer.features)(x), signals)


@eqx.filter_jit
def _between(layer, one, two, layout):
    return between(layer, one, two, layout)
