"""A barrier against recomputation.

XLA on CPU fuses an activation into each of the shifted reads of the convolution after it, and so computes it anew for
every offset. It cannot look through a branch that depends on a value, so a branch is what keeps it from that. On an
accelerator a branch would make the host wait, and XLA heeds its own barrier.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array


@jax.custom_batching.custom_vmap
def _branch(x):
    if jax.default_backend() != "cpu":
        return jax.lax.optimization_barrier(x)
    first = x[(0,) * x.ndim]
    return jax.lax.cond(first == first, lambda v: v, lambda v: jnp.full_like(v, jnp.nan), x)


@_branch.def_vmap
def _(axis_size, in_batched, x):
    """One branch for the whole batch: a branch for each example would become a selection."""
    return _branch(x), True


materialize: Callable[[Array], Array] = jax.custom_gradient(lambda x: (_branch(x), _branch))
"""x, in memory; so is its gradient."""

materialize_gradient: Callable[[Array], Array] = jax.custom_gradient(lambda x: (x, _branch))
"""x, whose gradient is in memory."""
