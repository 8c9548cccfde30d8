"""The kernel of a predictor with given weights, by contraction of its Jacobian."""

import functools
import operator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ntkbench.ntk.gram import Kernel
from ntkbench.ntk.layers import Weights
from ntkbench.ntk.linearize import Linearized, push
from ntkbench.ntk.network import Trainable, with_weights


class EmpiricalKernel(Kernel):
    """Theta(x, x')[a, b] = < df_a(x)/dw , df_b(x')/dw > at the predictor's present weights w."""

    predictor: Trainable

    def example(self, x):
        return x

    def jacobian(self, x: Float[Array, "..."]) -> Weights:
        """Each leaf `c *shape`."""
        return jax.jacrev(lambda w: with_weights(self.predictor, w)(x))(self.predictor.weights)

    def tile(self, one, two):
        return _contract("iap,jbp->iajb", *(jax.vmap(self.jacobian)(x) for x in (one, two)))

    def diagonal(self, one):
        # One at a time: the Jacobians of a whole batch need not fit where a tile's do.
        return jax.lax.map(lambda x: self.tile(x[None], x[None])[0, :, 0, :], one)

    def pairs(self, shape, dtype, tile_bytes):
        """A tile holds the Jacobians of two batches, and one of them again while it is made."""
        outputs = jax.eval_shape(self.predictor, jax.ShapeDtypeStruct(shape, dtype)).size
        parameters = sum(leaf.size for leaf in jax.tree.leaves(self.predictor.weights))
        return max(1, int(tile_bytes / (3 * outputs * parameters * jnp.dtype(dtype).itemsize))) ** 2


def _contract(equation, one, two):
    def leaf(a, b):
        flat = (m.reshape(*m.shape[:2], -1) for m in (a, b))
        return jnp.einsum(equation, *flat, precision="highest")

    return functools.reduce(operator.add, jax.tree.leaves(jax.tree.map(leaf, one, two)))


@eqx.filter_jit
def displacement(predictor: Trainable, X: Float[Array, "n ..."], alpha: Float[Array, "n c"]) -> Weights:
    """sum_j J(x_j)^T alpha_j, the move of the weights that adds Theta(x, X) alpha to the first-order model."""
    _, pull = jax.vjp(lambda w: jax.vmap(with_weights(predictor, w))(X), predictor.weights)
    return pull(alpha)[0]


def regression(predictor: Trainable, X: Float[Array, "n ..."], alpha: Float[Array, "n c"]) -> Linearized[Trainable]:
    """f(x) + Theta(x, X) alpha: regression with the predictor's own kernel *is* its first-order model, moved."""
    return Linearized(predictor, displacement(predictor, X, alpha))


def largest_eigenvalue(
    predictor: Trainable, X: Float[Array, "n ..."], *, key: PRNGKeyArray, rtol: float = 1e-3, max_steps: int = 100
) -> Float[Array, ""]:
    """lambda_1 of Theta(X, X), to about `rtol`: power iteration with kernel-vector products J (J^T v)."""

    def f(weights):
        return jax.vmap(with_weights(predictor, weights))(X)

    outputs, pull = jax.vjp(f, predictor.weights)

    def step(state):
        v, value, _, count = state
        _, u = push(f, predictor.weights, pull(v)[0])
        norm = jnp.linalg.norm(u)
        return u / norm, norm, jnp.abs(norm - value) / norm, count + 1

    def going(state):
        _, _, change, count = state
        return (change > rtol) & (count < max_steps)

    v = jax.random.normal(key, outputs.shape, outputs.dtype)
    one = jnp.ones((), outputs.dtype)
    return jax.lax.while_loop(going, step, (v / jnp.linalg.norm(v), 0 * one, one, 0))[1]
