"""Barriers: heeded where this package compiles, and done without where somebody else does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import compilation
from ntkbench.ntk.activations import ReLU
from ntkbench.ntk.compilation import jit
from ntkbench.ntk.convolution import Conv
from ntkbench.ntk.gram import gram
from ntkbench.ntk.infinite import InfiniteKernel
from ntkbench.ntk.layers import Dense, Flatten, Sequential
from ntkbench.ntk.materialize import are_barriers_heeded, materialize, materialize_gradient
from tests.conftest import EXACT

RECIPE = Sequential((Conv(1, b_std=0.1), ReLU(), Conv(1), ReLU(), Flatten(), Dense(1)))


def seen_inside(compile_with) -> bool:
    seen = []

    def function(x):
        seen.append(are_barriers_heeded())
        return x

    compile_with(function)(jnp.ones(3))
    return seen[0]


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="elsewhere they are heeded by all")
def test_who_compiles_knows_whether_barriers_are_heeded():
    assert seen_inside(jit) == bool(compilation._with_barriers())
    assert not seen_inside(jax.jit)
    assert not are_barriers_heeded()
    assert seen_inside(lambda f: jit(lambda x: jit(f)(x))) == bool(compilation._with_barriers())
    assert not seen_inside(lambda f: jax.jit(lambda x: jit(f)(x)))
    three = jnp.ones(3)  # known while the outer function is traced
    assert seen_inside(lambda f: jit(lambda x: x + jit(f)(three))) == bool(compilation._with_barriers())


def test_this_version_of_xla_heeds_them():
    if jax.default_backend() == "cpu":
        assert compilation._with_barriers() == {"xla_disable_hlo_passes": "cse_barrier_expander"}


def test_kernels_and_gradients_are_the_same_whoever_compiles():
    kernel = InfiniteKernel(RECIPE)
    X = jnp.asarray(np.random.default_rng(0).uniform(size=(3, 5, 4, 2)))

    def total(X):
        return jnp.sum(jnp.sin(gram(kernel, X[:1], X[1:])))

    for ours, theirs in ((jit(total), jax.jit(total)), (jit(jax.grad(total)), jax.jit(jax.grad(total)))):
        np.testing.assert_allclose(ours(X), theirs(X), rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize("kept", [materialize, materialize_gradient])
@pytest.mark.parametrize("compile_with", [jit, jax.jit])
def test_what_is_kept_is_what_it_was_and_so_is_its_gradient(kept, compile_with):
    x = jnp.linspace(-1, 1, 6).reshape(2, 3)
    value, gradient = compile_with(jax.value_and_grad(lambda x: jnp.sum(jnp.sin(jax.vmap(kept)(x)))))(x)
    np.testing.assert_allclose(value, jnp.sum(jnp.sin(x)), rtol=EXACT, atol=EXACT)
    np.testing.assert_allclose(gradient, jnp.cos(x), rtol=EXACT)
