"""Activations, each with its limit: for (u, v) ~ N(0, [[q, K], [K, q']]), E[f(u) f(v)] and E[f'(u) f'(v)].

The second is the derivative of the first in K (Price's theorem). All are closed forms or, for functions made of the
logistic one, mixtures of closed forms: none is a quadrature over u and v, whose nodes would have to grow with q.
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
    """Hold the standard deviation of the units of one example, and its inverse, at each position."""

    sd: Entries
    inverse: Entries

    @classmethod
    def of(cls, cov: Covariance) -> "Deviation":
        """Return the deviations that the covariance of an example with itself has on its diagonal."""
        return cls.of_variance(cov.at_equal_positions(cov.nngp))

    @classmethod
    def of_variance(cls, variance: Entries) -> "Deviation":
        """A unit that is always 0 has inverse 0."""
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
            phase = note.inverse * d.sd
            d_first, d_zeroth = d_first + (first - zeroth * nngp) * phase, d_zeroth - slope * nngp * phase
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
    """Return arccos to 2e-8: sqrt(1 - |c|) times a polynomial (Abramowitz & Stegun 4.4.46), faster than JAX's."""
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


class Analytic(Activation):
    """An activation whose limit is one smooth formula in K, q and q', with no singular point at equal inputs.

    Formulas are given q q' - K^2, which is exactly 0 at equal inputs and would not be so were it computed from scaled
    variances: so they keep their digits where variances are large.
    """

    @abc.abstractmethod
    def limit(self, nngp: Entries, q1: Entries, q2: Entries, apart: Entries) -> tuple[Entries, Entries]:
        """E[f(u) f(v)] and E[f'(u) f'(v)] of variances q1 and q2; `apart` is q1 q2 - nngp^2."""

    def dual(self, nngp, one, two):
        q1, q2 = jnp.square(one.sd), jnp.square(two.sd)
        return self.limit(nngp, q1, q2, q1 * q2 - jnp.square(nngp))

    def moments(self, variance):
        return self.limit(variance, variance, variance, jnp.zeros_like(variance))


@dataclasses.dataclass(frozen=True)
class Erf(Analytic):
    """The error function (Williams 1997, eq. 11)."""

    def function(self, x):
        return jax.scipy.special.erf(x)

    def limit(self, nngp, q1, q2, apart):
        root = jnp.sqrt(1 + 2 * q1 + 2 * q2 + 4 * apart)
        return 2 / math.pi * jnp.arctan2(2 * nngp, root), 4 / math.pi / root


@dataclasses.dataclass(frozen=True)
class GELU(Analytic):
    """x Phi(x), Phi the normal distribution function (limit: Tsuchida 2020, by Gaussian integration by parts).

    With D = E[phi(u) phi(v)], F = E[Phi(u) Phi(v)], E = 1/(1+q) + 1/(1+q'), B = q q' - K^2 + K^2 E and
    G = (1+q)(1+q') - K^2: E[f f] = K F + D B, and its derivative in K is F + D K (2 E - 1 + B / G).
    """

    def function(self, x):
        return jax.nn.gelu(x, approximate=False)

    def limit(self, nngp, q1, q2, apart):
        gap = 1 + q1 + q2 + apart
        root = jnp.sqrt(gap)
        density = 1 / (2 * math.pi * root)
        both = 0.25 + jnp.arctan2(nngp, root) / (2 * math.pi)
        e = 1 / (1 + q1) + 1 / (1 + q2)
        # 2 E - 1 + B / G, of which 1 and B / G cancel at large variances
        rest = 2 * e - (1 + q2 / (1 + q1) + q1 / (1 + q2) + apart * e) / gap
        return nngp * both + density * (apart + jnp.square(nngp) * e), both + density * nngp * rest


@dataclasses.dataclass(frozen=True)
class SmoothReLU(Analytic):
    """x Phi(x) + phi(x): the mean of relu(x + z) over z ~ N(0, 1). Its limit is the arc-cosine kernel of q+1, q'+1."""

    def function(self, x):
        return x * jax.scipy.special.ndtr(x) + jnp.exp(-jnp.square(x) / 2) / math.sqrt(2 * math.pi)

    def limit(self, nngp, q1, q2, apart):
        root = jnp.sqrt(1 + q1 + q2 + apart)
        rest = math.pi - jnp.arctan2(root, nngp)
        return (root + rest * nngp) / (2 * math.pi), rest / (2 * math.pi)


@dataclasses.dataclass(frozen=True)
class Sin(Analytic):
    """The sine: E[f f] = exp(-(q + q')/2) sinh K, and its derivative in K has cosh in the place of sinh."""

    def function(self, x):
        return jnp.sin(x)

    def limit(self, nngp, q1, q2, apart):
        sign = jnp.where(nngp < 0, -1.0, 1.0).astype(nngp.dtype)
        size = sign * nngp
        half, less = jnp.exp(size - (q1 + q2) / 2) / 2, jnp.expm1(-2 * size)
        return -sign * half * less, half * (2 + less)


@dataclasses.dataclass(frozen=True)
class Logistic(Analytic):
    """f(x) = shift + factor E[s^power base(slope x / s)], s the random standard deviation of a logistic variable.

    A logistic variable is a normal one whose standard deviation is random (Andrews & Mallows 1974). So the sigmoid, the
    hyperbolic tangent, softplus and silu are mixtures of functions with closed limits, and their limits are mixtures of
    those, over a pair of independent s. Gauss quadrature over s gives f to 1e-12 everywhere; since it is f that is
    approximated and the Gaussian integrals are exact, limits have that error (relative; 1e-11 for slopes) at every
    variance. Bases with `shift` are odd.
    """

    f: Callable[[Float[Array, "..."]], Float[Array, "..."]]
    base: Analytic
    slope: float = 1.0
    factor: float = 1.0
    power: int = 0
    shift: float = 0.0

    def function(self, x):
        return self.f(x)

    def limit(self, nngp, q1, q2, apart):
        def add(total, term):
            weight, a, b = term
            both, slopes = self.base.limit(a * b * nngp, a * a * q1, b * b * q2, (a * b) ** 2 * apart)
            return (total[0] + weight * both, total[1] + weight * a * b * slopes), None

        begun = jnp.full_like(nngp, self.shift**2), jnp.zeros_like(nngp)
        return jax.lax.scan(add, begun, self._terms(nngp.dtype))[0]

    def _terms(self, dtype):
        """Return for each pair of scales its weight and the slopes of both factors."""
        s, share = logistic_scales()
        weight, slope = self.factor * share * s**self.power, self.slope / s
        pairs = np.outer(weight, weight), *np.meshgrid(slope, slope, indexing="ij")
        return tuple(jnp.asarray(values.ravel(), dtype) for values in pairs)


@functools.cache
def logistic_scales(nodes: int = 20) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Standard deviations s and their shares, of which normal variables make a logistic one: Gauss quadrature in log s.

    s / 2 has Kolmogorov's distribution; nodes are the eigenvalues of the Jacobi matrix of its discretized density
    (Golub & Welsch 1969).
    """
    y = np.linspace(math.log(0.2), math.log(20), 4000)  # beyond, the density is below 1e-19 of its largest value
    mass = _kolmogorov(np.exp(y) / 2) * np.exp(y)
    mass /= mass.sum()
    one, before, beta = np.ones_like(y), np.zeros_like(y), 0.0
    jacobi = np.zeros((nodes + 1, nodes + 1))
    for j in range(nodes):
        jacobi[j, j] = mass @ (y * one**2)
        rest = (y - jacobi[j, j]) * one - beta * before
        beta = math.sqrt(mass @ rest**2)
        jacobi[j, j + 1] = jacobi[j + 1, j] = beta
        one, before = rest / beta, one
    log_s, vectors = np.linalg.eigh(jacobi[:nodes, :nodes])
    return np.exp(log_s), vectors[0] ** 2


def _kolmogorov(x: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """The density of the Kolmogorov distribution; its two series are one theta function, above 1 and below."""
    k, odd = np.arange(1, 9)[:, None], np.arange(1, 17, 2)[:, None]
    above = 8 * x * np.sum((-1.0) ** (k + 1) * k**2 * np.exp(-2 * (k * x) ** 2), axis=0)
    rate = (odd * math.pi / x) ** 2 / 8
    return np.where(x > 1, above, math.sqrt(2 * math.pi) / x**2 * np.sum((2 * rate - 1) * np.exp(-rate), axis=0))


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
