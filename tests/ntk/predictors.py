"""Predictors whose numbers are known without JAX: linear ones, and networks with weights from NumPy.

Drawing weights with JAX would compile once for each of their shapes.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from ntkbench.ntk import batch_norm
from ntkbench.ntk.layers import Layer
from ntkbench.ntk.network import Network


class Linear(eqx.Module):
    """W x + b."""

    W: Float[Array, "c d"]
    b: Float[Array, " c"]

    def __call__(self, x):
        return self.W @ x.ravel() + self.b


def linear(W: ArrayLike, b: ArrayLike = 0.0, dtype: Any = np.float64) -> Linear:
    """From rows of weights."""
    W = np.atleast_2d(np.asarray(W, dtype))
    return Linear(jnp.asarray(W), jnp.asarray(np.broadcast_to(np.asarray(b, dtype), len(W))))


def drawn(recipe: Layer, shape: tuple[int, ...], seed: int = 0, dtype: Any = np.float64) -> Network:
    """A network whose weights are all N(0, 1), and whose variances are squares of such."""
    rng = np.random.default_rng(seed)
    like = jax.eval_shape(lambda: recipe.init(shape, key=jax.random.key(0), dtype=dtype)[0])
    weights = jax.tree.map(lambda leaf: jnp.asarray(rng.standard_normal(leaf.shape), dtype), like)
    squared = [each._replace(variance=jnp.square(each.variance)) for each in batch_norm.statistics(weights)]
    return Network(recipe, batch_norm.with_statistics(weights, squared))


def uniform(*shape: int, seed: int = 0, dtype: Any = np.float64) -> Array:
    """Images."""
    return jnp.asarray(np.random.default_rng(seed).random(shape), dtype)
