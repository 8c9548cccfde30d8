"""The kernel of a predictor with given weights, and what follows from it without ever forming it.

Theta(x, x')[a, b] = < df_a(x)/dw , df_b(x')/dw >. Three ways of finding it agree to round-off, `jacobian`, `products`
and `structured`; `algorithms` chooses.
"""

import abc
import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ntkbench.ntk.gram import Kernel
from ntkbench.ntk.layers import Weights
from ntkbench.ntk.linearize import Linearized, push
from ntkbench.ntk.network import Trainable, with_weights


@dataclasses.dataclass(frozen=True)
class Layout:
    """Select the outputs of the kernel: all c x c, one of them, or the mean over a of Theta[a, a] (the pseudo-NTK)."""

    output: int | None = None
    trace: bool = False

    def directions(self, c: int) -> Float[Array, "o c"]:
        """The outputs that are differentiated."""
        every = jnp.eye(c)
        return every if self.output is None else every[self.output][None]

    def entries(self, o: int) -> int:
        """Return the number of entries of the kernel of one pair of examples, for o directions."""
        return 1 if self.trace else o**2


FULL, TRACE = Layout(), Layout(trace=True)


class EmpiricalKernel(Kernel):
    """Theta at the predictor's present weights. The second batch of `tile` None is the first one again."""

    predictor: eqx.AbstractVar[Trainable]
    layout: eqx.AbstractVar[Layout]

    @abc.abstractmethod
    def example_bytes(self, shape: tuple[int, ...], dtype: jnp.dtype) -> int:
        """Return the bytes of memory that one more example takes in a batch of a tile."""

    def pairs(self, shape, dtype, tile_bytes):
        """A tile has two batches."""
        return max(1, int(tile_bytes / (2 * self.example_bytes(shape, jnp.dtype(dtype))))) ** 2

    def diagonal(self, one):
        # One at a time: what is kept of a whole batch need not fit where a tile's does.
        def alone(example):
            example = jax.tree.map(lambda leaf: leaf[None], example)
            block = self.tile(example, example)[0, :, 0, :]
            return (block + block.T) / 2

        return jax.lax.map(alone, one)

    def outputs(self, shape: tuple[int, ...], dtype: jnp.dtype) -> int:
        """c."""
        return jax.eval_shape(self.predictor, jax.ShapeDtypeStruct(shape, dtype)).size


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
