"""Activations, each with its limit: for (u, v) ~ N(0, [[q, K], [K, q']]), E[f(u) f(v)] and E[f'(u) f'(v)].

The second is the derivative of the first in K (Price's theorem). At u = v both have a closed form of their own, which
is exact where the general one loses digits.
"""

import abc
import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from ntkbench.ntk.layers import Covariance, Layer, Positions
from ntkbench.ntk.materialize import materialize, materialize_gradient

Entries = Float[Array, "*p"]


class Deviation(NamedTuple):
    """Of the units of one example, at each position."""

    sd: Entries
    inverse: Entries

    @classmethod
    def of(cls, cov: Covariance) -> "Deviation":
        """Of the covariance of an example with itself. A unit that is always 0 has inverse 0."""
        variance = cov.at_equal_positions(cov.nngp)
        positive = variance > 0
        sd = jnp.sqrt(jnp.where(positive, variance, 1))  # the derivative of sqrt at 0 must not spread NaN
        return cls(jnp.where(positive, sd, 0), jnp.where(positive, 1 / sd, 0))


def aligned(cov: Covariance, one: Deviation, two: Deviation) -> tuple[Deviation, Deviation]:
    """Shaped to broadcast against a covariance: positions of the first example first."""
    if cov.positions is Positions.NONE:
        return one, two
    if cov.positions is Positions.ALL:
        one, two = Deviation(*(v[:, :, None, None] for v in one)), Deviation(*(v[None, None] for v in two))
    return _spread(one, cov.nngp.shape), _spread(two, cov.nngp.shape)


def _spread(deviation: Deviation, shape: tuple[int, ...]) -> Deviation:
    """The sum that is its gradient reads memory: XLA on CPU is slow at sums fused with what computes their terms."""
    return Deviation(*(materialize_gradient(jnp.broadcast_to(v, shape)) for v in deviation))


class Activation(Layer):
    """A function applied to each unit."""

    @abc.abstractmethod
    def function(self, x: Float[Array, "..."]) -> Float[Array, "..."]: ...

    @abc.abstractmethod
    def dual(self, nngp: Entries, one: Deviation, two: Deviation) -> tuple[Entries, Entries]:
        """E[f(u) f(v)] and E[f'(u) f'(v)]."""

    @abc.abstractmethod
    def moments(self, variance: Entries) -> tuple[Entries, Entries]:
        """E[f(u)^2] and E[f'(u)^2]: `dual` at u = v, exactly."""

    def init(self, shape, *, key, dtype):
        return (), shape

    def apply(self, weights, x):
        return self.function(x)

    def observe(self, cov):
        cov = _in_memory(cov)
        note = Deviation.of(cov)
        moments = self.moments(cov.at_equal_positions(cov.nngp))
        if cov.positions is Positions.ALL:
            h, w = note.sd.shape
            same = jnp.eye(h * w, dtype=bool).reshape(h, w, h, w)
            pairs = self.dual(cov.nngp, *aligned(cov, note, note))
            moments = (jnp.where(same, m[:, :, None, None], p) for m, p in zip(moments, pairs, strict=True))
        return self._limit_of(cov, *moments), note

    def propagate(self, cov, note1, note2):
        cov = _in_memory(cov)
        return self._limit_of(cov, *self.dual(cov.nngp, *aligned(cov, note1, note2)))

    def _limit_of(self, cov, nngp, slope):
        return _in_memory(dataclasses.replace(cov, nngp=nngp, ntk=None if cov.ntk is None else cov.ntk * slope))


def _in_memory(cov: Covariance) -> Covariance:
    """Activations, and layers that mix positions, read each entry many times, and would compute it as often."""
    return cov if cov.positions is Positions.NONE else cov.map(materialize)


@dataclasses.dataclass(frozen=True)
class ReLU(Activation):
    """max(x, 0), or x `leak` below 0. Its limit is the arc-cosine kernel (Cho & Saul 2009, eqs. 5 and 6)."""

    leak: float = 0.0

    def function(self, x):
        return jax.nn.relu(x) if self.leak == 0 else jnp.where(x > 0, x, self.leak * x)

    def dual(self, nngp, one, two):
        # f(x) = leak x + (1 - leak) relu(x), and E[u relu(v)] = K / 2.
        first, zeroth = rectified(nngp, one, two)
        if self.leak == 0:
            return first, zeroth
        rest = (1 - self.leak) ** 2
        return self.leak * nngp + rest * first, self.leak + rest * zeroth

    def moments(self, variance):
        half = (1 + self.leak**2) / 2
        return half * variance, jnp.full_like(variance, half)


@jax.custom_jvp
def rectified(nngp: Entries, one: Deviation, two: Deviation) -> tuple[Entries, Entries]:
    """E[relu(u) relu(v)] and E[step(u) step(v)].

    Where u is stretched, so is the first, and the second stays as it is (Euler's theorem): all that deviations do to
    either is in d sd / sd. That spares derivatives in `inverse` of their own.
    """
    first, zeroth = arc_cosine(nngp * one.inverse * two.inverse)
    return one.sd * two.sd * first, zeroth


@functools.partial(rectified.defjvp, symbolic_zeros=True)
def _(primals, tangents):
    (nngp, *notes), (d_nngp, *d_notes) = primals, tangents
    scale = notes[0].inverse * notes[1].inverse
    (first, zeroth), (_, slope) = jax.jvp(arc_cosine, (nngp * scale,), (jnp.ones_like(nngp),))
    first, slope = notes[0].sd * notes[1].sd * first, scale * slope
    d_nngp = jnp.zeros_like(nngp) if isinstance(d_nngp, SymbolicZero) else d_nngp
    d_first, d_zeroth = zeroth * d_nngp, slope * d_nngp
    for note, d in zip(notes, d_notes, strict=True):
        if not isinstance(d.sd, SymbolicZero):
            stretch = note.inverse * d.sd
            d_first, d_zeroth = d_first + (first - zeroth * nngp) * stretch, d_zeroth - slope * nngp * stretch
    return (first, zeroth), (d_first, d_zeroth)


@jax.custom_jvp
def arc_cosine(c: Entries) -> tuple[Entries, Entries]:
    """(sin t + (pi - t) cos t) / 2 pi and (pi - t) / 2 pi, at the angle t of cosine c.

    The first is the integral of the second. The second has a vertical tangent at c = 1, where its two
    sides' slopes along any path through equal inputs are opposite: their mean, 0, is its derivative.
    """
    c = _settled(c)
    sine = jnp.sqrt((1 - c) * (1 + c))
    rest = math.pi - (_arccos(c) if c.dtype == jnp.float32 else jnp.arctan2(sine, c))
    return (sine + rest * c) / (2 * math.pi), rest / (2 * math.pi)


def _settled(c: Entries) -> Entries:
    """1 where c is that to round-off, which is an angle of 1e-8, and would be an error of that size in the kernel."""
    return jnp.where((1 - c) * (1 + c) > 8 * jnp.finfo(c.dtype).eps, c, jnp.sign(c))


_ARCCOS = (
    1.5707963050,
    -0.2145988016,
    0.0889789874,
    -0.0501743046,
    0.0308918810,
    -0.0170881256,
    0.0066700901,
    -0.0012624911,
)


def _arccos(c: Entries) -> Entries:
    """To 2e-8: sqrt(1 - |c|) times a polynomial (Abramowitz & Stegun 4.4.46). Cheaper than the library's by far."""
    size = jnp.abs(c)
    angle = jnp.sqrt(1 - size) * functools.reduce(
        lambda value, a: value * size + a, reversed(_ARCCOS), jnp.zeros_like(c)
    )
    return jnp.where(c < 0, math.pi - angle, angle)


@arc_cosine.defjvp
def _(primals, tangents):
    (c,), (dc,) = primals, tangents
    first, zeroth = arc_cosine(c)
    c = _settled(c)
    gap = (1 - c) * (1 + c)
    regular = gap > 0
    slope = jnp.where(regular, 1 / (2 * math.pi * jnp.sqrt(jnp.where(regular, gap, 1))), 0)
    return (first, zeroth), (zeroth * dc, slope * dc)


@dataclasses.dataclass(frozen=True)
class Erf(Activation):
    """The error function (Williams 1997, eq. 11)."""

    def function(self, x):
        return jax.scipy.special.erf(x)

    def dual(self, nngp, one, two):
        one, two = (jnp.sqrt(1 + 2 * jnp.square(d.sd)) for d in (one, two))
        gap = (one * two - 2 * nngp) * (one * two + 2 * nngp)
        return 2 / math.pi * jnp.arctan2(2 * nngp, jnp.sqrt(gap)), 4 / math.pi / jnp.sqrt(gap)

    def moments(self, variance):
        root = jnp.sqrt(1 + 4 * variance)
        return 2 / math.pi * jnp.arctan2(2 * variance, root), 4 / math.pi / root


@dataclasses.dataclass(frozen=True)
class GELU(Activation):
    """x Phi(x), Phi the normal distribution function (limit: Tsuchida 2020, by Gaussian integration by parts).

    With D = E[phi(u) phi(v)], F = E[Phi(u) Phi(v)], S = 1/(1+q) + 1/(1+q') - 1 and B = q q' + K^2 S:
    E[f f] = K F + D B, and its derivative in K is F + D (K + 2 K S + K B / ((1+q)(1+q') - K^2)).
    """

    def function(self, x):
        return jax.nn.gelu(x, approximate=False)

    def dual(self, nngp, one, two):
        return self._limit(nngp, jnp.square(one.sd), jnp.square(two.sd))

    def moments(self, variance):
        return self._limit(variance, variance, variance)

    def _limit(self, nngp, q1, q2):
        gap = 1 + q1 + q2 + (q1 * q2 - jnp.square(nngp))
        root = jnp.sqrt(gap)
        density = 1 / (2 * math.pi * root)
        both = 0.25 + jnp.arctan2(nngp, root) / (2 * math.pi)
        s = 1 / (1 + q1) + 1 / (1 + q2) - 1
        b = q1 * q2 + jnp.square(nngp) * s
        return nngp * both + density * b, both + density * nngp * (1 + 2 * s + b / gap)


@dataclasses.dataclass(frozen=True)
class Elementwise(Activation):
    """Any other function. Limit: Gauss-Hermite quadrature with `nodes` nodes in each of two dimensions.

    (u, v) = (sd z_1, sd' (c z_1 + s z_2)) with independent z; exact for polynomials f of degree below `nodes`.
    """

    f: Callable[[Float[Array, "..."]], Float[Array, "..."]]
    nodes: int = 64

    def function(self, x):
        return self.f(x)

    def dual(self, nngp, one, two):
        c = jnp.clip(nngp * one.inverse * two.inverse, -1, 1)
        s = jnp.sqrt(jnp.maximum((1 - c) * (1 + c), jnp.finfo(c.dtype).tiny))  # its slope at 0 must stay finite
        z, weight = self._rule(c.dtype)

        def column(total, node):
            z1, w1 = node
            u = one.sd * z1

            def entry(total, node):
                z2, w2 = node
                v = two.sd * (c * z1 + s * z2)
                pair = self.f(u) * self.f(v), self._slope(u) * self._slope(v)
                return jax.tree.map(lambda t, p: t + w1 * w2 * p, total, pair), None

            return jax.lax.scan(entry, total, (z, weight))

        zero = jnp.zeros_like(c)
        return jax.lax.scan(column, (zero, zero), (z, weight))[0]

    def moments(self, variance):
        z, weight = self._rule(variance.dtype)
        u = jnp.sqrt(variance)[..., None] * z.reshape((1,) * variance.ndim + (-1,))
        return jnp.square(self.f(u)) @ weight, jnp.square(self._slope(u)) @ weight

    def _slope(self, u):
        return jax.jvp(self.f, (u,), (jnp.ones_like(u),))[1]

    def _rule(self, dtype):
        z, weight = np.polynomial.hermite_e.hermegauss(self.nodes)
        return jnp.asarray(z, dtype), jnp.asarray(weight / np.sqrt(2 * np.pi), dtype)


@dataclasses.dataclass(frozen=True)
class LayerNorm(Layer):
    """(x - mean) / sd over the channels of each position, without weights.

    Limit: the mean over channels is 0, and the standard deviation that of the units: K and T divided by sqrt(q q').
    """

    def init(self, shape, *, key, dtype):
        return (), shape

    def apply(self, weights, x):
        return jax.nn.standardize(x, axis=-1, epsilon=jnp.finfo(x.dtype).eps)

    def observe(self, cov):
        note = Deviation.of(cov)
        return self.propagate(cov, note, note), note

    def propagate(self, cov, note1, note2):
        one, two = aligned(cov, note1, note2)
        return cov.map(lambda k: k * one.inverse * two.inverse)
