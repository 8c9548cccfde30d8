"""Uncertainty: intervals over test points, over seeds, over both together; which entries can be told apart.

**Seeds and test points together.** All seeds are judged on the same points, so the outcomes are a table of seeds by
points, and the mean of S seeds varies with both (Obuchowski & Rockette 1995: readers by cases):

    V = by_seed + max(0, by_point - both)

`both`, that a seed is right here and wrong there, is in either of the others and counts once.

A few seeds tell their own variance badly. A bootstrap does not know that: with 3 seeds, where they matter, its 95 %
intervals held the truth in 79 to 92 % of simulated experiments. So quantiles are Student's, with (S - 1) V / by_seed
degrees of freedom: S - 1 where all of the variance is that of seeds, infinite where none is. Satterthwaite (1946) and
Hillis (2007) have the square of V / by_seed, which with 3 seeds is itself too uncertain (91 to 93 % where seeds and
points vary alike). What is here covers 93 to 98 %: tests/test_coverage.py.

SciPy is imported where it is used: commands that draw no interval start without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, isfinite, log, sqrt
from types import ModuleType

import numpy as np

Number = int | float | np.ndarray
Bounds = tuple[float, float]
_MOST_LOG = 709.0
"""largest logarithm of a number that is still finite"""
_MANY = 1e9
"""degrees of freedom that are as good as infinite"""


def special() -> ModuleType:
    """Import and return SciPy's special functions, which take a quarter of a second."""
    from scipy import special

    return special


@dataclass(frozen=True)
class Summary:
    """Mean of `n` seeds, their standard deviation (ddof 1) and `mean_interval`; one seed has neither."""

    mean: float
    sd: float | None
    n: int
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, and what its variance is made of. With arrays it is many estimates at once, see `stack`."""

    mean: Number
    seeds: Number
    """number of seeds"""
    points: Number
    """number of test points that count, in the mean of the seeds; 0 where the mean is no share of points"""
    by_seed: Number
    """variance of the mean that the seeds show; 0 of one seed, which knows nothing of others"""
    by_point: Number
    """variance of the mean that the points show"""
    both: Number
    """the part that is in both of these, and counts once"""
    influence: np.ndarray
    """(..., N): N times the first-order change of the mean with each point; empty where that is not known"""

    @property
    def variance(self) -> Number:
        """Variance of the mean over other seeds and other points."""
        return self.by_seed + np.maximum(0.0, self.by_point - self.both)


@dataclass(frozen=True)
class Difference:
    """Mean of a less mean of b, the ends of its interval, and the two-sided p value of no difference."""

    mean: Number
    low: Number
    high: Number
    p: Number


def wilson(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a proportion k/n (Wilson 1927), without continuity correction.

    Raises ValueError where k of n is no proportion.
    """
    if not 0 <= k <= n or n == 0:
        raise ValueError(f"{k} of {n} is no proportion")
    z = float(special().ndtri((1 + level) / 2))
    center = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * sqrt(k * (n - k) / n + z * z / 4)
    # At the ends the formula gives 0 and 1 exactly; its rounding does not.
    return (0.0 if k == 0 else center - half, 1.0 if k == n else center + half)


def summary(values: Sequence[float], bounds: Bounds, level: float = 0.95) -> Summary:
    """Return mean, standard deviation and `mean_interval` of values of several seeds; ValueError without a value."""
    return summaries([values], bounds, level)[0]


def summaries(cells: Sequence[Sequence[float]], bounds: Bounds, level: float = 0.95) -> list[Summary]:
    """Return the `summary` of each cell, all of which have as many seeds, with the same bits as one at a time."""
    x = np.array(cells, float)
    if (n := x.shape[1]) == 0:
        raise ValueError("no value to summarize")
    with np.errstate(over="ignore", invalid="ignore"):
        means = x.mean(axis=1).tolist()
        if n == 1:
            return [Summary(mean, None, 1, None) for mean in means]
        sds = x.std(axis=1, ddof=1).tolist()
    ends = _mean_intervals(x, means, sds, bounds, level)
    return [Summary(mean, sd, n, pair) for mean, sd, pair in zip(means, sds, ends, strict=True)]


def mean_interval(values: Sequence[float], bounds: Bounds, level: float = 0.95) -> tuple[float, float] | None:
    """Return the interval of the mean over seeds of a metric with the range `bounds`, inside of it; None of one seed.

    - From 0 up to anything but 1, of positive numbers: Cox's of the mean of log-normal numbers with Student's quantile
      (Olsson 2005), around the mean itself. Where seeds differ by factors Student's covers 77 to 94 %, this 92 to 95 %.
    - Between two finite bounds: `interval`, scaled to them.
    - Else, or with a 0 among distances: Student's, cut off at the bounds unless a value is outside of them already.
    """
    return summary(values, bounds, level).interval


def _mean_intervals(x: np.ndarray, means: list, sds: list, bounds: Bounds, level: float) -> list[tuple[float, float]]:
    """Return the `mean_interval` of each row of an array, (cells, seeds), with these means and deviations."""
    (low, high), n = bounds, x.shape[1]
    ends = [student_interval(mean, sd, n, level) for mean, sd in zip(means, sds, strict=True)]
    inside = np.flatnonzero(np.all((low <= x) & (x <= high), axis=1)).tolist()
    for cell in inside:
        ends[cell] = max(ends[cell][0], low), min(ends[cell][1], high)
    if low == 0 and high != 1:
        positive = [cell for cell in inside if x[cell].min() > 0]
        for cell, spread in zip(positive, np.log(x[positive]).var(axis=1, ddof=1).tolist(), strict=True):
            below, above = student_interval(log(means[cell]), sqrt(spread + spread**2 * n / (2 * (n - 1))), n, level)
            ends[cell] = exp(below), min(exp(min(above, _MOST_LOG)), high)
    elif isfinite(high - low):
        for cell, pair in zip(inside, _share_intervals((x[inside] - low) / (high - low), level), strict=True):
            if pair is not None:
                ends[cell] = max(low + (high - low) * pair[0], low), min(low + (high - low) * pair[1], high)
    return ends


def _share_intervals(shares: np.ndarray, level: float) -> list[tuple[float, float] | None]:
    """Return the `interval` of each row of shares, (cells, seeds); None where seeds agree, or all shares are 0 or 1."""
    n = shares.shape[1]
    means, variances = shares.mean(axis=1), shares.var(axis=1, ddof=1) / n
    ts = special().stdtrit(_freedom(n - 1, variances, variances), (1 + level) / 2)
    return [
        _score(mean, mean * (1 - mean) / variance, t) if variance > 0 and 0 < mean < 1 else None
        for mean, variance, t in zip(means.tolist(), variances.tolist(), ts.tolist(), strict=True)
    ]


def student_interval(mean: float, sd: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return Student's interval mean ± t_{n-1} sd / sqrt(n)."""
    half = float(special().stdtrit(n - 1, (1 + level) / 2)) * sd / sqrt(n)
    return mean - half, mean + half


def from_points(outcomes: np.ndarray) -> Estimate:
    """Return the estimate of the mean over seeds of each seed's share of points.

    `outcomes`: (seeds, points), NaN where one does not count. Raises ValueError where no point of a seed counts.
    """
    counted = ~np.isnan(outcomes)
    points = outcomes.shape[1]
    n = counted.sum(axis=1)
    if not n.all():
        raise ValueError("a seed of which no test point counts has no mean")
    shares = np.where(counted, outcomes, 0.0).sum(axis=1) / n
    # A share is a ratio of two means over points: this is its first-order change with each of them.
    each = np.where(counted, outcomes - shares[:, None], 0.0) * (points / n)[:, None]
    return from_influence(shares, each, float(n.mean()))


def from_influence(values: np.ndarray, each: np.ndarray, counted: float | None = None) -> Estimate:
    """Return the estimate of the mean over seeds of a function of N test points.

    Args:
        values: (seeds,), the value of each seed
        each: (seeds, N), N times the first-order change of each value with each point
        counted: how many of the points count, in the mean of the seeds; None: all
    """
    seeds, points = each.shape
    influence = each.mean(axis=0)
    both = np.sum((each - influence) ** 2) / ((seeds - 1) * seeds * points**2) if seeds > 1 else 0.0
    by_point = np.sum(influence**2) / points**2
    mean = float(np.mean(values))
    n = points if counted is None else counted
    return Estimate(mean, seeds, n, _between(values), float(by_point), float(both), influence)


def from_counts(k: Sequence[int], n: Sequence[int]) -> Estimate:
    """Return the estimate of the mean of shares k/n of which only the counts are known: as if all seeds were right on
    the same points, which makes its variance too large rather than too small."""
    shares, points = np.divide(k, n), float(np.mean(n))
    mean = float(shares.mean())
    return Estimate(mean, len(k), points, _between(shares), mean * (1 - mean) / points, 0.0, np.empty(0))


def from_seeds(values: Sequence[float] | np.ndarray) -> Estimate:
    """Return the estimate of the mean of a number of each seed, which is no share of points."""
    return Estimate(float(np.mean(values)), len(values), 0, _between(np.array(values)), 0.0, 0.0, np.empty(0))


def stack(estimates: Sequence[Estimate]) -> Estimate:
    """Return several estimates as one of arrays, for `difference`. Their points are the same, or unknown of all."""
    numbers = ("mean", "seeds", "points", "by_seed", "by_point", "both", "influence")
    return Estimate(*(np.array([getattr(each, name) for each in estimates]) for name in numbers))


def interval(share: Estimate, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of a share: Wilson's with as many points as give its variance and Student's quantile.

    Of one seed it is `wilson`. After Kott & Carr 1997 and Dean & Pagano 2015, who do so for samples in clusters.
    """
    mean, variance = float(share.mean), float(share.variance)
    # Seeds that are all right or all wrong everywhere leave no variance: they count as one.
    points = mean * (1 - mean) / variance if variance > 0 else float(share.points)
    t = float(special().stdtrit(_freedom(share.seeds - 1, share.by_seed, variance), (1 + level) / 2))
    return _score(mean, points, t)


def _score(mean: float, points: float, t: float) -> tuple[float, float]:
    """Return the score interval of a share of so many points with the quantile t, see `interval`."""
    center, half = mean + t * t / (2 * points), t * sqrt(mean * (1 - mean) / points + (t / (2 * points)) ** 2)
    low, high = ((center + sign * half) / (1 + t * t / points) for sign in (-1, 1))
    return (0.0 if mean == 0 else low, 1.0 if mean == 1 else high)


def student(mean: Estimate, level: float = 0.95) -> tuple[float, float]:
    """Return Student's interval of any mean over seeds and test points."""
    freedom = _freedom(mean.seeds - 1, mean.by_seed, mean.variance)
    half = float(special().stdtrit(freedom, (1 + level) / 2)) * sqrt(float(mean.variance))
    return float(mean.mean) - half, float(mean.mean) + half


def difference(a: Estimate, b: Estimate, *, paired: bool, level: float = 0.95) -> Difference:
    """Return the difference of two means, or of one and each of several (`stack`).

    `paired`: both are of the SAME points, which then vary together; ValueError where they cannot be. Numbers that are
    no shares of points are compared by Welch's t (1947). Shares are compared as if one more point were right in one
    seed of one of them (Agresti & Min 2005): two that are right on the same points are not for sure equally good.
    """
    by_seed = a.by_seed + b.by_seed
    if paired:
        points = a.influence.shape[-1]
        if points == 0 or points != b.influence.shape[-1]:
            raise ValueError(f"{points} and {b.influence.shape[-1]} points cannot be paired")
        by_point = np.sum((a.influence - b.influence) ** 2, axis=-1) / points**2
    else:
        by_point = a.by_point + b.by_point
    variance = np.asarray(by_seed + np.maximum(0.0, by_point - a.both - b.both) + _one_more(a) + _one_more(b))
    mean, sd = np.asarray(a.mean - b.mean), np.sqrt(variance)
    parts = np.asarray(_part(a) + _part(b))
    welch = np.divide(by_seed**2, parts, out=np.full(parts.shape, _MANY), where=parts > 0)
    freedom = _freedom(welch, by_seed, variance)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = np.where(sd > 0, 2 * special().stdtr(freedom, -np.abs(mean) / sd), np.where(mean == 0, 1.0, 0.0))
    half = special().stdtrit(freedom, (1 + level) / 2) * sd
    return Difference(mean[()], (mean - half)[()], (mean + half)[()], p[()])


def holm(ps: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return p values, (..., tests), corrected for the number of tests (Holm 1979): if nothing differs, the least is
    below p with a chance of at most p."""
    p = np.asarray(ps, float)
    order = np.argsort(p, axis=-1, kind="stable")
    steps = np.take_along_axis(p, order, -1) * np.arange(p.shape[-1], 0, -1)
    corrected = np.empty(p.shape)
    np.put_along_axis(corrected, order, np.minimum(np.maximum.accumulate(steps, axis=-1), 1.0), -1)
    return corrected


def _between(values: np.ndarray) -> float:
    """Return the variance of a mean that its seeds show; 0 of one seed."""
    return float(np.var(values, ddof=1) / len(values)) if len(values) > 1 else 0.0


def _part(one: Estimate) -> Number:
    """Return by_seed^2 / (seeds - 1), which Welch's degrees of freedom have in their denominator."""
    return one.by_seed**2 / np.maximum(np.asarray(one.seeds) - 1, 1)


def _one_more(one: Estimate) -> Number:
    """Return the variance of half a point more, 0.5 / (seeds points^2); 0 of what is no share of points."""
    return np.where(np.asarray(one.points) > 0, 0.5 / one.seeds / np.maximum(one.points, 1) ** 2, 0.0)


def _freedom(of_seeds: Number, by_seed: Number, variance: Number) -> Number:
    """Return the degrees of freedom of a variance, of which the part `by_seed` has `of_seeds`; at most `_MANY`."""
    of_seeds, by_seed, variance = map(np.asarray, (of_seeds, by_seed, variance))
    with np.errstate(over="ignore"):
        found = np.divide(of_seeds * variance, by_seed, out=np.full(variance.shape, _MANY), where=by_seed > 0)
    return np.minimum(found, _MANY)
