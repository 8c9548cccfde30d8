"""Lower bounds of the margins of kernel regression over a whole ball of images, for fully connected infinite kernels.

Such a kernel is a function kappa(u, q', q_i) of u = <x', x_i>/d, q' = |x'|^2/d and q_i = |x_i|^2/d alone, and pixels
are in [0, 1], so that u >= 0. Let A_i be the coefficients of a margin, m(x') = sum_i A_i Theta(x', x_i). Over a ball
around x, cut with the box of images, three bounds hold; each may be the largest:

- `rkhs`: m(x') >= m(x) - |m|_H |Theta(x', .) - Theta(x, .)|_H.
- `intervals`: each kernel entry is replaced by its smallest (A_i > 0) or largest (A_i < 0) value. Along the layers:
  E[f f] rises with K; it rises with q' for ReLU, and falls for erf; E[f' f'] rises with K >= 0 and falls with q'.
- `linear`: for a network without biases between its hidden layers and with positively homogeneous activations (ReLU,
  leaky ReLU), kappa = s' s_i phi(c), where s = sqrt(q + b^2 / W^2) takes the first layer's bias for one more pixel, and
  c = (u + b^2 / W^2) / (s' s_i). phi is a power series in c with coefficients >= 0, so that it is convex on [0, 1]:
  each tangent, phi(t) + phi'(t) (c - t), is below it, and above it once the largest gap is added, which is at an end
  of the interval of c. So kappa is bounded by planes in u and s', and their sum over all i by

      sum_i A_i line_i  =  constant + <b, x'> + S s',
      s' >= s + <x, x' - x> / (d s)    and    s' <= s + <x, x' - x> / (d s) + |x' - x|^2 / (2 d s),

  in which what cancels between training examples still cancels. Its minimum over the ball has a closed form.

Rounding: intervals are widened, and `_slack` is taken off each bound, both well above what float64 loses: sums of n
terms err by less than n eps times the sum of their sizes, and formulas of a layer by a few eps. Near c = 1 the slope
(pi - t) / 2 pi may be too large by sqrt(8 eps) / 2 pi < 1e-8 (`activations.arc_cosine`), which `_SNAPPED` takes off.
So the bounds hold for the predictor with these coefficients in exact arithmetic.
"""

import dataclasses
import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ntkbench.ntk import balls
from ntkbench.ntk.activations import Activation, Deviation, Erf, ReLU
from ntkbench.ntk.compilation import jit
from ntkbench.ntk.infinite import InfiniteKernel
from ntkbench.ntk.layers import Covariance, Dense, Flatten, Layer, Positions, Sequential
from ntkbench.ntk.regression import Spectrum

_EPS = float(jnp.finfo(jnp.float64).eps)
_SNAPPED = 1e-8
_BELOW_ONE = 1 - 1e-6
"""the largest cosine at which a tangent is taken: at 1 the slope of the NTK's phi is infinite"""
_CELLS = 64
"""parts of the interval of q' on which the distance in the RKHS is bounded"""
_STEPS = 12
"""bisections of the radius, in its logarithm"""
_SMALLEST = 2.0**-16
"""the smallest radius that is told from 0, as a share of the largest"""

Bounds = Float[Array, " *n"]


class Region(NamedTuple):
    """The displacements of an image that a threat set allows: a box, and a Euclidean ball."""

    low: Float[Array, " d"]
    high: Float[Array, " d"]
    radius: Float[Array, ""]

    @classmethod
    def of(cls, ball: balls.Ball, x: Float[Array, " d"], eps: Float[Array, ""]) -> "Region":
        """Return the region of radius eps around the image x, with pixels in [0, 1]."""
        low, high = jnp.maximum(-eps, -x), jnp.minimum(eps, 1 - x)
        largest = jnp.sqrt(jnp.sum(jnp.maximum(jnp.square(low), jnp.square(high))))
        return cls(low, high, jnp.minimum(eps, largest) if isinstance(ball, balls.L2) else largest)

    def reach(self, slopes: Float[Array, "n d"]) -> "Interval":
        """Return bounds of <slope, delta>, for each row of `slopes`; exact in l_inf."""
        center = slopes @ ((self.low + self.high) / 2)
        half = jnp.abs(slopes) @ ((self.high - self.low) / 2)
        round_ = self.radius * jnp.linalg.norm(slopes, axis=1)
        return Interval(jnp.maximum(center - half, -round_), jnp.minimum(center + half, round_))

    def least_concave(self, slope: Float[Array, " d"], curvature: Float[Array, ""]) -> Float[Array, ""]:
        """Return a lower bound of <slope, delta> - curvature |delta|^2, for curvature >= 0; exact in l_inf."""
        ends = (slope * end - curvature * jnp.square(end) for end in (self.low, self.high))
        round_ = -self.radius * jnp.linalg.norm(slope) - curvature * jnp.square(self.radius)
        return jnp.maximum(jnp.sum(jnp.minimum(*ends)), round_)

    def variances(self, x: Float[Array, " d"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Return the least and the largest |x + delta|^2 / d that are possible."""
        norm = jnp.linalg.norm(x)
        low = jnp.maximum(jnp.sum(jnp.square(x + self.low)), jnp.square(jnp.maximum(norm - self.radius, 0)))
        high = jnp.minimum(jnp.sum(jnp.square(x + self.high)), jnp.square(norm + self.radius))
        return low / x.size * (1 - 8 * x.size * _EPS), high / x.size * (1 + 8 * x.size * _EPS)


class Interval(NamedTuple):
    """The least and the largest value of entries of a kernel."""

    low: Bounds
    high: Bounds


class Margins(eqx.Module):
    """Kernel regression whose margins are certified: coefficients, and what the bounds need of the training set."""

    kernel: InfiniteKernel
    X: Float[Array, "n d"]
    alpha: Float[Array, "n c"]
    norms: Float[Array, "c c"]
    """upper bounds of the RKHS norms of f_i - f_j; for one output that of f"""

    @classmethod
    def of(
        cls, kernel: InfiniteKernel, X: Float[Array, "n ..."], alpha: Float[Array, "n c"], spectrum: Spectrum
    ) -> "Margins":
        """Return the margins of regression with the coefficients `alpha`; `spectrum` is that of the kernel on X.

        Raises ValueError where the kernel has a layer that is not admitted.
        """
        if not admits(kernel.recipe):
            raise ValueError("bounds exist for flatten, dense layers, ReLU, leaky ReLU with 0 <= leak <= 1, and erf")
        pairs = alpha[:, :, None] - (alpha[:, None, :] if alpha.shape[1] > 1 else 0)
        n, size = len(alpha), jnp.sum(jnp.square(pairs), axis=0)
        parts = jnp.einsum("nk,nij->kij", spectrum.eigenvectors, pairs)
        values = jnp.maximum(spectrum.eigenvalues, 0)
        squared = jnp.einsum("k,kij->ij", values, jnp.square(parts)) + 8 * n * _EPS * values[0] * size
        return cls(kernel, X.reshape(n, -1), alpha, jnp.sqrt(squared))

    def coefficients(self, label: Int[Array, ""]) -> tuple[Float[Array, "n r"], Float[Array, " r"]]:
        """Return the coefficients of the margins against each rival of a label, with their RKHS norms.

        That of the label against itself is 0.
        """
        if self.alpha.shape[1] == 1:
            return self.alpha * (2 * label - 1).astype(self.alpha.dtype), self.norms[0]
        return self.alpha[:, label][:, None] - self.alpha, self.norms[label]


def admits(recipe: Layer) -> bool:
    """Return whether the bounds `rkhs` and `intervals` are known for a network."""
    return isinstance(recipe, Sequential) and all(
        isinstance(layer, Dense | Flatten | Erf) or (isinstance(layer, ReLU) and 0 <= layer.leak <= 1)
        for layer in recipe.layers
    )


def is_homogeneous(recipe: Layer) -> bool:
    """Return whether the bound `linear` is known: no erf, no bias between hidden layers, first weights not 0."""
    assert isinstance(recipe, Sequential)
    dense = [layer for layer in recipe.layers if isinstance(layer, Dense)]
    free = [layer.b_std is None or (layer.b_std == 0 and layer.parameterization == "ntk") for layer in dense]
    scaled = all(layer.b_std is None or layer.parameterization == "ntk" for layer in dense)
    smooth = any(isinstance(layer, Erf) for layer in recipe.layers)
    return bool(dense) and dense[0].W_std > 0 and scaled and all(free[1:-1]) and not smooth


class Bound(NamedTuple):
    """Hold what each of the three bounds gives: of the smallest margin, -inf where it is not known, or as a radius."""

    rkhs: Float[Array, "..."]
    intervals: Float[Array, "..."]
    linear: Float[Array, "..."]

    @property
    def best(self) -> Float[Array, "..."]:
        """The largest of the three."""
        return jnp.maximum(jnp.maximum(self.rkhs, self.intervals), self.linear)


@jit
def bounds(
    margins: Margins,
    ball: balls.Ball,
    tests: Float[Array, "t ..."],
    labels: Int[Array, " t"],
    eps: Float[Array, " e"],
    *,
    batch_size: int = 1,
) -> Bound:
    """Return lower bounds of the smallest margin of each test example at each radius, (t, e) each.

    An example is certified at a radius where one of its bounds is above 0. `batch_size`: number of examples at once.
    """

    def example(pair):
        x, label = pair
        return jax.lax.map(lambda radius: _bound(margins, ball, x.ravel(), label, radius), eps)

    return jax.lax.map(example, (tests, labels), batch_size=batch_size)


@jit
def certified_radius(
    margins: Margins,
    ball: balls.Ball,
    tests: Float[Array, "t ..."],
    labels: Int[Array, " t"],
    *,
    batch_size: int = 1,
) -> Bound:
    """Return the radius up to which each bound alone certifies each test example, within .3 % from below.

    It is 0 where a bound certifies nothing; the best of the three is the largest. The bounds fall with the radius. The
    largest radius is 1 in l_inf and sqrt(d) in l_2, which reach every image.
    """
    size = tests[0].size
    largest = math.sqrt(size) if isinstance(ball, balls.L2) else 1.0

    def example(pair):
        x, label = pair

        def radius(name):
            def halve(step, ends):
                low, high = ends
                middle = jnp.where(step == 0, largest * _SMALLEST, jnp.sqrt(low * high))
                good = getattr(_bound(margins, ball, x.ravel(), label, middle), name) > 0
                return jnp.where(good, middle, low), jnp.where(good, high, middle)

            zero = jnp.zeros((), x.dtype)
            return jax.lax.fori_loop(0, 1 + _STEPS, halve, (zero, zero + largest))[0]

        return Bound(*(radius(name) for name in Bound._fields))

    return jax.lax.map(example, (tests, labels), batch_size=batch_size)


def example_bytes(n: int, d: int) -> int:
    """Return the bytes that the bounds of one test example take, for n training examples of d pixels."""
    return 8 * 4 * n * d


def _bound(margins, ball, x, label, eps):
    """The bounds of one example at one radius, over its rivals."""
    A, norms = margins.coefficients(label)
    recipe, region = margins.kernel.recipe, Region.of(ball, x, eps)
    u = margins.X @ x / x.size
    q, own = jnp.sum(jnp.square(x)) / x.size, jnp.sum(jnp.square(margins.X), axis=1) / x.size
    least, most = region.variances(x)
    reach = region.reach(margins.X)
    wide = 8 * x.size * _EPS
    inner = Interval((u + reach.low / x.size) * (1 - wide), (u + reach.high / x.size) * (1 + wide))
    inner = Interval(jnp.maximum(inner.low, 0), inner.high)
    entries = _extremes(margins.kernel, inner, Interval(least, most), own, x.size)
    rounding = (len(A) + 64) * 8 * _EPS
    now = _extremes(margins.kernel, Interval(u, u), Interval(q, q), own, x.size)
    slack = rounding * (jnp.abs(A).T @ jnp.maximum(entries.high, now.high))
    interval = jnp.maximum(A, 0).T @ entries.low + jnp.minimum(A, 0).T @ entries.high - slack
    center = jnp.maximum(A, 0).T @ now.low + jnp.minimum(A, 0).T @ now.high - slack
    distance = _distance(margins.kernel, q, Interval(least, most), region.radius, x.size)
    rkhs = center - norms * distance * (1 + wide)
    if is_homogeneous(recipe):
        linear = _linear(margins, A, x, region, q, own, u, Interval(least, most)) - slack
    else:
        linear = jnp.full_like(rkhs, -jnp.inf)
    if A.shape[1] > 1:
        rival = jnp.arange(A.shape[1]) != label
        rkhs, interval, linear = (jnp.where(rival, values, jnp.inf) for values in (rkhs, interval, linear))
    return Bound(*(jnp.min(values) for values in (rkhs, interval, linear)))


def _read(kernel: InfiniteKernel, cov: Covariance) -> Array:
    found = getattr(cov, kernel.type)
    return jnp.zeros_like(cov.nngp) if found is None else found


def _covariance(values: Array, channels: int) -> Covariance:
    return Covariance(values, None, channels, Positions.NONE)


def _extremes(kernel: InfiniteKernel, u: Interval, q: Interval, own: Bounds, channels: int) -> Interval:
    """Return the least and largest kernel entries for u and q' in intervals, and q_i = `own`."""
    low, high = (_covariance(end, channels) for end in u)
    q_low, q_high, other = (_covariance(jnp.broadcast_to(end, own.shape), channels) for end in (*q, own))
    assert isinstance(kernel.recipe, Sequential)
    for layer in kernel.recipe.layers:
        if isinstance(layer, Activation):
            low, high = _through(layer, low, high, q_low.nngp, q_high.nngp, other.nngp)
            q_low, q_high, other = (
                dataclasses.replace(c, nngp=layer.moments(c.nngp)[0]) for c in (q_low, q_high, other)
            )
        elif isinstance(layer, Dense):
            low, high, q_low, q_high, other = (layer.covariance(c) for c in (low, high, q_low, q_high, other))
    return Interval(_read(kernel, low), _read(kernel, high))


def _through(layer: Activation, low: Covariance, high: Covariance, q_low: Array, q_high: Array, own: Array):
    """Return both ends of a covariance after an activation.

    Covariances above sqrt(q' q_i) belong to no image. Erf: where the largest covariance is above that at the least q',
    its value is largest where the two meet, and its slope at one of the two ends.
    """

    def dual(k, q):
        k = jnp.minimum(k, jnp.sqrt(q * own))
        return layer.dual(k, Deviation.of_variance(q), Deviation.of_variance(own))

    k_low, k_high = low.nngp, high.nngp
    if isinstance(layer, Erf):
        meet = jnp.maximum(q_low, jnp.square(k_high) / jnp.where(own > 0, own, 1))
        value_low, slope_low = dual(k_low, q_high)
        value_high, at_meet = dual(k_high, meet)
        slope_high = jnp.maximum(at_meet, dual(k_high, q_low)[1])
    else:
        value_low, value_high = dual(k_low, q_low)[0], dual(k_high, q_high)[0]
        slope_low, slope_high = dual(k_low, q_high)[1], dual(k_high, q_low)[1]
    wide = 64 * _EPS
    ends = (
        (low, value_low * (1 - wide), jnp.maximum(slope_low - _SNAPPED, 0)),
        (high, value_high * (1 + wide), slope_high * (1 + wide)),
    )
    return tuple(
        dataclasses.replace(cov, nngp=value, ntk=None if cov.ntk is None else cov.ntk * slope)
        for cov, value, slope in ends
    )


def _distance(kernel: InfiniteKernel, q: Array, variances: Interval, radius: Array, channels: int) -> Array:
    """Return an upper bound of |Theta(x', .) - Theta(x, .)|_H over the region.

    With |x' - x| <= radius, u = <x', x>/d is at least (q + q' - radius^2/d) / 2: the rest is a function of q', bounded
    on many small intervals.
    """
    ends = jnp.linspace(variances.low, variances.high, _CELLS + 1)
    low, high = ends[:-1], ends[1:]
    u = jnp.maximum((q + low - jnp.square(radius) / channels) / 2 * (1 - 64 * channels * _EPS), 0)

    def diagonal(q):
        itself, _ = kernel.recipe.observe(_covariance(q, channels))
        return _read(kernel, itself)

    def cell(u, low, high):
        return _extremes(kernel, Interval(u[None], u[None]), Interval(low, high), q[None], channels).low[0]

    least = jax.vmap(cell)(u, low, high)
    squared = diagonal(q) + diagonal(high) - 2 * least
    return jnp.sqrt(jnp.max(jnp.maximum(squared, 0) + 64 * _EPS * (diagonal(q) + diagonal(high))))


def _linear(margins, A, x, region, q, own, u, variances):
    """The linear bound against each rival, before rounding, see the module."""
    phi, beta, constant = _profile(margins.kernel, x.size)
    s, s_own = jnp.sqrt(q + beta), jnp.sqrt(own + beta)
    s_low, s_high = jnp.sqrt(variances.low + beta), jnp.sqrt(variances.high + beta)
    safe = jnp.where(s > 0, s, 1)
    scale = s * s_own
    c = jnp.where(scale > 0, (u + beta) / jnp.where(scale > 0, scale, 1), 0)
    cosines = _cosines(margins.X, x, region, jnp.clip(c, 0, 1), s, s_low, s_own)
    t = jnp.clip(c, 0, _BELOW_ONE)
    at, slope = jax.jvp(phi, (t,), (jnp.ones_like(t),))
    gap = jnp.maximum(*(phi(end) - at - slope * (end - t) for end in cosines))
    above = s_high * s_own * jnp.maximum(gap, 0)
    S = A.T @ (s_own * (at - slope * t))  # one a rival
    base = A.T @ (slope * (u + beta)) + S * s + constant * jnp.sum(A, axis=0)
    slopes = (A * slope[:, None]).T @ margins.X / x.size + (S / safe / x.size)[:, None] * x[None, :]
    curvature = jnp.maximum(-S, 0) / (2 * x.size * safe)
    moved = jax.vmap(region.least_concave)(slopes, curvature)
    size = jnp.abs(A).T @ (s_high * s_own * (at + slope))
    found = base + moved + jnp.minimum(A, 0).T @ above - (len(A) + x.size + 64) * 8 * _EPS * size
    return jnp.where((s_low > 0) & (s > 0), found, -jnp.inf)


def _profile(kernel: InfiniteKernel, channels: int):
    """Return phi, b^2 / W^2 of the first layer, and the constant that the last layer's bias adds to every entry."""
    assert isinstance(kernel.recipe, Sequential)
    layers = list(kernel.recipe.layers)
    places = [i for i, layer in enumerate(layers) if isinstance(layer, Dense)]
    first, last = layers[places[0]], layers[places[-1]]
    assert isinstance(first, Dense)
    assert isinstance(last, Dense)
    beta = ((first.b_std or 0.0) / first.W_std) ** 2
    constant = (last.b_std or 0.0) ** 2 if len(places) > 1 else 0.0
    for place, layer in ((places[0], first), (places[-1], last)):
        layers[place] = dataclasses.replace(layer, b_std=None)
    recipe = Sequential(tuple(layers))
    one = recipe.observe(_covariance(jnp.ones(()), channels))[1]

    def phi(c):
        notes = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, c.shape), one)
        return _read(kernel, recipe.propagate(_covariance(c, channels), notes, notes))

    return phi, beta, constant


def _cosines(X, x, region, c, s, s_low, s_own):
    """Return the least and largest cosines of x' with each training example, the bias counted as one more pixel.

    c' - c = (w - w_0) / (s' s_i) for w = u - c s_i s', which is linear in x' but for the curvature of s'. The angle
    between x and x' gives a second interval; both hold.
    """
    safe, scale = jnp.where(s > 0, s, 1), s_low * s_own
    across = X - (c * s_own / safe)[:, None] * x[None, :]
    bent = c * s_own * jnp.square(region.radius) / (2 * x.size * safe)
    reach = region.reach(across)
    low, high = reach.low / x.size - bent, reach.high / x.size
    scale = jnp.where(scale > 0, scale, 1)
    turned = jnp.arcsin(jnp.clip(region.radius / math.sqrt(x.size) / safe, 0, 1))
    angle = jnp.arccos(c)
    wide = 64 * x.size * _EPS
    nearest = jnp.cos(jnp.maximum(angle - turned - math.sqrt(wide), 0))
    farthest = jnp.cos(jnp.minimum(angle + turned + math.sqrt(wide), math.pi / 2))
    low = jnp.maximum(c + low / scale - wide, farthest)
    high = jnp.minimum(c + high / scale + wide, nearest + wide)
    return jnp.clip(low, 0, 1), jnp.clip(high, 0, 1)
