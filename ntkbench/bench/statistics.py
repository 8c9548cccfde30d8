"""Uncertainty: intervals over test points, over seeds, over both together; which entries can be told apart.

SciPy is imported where it is used: commands that draw no interval start without it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

DRAWS = 10_000
_BATCH = 2_000_000
"""numbers in memory at once while resampling"""


@dataclass(frozen=True)
class Summary:
    """Mean of `n` seeds, their standard deviation (ddof 1) and the t interval; one seed has neither."""

    mean: float
    sd: float | None
    n: int
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Difference:
    """Mean of a less mean of b, its interval, and the two-sided p value of no difference."""

    mean: float
    interval: tuple[float, float]
    p: float


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


def bootstrap_mean(
    outcomes: np.ndarray, *, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean over seeds of each seed's mean over points.

    `outcomes`: (seeds, points), NaN where a point does not count. Seeds and points are both drawn with
    replacement, each by itself (Owen 2007, the pigeonhole bootstrap), because all seeds share the points.
    """
    means = np.concatenate([_means(outcomes, points, rng) for points, rng in _resampled(outcomes, draws, seed)])
    low, high = np.nanpercentile(means, _tails(level))
    return float(low), float(high)


def paired_bootstrap(
    a: np.ndarray, b: np.ndarray, *, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> Difference:
    """The difference of two means on the SAME points: those are drawn together, the seeds of each apart."""
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{a.shape[1]} and {b.shape[1]} points cannot be paired")
    differences = np.concatenate(
        [_means(a, points, rng) - _means(b, points, rng) for points, rng in _resampled(a, draws, seed)]
    )
    differences = differences[np.isfinite(differences)]
    low, high = np.percentile(differences, _tails(level))
    tail = min(np.sum(differences <= 0), np.sum(differences >= 0))
    p = min(1.0, 2 * (float(tail) + 1) / (len(differences) + 1))
    return Difference(_mean(a) - _mean(b), (float(low), float(high)), p)


def welch(a: Sequence[float], b: Sequence[float]) -> float:
    """The two-sided p value of equal means of two groups of seeds with variances of their own (Welch 1947)."""
    from scipy.special import stdtr

    squares = [float(np.var(each, ddof=1)) / len(each) for each in (a, b)]
    difference, total = float(abs(np.mean(a) - np.mean(b))), sum(squares)
    if total == 0:
        return float(difference == 0)
    freedom = total**2 / sum(square**2 / (len(each) - 1) for square, each in zip(squares, (a, b), strict=True))
    return float(2 * stdtr(freedom, -difference / sqrt(total)))


def rank_with_ties(scores: Sequence[float], separable: Callable[[int, int], bool]) -> tuple[int, ...]:
    """Ranks from 1, higher scores first; who cannot be separated from the first of a group shares its rank.

    `separable(i, j)`: whether entries i and j can be told apart. After a tie of two comes rank 3.
    """
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    ranks: dict[int, int] = {}
    leader = order[0] if order else 0
    for place, entry in enumerate(order, 1):
        if entry != leader and separable(leader, entry):
            leader = entry
        ranks[entry] = place if entry == leader else ranks[leader]
    return tuple(ranks[entry] for entry in range(len(scores)))


def _mean(outcomes: np.ndarray) -> float:
    return float(np.nanmean(outcomes, axis=1).mean())


def _tails(level: float) -> tuple[float, float]:
    return 50 * (1 - level), 50 * (1 + level)


def _resampled(outcomes: np.ndarray, draws: int, seed: int) -> Iterator[tuple[np.ndarray, np.random.RandomState]]:
    """How often each point was drawn, (draws of a batch, points), and the generator for the seeds."""
    points = outcomes.shape[1]
    # NumPy keeps the stream of RandomState for good, and not that of Generator: published tables must not drift.
    rng = np.random.RandomState(seed)
    batch = max(1, _BATCH // points)
    for start in range(0, draws, batch):
        size = min(batch, draws - start)
        yield _multiplicities(points, size, rng), rng


def _multiplicities(n: int, draws: int, rng: np.random.RandomState) -> np.ndarray:
    """How often each of n things comes up among n drawn with replacement, (draws, n)."""
    drawn = rng.randint(n, size=(draws, n)) + n * np.arange(draws)[:, None]
    return np.bincount(drawn.ravel(), minlength=draws * n).reshape(draws, n).astype(float)


def _means(outcomes: np.ndarray, points: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """The statistic of each draw; NaN where a draw holds no point that counts."""
    counted = ~np.isnan(outcomes)
    if not counted.any(axis=1).all():
        raise ValueError("a seed without a single point that counts has no mean")
    seeds = len(outcomes)
    weights = _multiplicities(seeds, len(points), rng)
    k = points @ np.where(counted, outcomes, 0.0).T
    n = points @ counted.T.astype(float)
    with np.errstate(invalid="ignore"):
        return np.sum(np.where(weights > 0, weights * (k / n), 0.0), axis=1) / seeds
