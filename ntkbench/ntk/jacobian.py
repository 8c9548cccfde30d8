"""Empirical kernels by contraction of the whole Jacobian: for every predictor, at O P numbers an example."""

import functools
import operator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntkbench.ntk.empirical import FULL, EmpiricalKernel, Layout
from ntkbench.ntk.layers import Weights
from ntkbench.ntk.materialize import materialize
from ntkbench.ntk.network import Trainable, with_weights


class JacobianKernel(EmpiricalKernel):
    """Theta = J J^T, with J the derivatives of all outputs by all weights."""

    predictor: Trainable
    layout: Layout = eqx.field(static=True, default=FULL)

    def example(self, x):
        return x

    def jacobian(self, x: Float[Array, "..."]) -> Weights:
        """Each leaf `o *shape`."""
        f, pull = jax.vjp(lambda w: with_weights(self.predictor, w)(x), self.predictor.weights)
        (gradients,) = jax.vmap(pull)(self.layout.directions(f.size).astype(f.dtype))
        return gradients

    def tile(self, one, two):
        J1, J2 = (jax.vmap(self.jacobian)(x) for x in (one, two))
        return materialize(contract(J1, J2, self.layout))  # its mirror image is to have the same last bits

    def example_bytes(self, shape, dtype):
        """Its Jacobian; half of one again while it is made."""
        outputs = self.layout.directions(self.outputs(shape, dtype)).shape[0]
        parameters = sum(leaf.size for leaf in jax.tree.leaves(self.predictor.weights))
        return 3 * outputs * parameters * dtype.itemsize // 2


def contract(one: Weights, two: Weights, layout: Layout) -> Float[Array, "n1 s n2 s"]:
    """The sum over weights of products of Jacobians, each leaf `n o *shape`."""

    def leaf(a, b):
        flat = (m.reshape(*m.shape[:2], -1) for m in (a, b))
        equation = "iap,jap->ij" if layout.trace else "iap,jbp->iajb"
        return jnp.einsum(equation, *flat, precision="highest")

    K = functools.reduce(operator.add, jax.tree.leaves(jax.tree.map(leaf, one, two)))
    return K[:, None, :, None] / jax.tree.leaves(one)[0].shape[1] if layout.trace else K
