"""A barrier against recomputation.

XLA on CPU fuses an activation into each of the shifted reads of the convolution after it, and so computes it anew for
every offset. Its own barrier it removes before it fuses, unless it is told not to, as `ntk.compilation.jit` does. Where
somebody else compiles, a branch is what keeps it from that: it cannot look through one that depends on a value.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax
import jax.numpy as jnp
from jaxtyping import Array

_heeded: ContextVar[bool] = ContextVar("heeded", default=False)


@contextmanager
def barriers_heeded() -> Iterator[None]:
    """Declare that functions traced in the block are compiled by an XLA that heeds barriers."""
    token = _heeded.set(True)
    try:
        yield
    finally:
        _heeded.reset(token)


def are_barriers_heeded() -> bool:
    """Return whether the function being traced is compiled by an XLA that heeds barriers."""
    return _heeded.get() or jax.default_backend() != "cpu"


@jax.custom_batching.custom_vmap
def _kept(x):
    if are_barriers_heeded():
        return jax.lax.optimization_barrier(x)
    first = x[(0,) * x.ndim]
    return jax.lax.cond(first == first, lambda v: v, lambda v: jnp.full_like(v, jnp.nan), x)


@_kept.def_vmap
def _(axis_size, in_batched, x):
    """One branch for the whole batch: a branch for each example would become a selection."""
    return _kept(x), True


materialize: Callable[[Array], Array] = jax.custom_gradient(lambda x: (_kept(x), _kept))
"""x, in memory; so is its gradient."""

materialize_gradient: Callable[[Array], Array] = jax.custom_gradient(lambda x: (x, _kept))
"""x, whose gradient is in memory."""
