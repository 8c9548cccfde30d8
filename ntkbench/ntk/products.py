"""Empirical kernels by products of the kernel with vectors: no Jacobian is ever there, so memory does not grow with
outputs times weights. Each column costs a backward and a forward pass for every pair of examples."""

import equinox as eqx
import jax

from ntkbench.ntk.empirical import FULL, EmpiricalKernel, Layout
from ntkbench.ntk.linearize import push
from ntkbench.ntk.network import Trainable, with_weights


class ProductKernel(EmpiricalKernel):
    """Theta(x, x') e_b = J(x) (J(x')^T e_b), column by column."""

    predictor: Trainable
    layout: Layout = eqx.field(static=True, default=FULL)

    def example(self, x):
        return x

    def tile(self, one, two):
        weights = self.predictor.weights
        outputs = jax.eval_shape(self.predictor, two[0]).size
        directions = self.layout.directions(outputs).astype(two.dtype)

        def column(x, direction):
            """Return the directions of Theta(., x), at all examples of `one`, along one of x's."""
            _, pull = jax.vjp(lambda w: with_weights(self.predictor, w)(x), weights)
            (gradient,) = pull(direction)
            _, moved = push(lambda w: jax.vmap(with_weights(self.predictor, w))(one), weights, gradient)
            return moved @ (direction[:, None] if self.layout.trace else directions.T)

        columns = jax.lax.map(lambda x: jax.lax.map(lambda d: column(x, d), directions), two)  # n2 o n1 o
        if self.layout.trace:
            return columns.mean(axis=1).transpose(1, 0, 2)[:, None]
        return columns.transpose(2, 3, 0, 1)

    def example_bytes(self, shape, dtype):
        """Return the bytes that backpropagation keeps of an example, about those of the outputs of all layers."""
        layers = jax.make_jaxpr(self.predictor)(jax.ShapeDtypeStruct(shape, dtype)).eqns
        return 2 * dtype.itemsize * sum(out.aval.size for equation in layers for out in equation.outvars)
