"""Empirical kernels layer by layer, for networks that use each weight once.

At a layer y_p = W phi_p, the gradient of output a is sum_p s_ap phi_p^T, with s = df/dy from backpropagation, so that

    Theta[a, b] = sum over layers of  sum_pq (phi_p . phi'_q) (s_ap . s'_bq).

Either both factors are formed, the Gram matrices of features and of signals (for a dense layer, p = q = 1, its k f
weights are never touched), or the gradients are, which are then multiplied. Whichever takes fewer operations.
"""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntkbench.ntk import jacobian
from ntkbench.ntk.empirical import FULL, EmpiricalKernel, Layout
from ntkbench.ntk.layers import Weighted
from ntkbench.ntk.materialize import materialize
from ntkbench.ntk.network import Part, Place, Trainable


class Sizes(NamedTuple):
    """Hold the sizes of one layer: directions, positions, and outputs and features at each position."""

    o: int
    p: int
    k: int
    f: int

    @classmethod
    def of(cls, place: Place, o: int) -> "Sizes":
        """Return the sizes of a place in the network, for o directions."""
        p, f = jax.eval_shape(place.layer.features, place.x).shape
        return cls(o, p, place.y.shape[-1], f)

    def by_grams(self, layout: Layout) -> int:
        """Multiplications for a pair of examples: both Gram matrices, and their product."""
        entries = layout.entries(self.o)
        signals = self.o if layout.trace else self.o**2
        return self.p**2 * (self.f + signals * self.k + (entries if self.p > 1 else 0))

    def by_gradients(self, layout: Layout) -> int:
        """The same once gradients are there."""
        return (self.o if layout.trace else self.o**2) * self.k * self.f

    def gradients(self) -> int:
        """Multiplications for the gradients of one example."""
        return self.o * self.p * self.k * self.f

    def prefers_grams(self, layout: Layout, n: int) -> bool:
        """Return whether the Gram matrices are cheaper for all pairs of n examples, of which half are computed."""
        return n * self.by_grams(layout) / 2 <= n * self.by_gradients(layout) / 2 + self.gradients()


class StructuredKernel(EmpiricalKernel):
    """Layer by layer."""

    predictor: Trainable
    layout: Layout = eqx.field(static=True, default=FULL)

    def example(self, x):
        outputs = jax.eval_shape(self.predictor, x).size
        return x, self.predictor.parts(x, self.layout.directions(outputs))

    def tile(self, one, two):
        (x, parts1), (_, parts2) = one, two
        each = zip(self.places(x.shape[1:], x.dtype), parts1, parts2, strict=True)
        terms = [between(place.layer, first, second, self.layout) for place, first, second in each]
        return materialize(sum(terms[1:], terms[0]))  # its mirror image is to have the same last bits

    def places(self, shape: tuple[int, ...], dtype: Any) -> tuple[Place, ...]:
        """The predictor's."""
        found = self.predictor.places(shape, dtype)
        assert found is not None
        return found

    def example_bytes(self, shape, dtype):
        """Return the bytes that backpropagation leaves at all layers, and the gradients or features of the largest."""
        places = self.places(shape, dtype)
        o = self.layout.directions(self.outputs(shape, dtype)).shape[0]
        kept = sum(place.x.size + o * place.y.size for place in places)
        sizes = [Sizes.of(place, o) for place in places]
        return dtype.itemsize * (kept + max(s.p * s.f + s.o * s.k * (1 if s.p == 1 else s.f) for s in sizes))


def between(layer: Weighted, one: Part, two: Part, layout: Layout) -> Float[Array, "n1 s n2 s"]:
    """The term of one layer, for two batches."""
    phi1, phi2 = (jax.vmap(layer.features)(part.x) for part in (one, two))
    _, p, o, k = one.signals.shape
    sizes = Sizes(o, p, k, phi1.shape[-1])
    if not sizes.prefers_grams(layout, max(len(phi1), len(phi2))):
        J1, J2 = (gradients(*pair) for pair in ((phi1, one.signals), (phi2, two.signals)))
        return jacobian.contract(J1, J2, layout)
    return _by_grams(phi1, one.signals, phi2, two.signals, layout)


def gradients(phi: Float[Array, "n p f"], signals: Float[Array, "n p o k"]) -> Float[Array, "n o k f"]:
    """Return the gradient of each direction by the layer's weights."""
    return jnp.einsum("npok,npf->nokf", signals, phi, precision="highest")


def _by_grams(phi1, s1, phi2, s2, layout):
    """The sum over pairs of positions of products of both Gram matrices.

    Where there are several positions, one example at a time against all others: those of all pairs would not fit.
    """
    p, o = s1.shape[1:3]
    if p == 1:
        inputs = jnp.einsum("ipf,jpf->ij", phi1, phi2, precision="highest")[:, None, :, None]
        equation = "ipak,jpak->ij" if layout.trace else "ipak,jpbk->iajb"
        signals = jnp.einsum(equation, s1, s2, precision="highest")
        return inputs * (signals[:, None, :, None] / o if layout.trace else signals)
    equation, both = ("pak,jqak->jpq", "jpq,jpq->j") if layout.trace else ("pak,jqbk->japbq", "jpq,japbq->ajb")

    def row(example):
        phi, s = example
        inputs = jnp.einsum("pf,jqf->jpq", phi, phi2, precision="highest")
        return jnp.einsum(both, inputs, jnp.einsum(equation, s, s2, precision="highest"), precision="highest")

    rows = jax.lax.map(row, (phi1, s1))
    return rows[:, None, :, None] / o if layout.trace else rows


def operations(sizes: list[Sizes], layout: Layout, n: int) -> float:
    """Multiplications for all pairs of n examples, backpropagation aside."""
    return math.fsum(
        n**2 / 2 * s.by_grams(layout)
        if s.prefers_grams(layout, n)
        else n**2 / 2 * s.by_gradients(layout) + n * s.gradients()
        for s in sizes
    )
