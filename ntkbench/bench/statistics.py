"""Uncertainty: intervals over test points, over seeds, over both together; which entries can be told apart.

**Seeds and test points together.** All seeds are judged on the same points, so the outcomes are a table of seeds by
points, and the mean of S seeds varies with both (Obuchowski & Rockette 1995: readers by cases):

    V = by_seed + max(0, by_point - both)

`both`, that a seed is right here and wrong there, is in either of the others and counts once.

A few seeds tell their own variance badly. A bootstrap does not know that: with 3 seeds, where they matter, its 95 %
intervals held the truth in 79 to 92 % of simulated experiments. So quantiles are Student's, with (S - 1) V / by_seed
degrees of freedom: S - 1 where all of the variance is that of seeds, infinite where none is. Satterthwaite (1946) and
Hillis (2007) have the square of V / by_seed, which with 3 seeds is itself too uncertain (91 to 93 % where seeds and
points vary alike). What is here covers 93 to 98 %: tests/bench/test_coverage.py.

SciPy is imported where it is used: commands that draw no interval start without it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

Number = int | float | np.ndarray
_MANY = 1e9
"""degrees of freedom that are as good as infinite"""


@dataclass(frozen=True)
class Summary:
    """Mean of `n` seeds, their standard deviation (ddof 1) and the t interval; one seed has neither."""

    mean: float
    sd: float | None
    n: int
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, and what its variance is made of. With arrays it is many estimates at once."""

    mean: Number
    seeds: Number
    points: Number
    """that count, in the mean of the seeds; 0 of what is no share of points"""
    by_seed: Number
    """variance that the seeds show; 0 of one seed, which knows nothing of others"""
    by_point: Number
    """variance that the points show"""
    both: Number
    """the part that is in either"""
    influence: np.ndarray
    """(..., N): N times how far each point moves the mean; empty where that is not known"""

    @property
    def variance(self) -> Number:
        return self.by_seed + np.maximum(0.0, self.by_point - self.both)


@dataclass(frozen=True)
class Difference:
    """Mean of a less mean of b, the ends of its interval, and the two-sided p value of no difference."""

    mean: Number
    low: Number
    high: Number
    p: Number


def wilson(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Score interval of a proportion k/n (Wilson 1927), without continuity correction."""
    from scipy.special import ndtri

    if not 0 <= k <= n or n == 0:
        raise ValueError(f"{k} of {n} is no proportion")
    z = float(ndtri((1 + level) / 2))
    center = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * sqrt(k * (n - k) / n + z * z / 4)
    # At the ends the formula gives 0 and 1 exactly; its rounding does not.
    return (0.0 if k == 0 else center - half, 1.0 if k == n else center + half)


def t_interval(values: Sequence[float], level: float = 0.95) -> Summary:
    """Mean, standard deviation and interval of the mean of `values`."""
    n = len(values)
    if n == 0:
        raise ValueError("no value to summarize")
    with np.errstate(over="ignore", invalid="ignore"):
        mean, sd = float(np.mean(values)), float(np.std(values, ddof=1)) if n > 1 else None
    if sd is None:
        return Summary(mean, None, 1, None)
    return Summary(mean, sd, n, around(mean, sd, n, level))


def around(mean: float, sd: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Student's interval mean ± t_{n-1} sd / sqrt(n)."""
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, (1 + level) / 2)) * sd / sqrt(n)
    return mean - half, mean + half


def of_points(outcomes: np.ndarray) -> Estimate:
    """The mean over seeds of each seed's share of points. `outcomes`: (seeds, points), NaN where one does not count."""
    counted = ~np.isnan(outcomes)
    seeds, points = outcomes.shape
    n = counted.sum(axis=1)
    if not n.all():
        raise ValueError("a seed without a single point that counts has no mean")
    shares = np.where(counted, outcomes, 0.0).sum(axis=1) / n
    # A share is a ratio of two means over points: this is its first-order change with each of them.
    each = np.where(counted, outcomes - shares[:, None], 0.0) * (points / n)[:, None]
    influence = each.mean(axis=0)
    both = np.sum((each - influence) ** 2) / ((seeds - 1) * seeds * points**2) if seeds > 1 else 0.0
    by_seed = np.var(shares, ddof=1) / seeds if seeds > 1 else 0.0
    return Estimate(
        float(shares.mean()),
        seeds,
        float(n.mean()),
        float(by_seed),
        float(np.sum(influence**2) / points**2),
        float(both),
        influence,
    )


def of_counts(k: Sequence[int], n: Sequence[int]) -> Estimate:
    """The mean of shares k/n of which only the counts are known: as if all seeds were right on the same points, which
    makes its variance too large rather than too small."""
    shares, points = np.divide(k, n), float(np.mean(n))
    mean = float(shares.mean())
    return Estimate(mean, len(k), points, _between(shares), mean * (1 - mean) / points, 0.0, np.empty(0))


def of_seeds(values: Sequence[float]) -> Estimate:
    """The mean of a number of each seed, which is no share of points."""
    return Estimate(float(np.mean(values)), len(values), 0, _between(np.array(values)), 0.0, 0.0, np.empty(0))


def stack(estimates: Sequence[Estimate]) -> Estimate:
    """All of them as one, for `difference`. Their points are the same, or unknown of all."""
    numbers = ("mean", "seeds", "points", "by_seed", "by_point", "both", "influence")
    return Estimate(*(np.array([getattr(each, name) for each in estimates]) for name in numbers))


def interval(share: Estimate, level: float = 0.95) -> tuple[float, float]:
    """Of a share of points: Wilson's, with as many points as give this variance, and Student's quantile.

    Of one seed it is `wilson`. After Kott & Carr 1997 and Dean & Pagano 2015, who do so for samples in clusters.
    """
    from scipy.special import stdtrit

    mean, variance = float(share.mean), float(share.variance)
    # Seeds that are all right or all wrong everywhere leave no variance: they count as one.
    points = mean * (1 - mean) / variance if variance > 0 else float(share.points)
    t = float(stdtrit(_freedom(share.seeds - 1, share.by_seed, variance), (1 + level) / 2))
    center, half = mean + t * t / (2 * points), t * sqrt(mean * (1 - mean) / points + (t / (2 * points)) ** 2)
    low, high = ((center + sign * half) / (1 + t * t / points) for sign in (-1, 1))
    return (0.0 if mean == 0 else low, 1.0 if mean == 1 else high)


def difference(a: Estimate, b: Estimate, *, paired: bool, level: float = 0.95) -> Difference:
    """The difference of two means, or of one and each of many. `paired`: on the SAME points, which then vary together.

    Of numbers that are no shares of points this is Welch's t (1947). Of shares, as if one more point were right in one
    seed of one of them (Agresti & Min 2005): two that are right on the same points are not for sure equally good.
    """
    from scipy.special import stdtr, stdtrit

    by_seed = a.by_seed + b.by_seed
    if paired:
        points = a.influence.shape[-1]
        if points == 0 or points != b.influence.shape[-1]:
            raise ValueError(f"{points} and {b.influence.shape[-1]} points cannot be paired")
        by_point = np.sum((a.influence - b.influence) ** 2, axis=-1) / points**2
    else:
        by_point = a.by_point + b.by_point
    by_point = by_point + _one_more(a) + _one_more(b)
    variance = np.asarray(by_seed + np.maximum(0.0, by_point - a.both - b.both))
    mean, sd = np.asarray(a.mean - b.mean), np.sqrt(variance)
    parts = np.asarray(_part(a) + _part(b))
    of_seeds = np.divide(by_seed**2, parts, out=np.full(parts.shape, _MANY), where=parts > 0)
    freedom = _freedom(of_seeds, by_seed, variance)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = np.where(sd > 0, 2 * stdtr(freedom, -np.abs(mean) / sd), np.where(mean == 0, 1.0, 0.0))
    half = stdtrit(freedom, (1 + level) / 2) * sd
    return Difference(mean[()], (mean - half)[()], (mean + half)[()], p[()])


def holm(ps: Sequence[float]) -> list[float]:
    """p values corrected for their number (Holm 1979): their least is below p if nothing differs with chance p."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    corrected, least = [0.0] * len(ps), 0.0
    for place, i in enumerate(order):
        least = corrected[i] = min(1.0, max(least, (len(ps) - place) * ps[i]))
    return corrected


def rank_with_ties(scores: Sequence[float], apart: Callable[[int], np.ndarray]) -> tuple[int, ...]:
    """Ranks from 1, higher scores first; who cannot be told from the first of a group shares its rank.

    `apart(i)`: of each entry, whether it can be told from entry i. After a tie of two comes rank 3.
    """
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    ranks: dict[int, int] = {}
    first, told = 0, np.empty(0, bool)
    for place, entry in enumerate(order, 1):
        if place == 1 or told[entry]:
            first, told = place, apart(entry)
        ranks[entry] = first
    return tuple(ranks[entry] for entry in range(len(scores)))


def _between(values: np.ndarray) -> float:
    """The variance of a mean that its seeds show."""
    return float(np.var(values, ddof=1) / len(values)) if len(values) > 1 else 0.0


def _part(one: Estimate) -> Number:
    """What it adds to the reciprocal of the degrees of freedom of a difference."""
    return one.by_seed**2 / np.maximum(np.asarray(one.seeds) - 1, 1)


def _one_more(one: Estimate) -> Number:
    """Half the variance that a point adds which one of the seeds is right on."""
    return np.where(np.asarray(one.points) > 0, 0.5 / one.seeds / np.maximum(one.points, 1) ** 2, 0.0)


def _freedom(of_seeds: Number, by_seed: Number, variance: Number) -> Number:
    """Degrees of freedom of a variance with a part that has those of seeds."""
    of_seeds, by_seed, variance = map(np.asarray, (of_seeds, by_seed, variance))
    with np.errstate(over="ignore"):
        found = np.divide(of_seeds * variance, by_seed, out=np.full(variance.shape, _MANY), where=by_seed > 0)
    return np.minimum(found, _MANY)
