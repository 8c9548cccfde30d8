"""How functions of finite networks are compiled."""

import functools
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import equinox as eqx
import jax
from jax.core import Tracer

from ntkbench.ntk.network import Trainable

F = TypeVar("F", bound=Callable[..., Any])


def jit(function: F, *, donate: Literal["none", "all-except-first"] = "none") -> F:
    """`eqx.filter_jit`, with what convolutions need where one of the arguments is, or holds, a finite network.

    On a CPU JAX 0.10 fuses convolutions with what stands beside them, which takes them twice as long. Kernels of
    infinite networks are faster with these fusions.
    """
    plain = eqx.filter_jit(function, donate=donate)

    @functools.cache
    def of_networks() -> Callable[..., Any]:
        options: dict[str, Any] = {"compiler_options": _without_fusions()}
        return eqx.filter_jit(function, donate=donate, **options)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nodes = jax.tree.leaves((args, kwargs), is_leaf=lambda node: isinstance(node, Trainable))
        # Inside of another compiled function, that one decides.
        traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(nodes))
        found = any(isinstance(node, Trainable) for node in nodes) and not traced
        return (of_networks() if found else plain)(*args, **kwargs)

    return call  # pyright: ignore[reportReturnType]


@functools.cache
def _without_fusions() -> dict[str, str]:
    """Where this version of XLA knows the option."""
    options = {"xla_cpu_experimental_ynn_fusion_type": ""}
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda x: x, compiler_options=options).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return options
