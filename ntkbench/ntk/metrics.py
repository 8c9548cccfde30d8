"""Per-example comparisons of outputs and of input gradients."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ntkbench.ntk.losses import predict


def correct(outputs: Float[Array, "n c"], labels: Int[Array, " n"]) -> Bool[Array, " n"]:
    """Return whether each example is classified right."""
    return jax.vmap(predict)(outputs) == labels


@jax.jit
def cosine(a: Float[Array, "n ..."], b: Float[Array, "n ..."]) -> Float[Array, " n"]:
    """<a, b> / |a| |b| of each example; NaN where one of them is zero."""
    a, b = (v.reshape(v.shape[0], -1) for v in (a, b))
    a, b = (v / jnp.max(jnp.abs(v), axis=1, keepdims=True) for v in (a, b))  # squares must not underflow
    return jnp.sum(a * b, axis=1) / (jnp.linalg.norm(a, axis=1) * jnp.linalg.norm(b, axis=1))


@jax.jit
def sign_agreement(a: Float[Array, "n ..."], b: Float[Array, "n ..."]) -> Float[Array, " n"]:
    """The share of entries with equal signs; NaN where one of them has none."""
    a, b = (jnp.sign(v.reshape(v.shape[0], -1)) for v in (a, b))
    known = ~jnp.any(jnp.isnan(a) | jnp.isnan(b), axis=1)
    return jnp.where(known, jnp.mean(a == b, axis=1, dtype=jnp.float64), jnp.nan)
