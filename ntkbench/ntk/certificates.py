"""Certify from its coefficients how much a kernel predictor withstands.

Kernel regression with the spectral filter g is linear in its targets:

    f(x) = c(x)^T Y,    c(x) = V g(lambda) V^T Theta(X, x),

so that what each training label adds to a margin is known, and with it the worst that r wrong labels do.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ntkbench.ntk.compilation import jit
from ntkbench.ntk.gram import Kernel, gram
from ntkbench.ntk.regression import round_off


@jit
def influence(
    kernel: Kernel,
    X: Float[Array, "n ..."],
    eigenvectors: Float[Array, "n n"],
    filtered: Float[Array, " n"],
    tests: Float[Array, "t ..."],
    *,
    tile_bytes: float = 5e8,
) -> Float[Array, "t n"]:
    """Return c(x) of each test example: the weight of each training target in its output.

    The kernel has to be a multiple of the identity of the outputs; `filtered` is g of its eigenvalues.
    """
    V = eigenvectors
    rows = gram(kernel, tests, X, tile_bytes=tile_bytes)[:, 0, :, 0].astype(V.dtype)
    return ((rows @ V) * filtered[None, :]) @ V.T


@jit
def label_flips(
    influence: Float[Array, "t n"],
    train_labels: Int[Array, " n"],
    labels: Int[Array, " t"],
    classes: int,
    *,
    precision: float = round_off(jnp.float64),
    batch_size: int = 1,
) -> Int[Array, " t"]:
    """Return how many wrong training labels each test example withstands, whichever they are; -1 where it is wrong.

    Let s be the label of a test example and j another class. The margin f_s - f_j is sum_i c_i v_i, where v_i is 1 if
    training label i is s, -1 if it is j, and else 0. The worst relabeling of i takes |c_i| (1 + sign(c_i) v_i) from it,
    so the worst r labels are the r with the largest of these: no search over subsets is needed. With two classes
    (targets -1 and +1) this is 2 |c_i| where the label helps, and 0 where it does not. An example withstands r flips
    if all margins stay above the rounding of their sum; n if no number of flips suffices.

    Args:
        influence: c(x) of each test example, see `influence`.
        train_labels: labels from 0 to classes - 1.
        labels: those of the test examples.
        classes: their number.
        precision: relative rounding error of the influences.
        batch_size: number of test examples that are computed at once.
    """

    def example(pair):
        c, label = pair
        slack = precision * c.size * jnp.sum(jnp.abs(c))

        def against(rival):
            v = (train_labels == label).astype(c.dtype) - (train_labels == rival).astype(c.dtype)
            taken = jnp.cumsum(jnp.sort(jnp.abs(c) * (1 + jnp.sign(c) * v), descending=True))
            left = c @ v - taken
            return jnp.where(c @ v > slack, jnp.sum(left > slack), -1)

        others = jnp.arange(classes)
        return jnp.min(jnp.where(others == label, c.size, jax.vmap(against)(others)))

    return jax.lax.map(example, (influence, labels), batch_size=batch_size)


def blocks(n: int, row_bytes: int, tile_bytes: float) -> list[np.ndarray]:
    """Return the indices of n examples in equal blocks, each of which takes at most `tile_bytes` (or is one example).

    `row_bytes`: the bytes that one example takes.
    """
    rows = max(1, int(tile_bytes / row_bytes))
    return np.array_split(np.arange(n), -(-n // rows))
