"""Compile functions with the options of XLA that their arguments need."""

import functools
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer

from ntkbench.ntk.materialize import are_barriers_heeded, barriers_heeded
from ntkbench.ntk.network import Trainable

F = TypeVar("F", bound=Callable[..., Any])


def jit(function: F, *, donate: Literal["none", "all-except-first"] = "none") -> F:
    """`eqx.filter_jit`, with what XLA has to be told on a CPU.

    Kernels of infinite networks need barriers that are heeded (`ntk.materialize`). Where one of the arguments is, or
    holds, a finite network, JAX 0.10 fuses convolutions with what stands beside them, which takes them twice as long;
    kernels of infinite networks are faster with these fusions.
    """

    def compiled(traced: Callable[..., Any], options: Callable[[], dict[str, str]]) -> Callable[[], F]:
        @functools.cache
        def once() -> Any:
            more: dict[str, Any] = {"compiler_options": options()}
            return eqx.filter_jit(traced, donate=donate, **more)

        return once

    @functools.wraps(function)
    def heeding(*args: Any, **kwargs: Any) -> Any:
        with barriers_heeded():
            return function(*args, **kwargs)

    plain, of_networks = compiled(function, dict), compiled(function, _without_fusions)
    inside, of_limits = compiled(heeding, dict), compiled(heeding, _with_barriers)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if _inside((args, kwargs)):  # of another compiled function: that one decides
            chosen = inside if are_barriers_heeded() else plain
        elif _holds_network((args, kwargs)):
            chosen = of_networks
        else:
            chosen = of_limits if _with_barriers() else plain
        return chosen()(*args, **kwargs)

    return call  # pyright: ignore[reportReturnType]


def _inside(arguments: Any) -> bool:
    """Return whether the call is being traced; then its result is traced as well."""
    return any(isinstance(leaf, Tracer) for leaf in (jnp.zeros(()), *jax.tree.leaves(arguments)))


def _holds_network(arguments: Any) -> bool:
    nodes = jax.tree.leaves(arguments, is_leaf=lambda node: isinstance(node, Trainable))
    return any(isinstance(node, Trainable) for node in nodes)


@functools.cache
def _without_fusions() -> dict[str, str]:
    """Return the option that turns off fusions, or nothing where this version of XLA does not know it."""
    options = {"xla_cpu_experimental_ynn_fusion_type": ""}
    return options if _compiled(lambda x: x, options) is not None else {}


@functools.cache
def _with_barriers() -> dict[str, str]:
    """Return the option that keeps barriers, or nothing where this version of XLA does not heed them."""
    options = {"xla_disable_hlo_passes": "cse_barrier_expander"}
    compiled = _compiled(lambda x: jnp.sin(jax.lax.optimization_barrier(jnp.sin(x))), options)
    return options if compiled is not None and "opt-barrier" in compiled.as_text() else {}


def _compiled(function: Callable[[jax.Array], jax.Array], options: dict[str, str]) -> Any:
    if jax.default_backend() != "cpu":
        return None
    try:
        return jax.jit(function, compiler_options=options).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return None
