"""Test all pairs of entries: differences of means, their variances, p values."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from ntkbench.uncertainty import special

MOST = 2.0
"""largest ratio of the degrees of freedom that a variance borrows from other pairs to its own"""
_MANY, _LEAST = 1e9, 1e-9
"""degrees of freedom that stand for infinitely many, and for none"""


@dataclass(frozen=True)
class Scores:
    """The numbers by which one entry is ranked, and what it shares with other entries."""

    values: np.ndarray
    """(seeds,): the number of each seed, already the mean over the entry's cells"""
    pairing: tuple[Hashable, ...]
    """one id a seed; seeds of two entries with equal ids share an initial network or a training subset"""
    influence: np.ndarray | None
    """(seeds, points): N times the first-order change of each seed's value with each of the N test points, as in
    `uncertainty.from_points`; None where the number is no function of test points"""
    points: str | None = None
    """digest of which test points; entries with equal digests are paired on points"""


@dataclass(frozen=True)
class Compared:
    """The difference of the means of each pair of entries, and the parts of its variance.

    Arrays of shape (..., pairs), the pairs in the order of `numpy.triu_indices(m, 1)`; boards may be stacked in front.
    """

    difference: np.ndarray
    by_seed: np.ndarray
    """variance of the difference that the seeds show"""
    freedom: np.ndarray
    """degrees of freedom of `by_seed` (Welch 1947); 0 where no entry of the pair has two seeds"""
    by_point: np.ndarray
    """variance that the test points add to `by_seed`"""
    weight: np.ndarray
    """1/S_i + 1/S_j, so that `by_seed / weight` compares pairs of different numbers of seeds"""


def compared(entries: Sequence[Scores], *, share: bool) -> Compared:
    """Estimate the difference of every pair and the parts of its variance.

    With n seeds that both have, the difference of the means is a sum of three independent parts: these seeds, and those
    of one entry alone. Each part shows its own variance; seeds that only one has are not dropped. `share`: whether
    values are shares of points, to which half the variance of one more point is added that is right in one seed of
    either (Agresti & Min 2005, see `uncertainty.difference`).
    """
    i, j = np.triu_indices(len(entries), 1)
    seeds = np.array([len(entry.values) for entry in entries], float)
    means = np.array([np.mean(entry.values) for entry in entries])
    own = np.array([np.var(entry.values, ddof=1) if len(entry.values) > 1 else 0.0 for entry in entries]) / seeds**2
    n, shared = _shared_seeds(entries, seeds)
    parts = np.array([shared[i, j], (seeds[i] - n[i, j]) * own[i], (seeds[j] - n[i, j]) * own[j]])
    less = np.maximum(np.array([n[i, j], seeds[i], seeds[j]]) - 1, 1)
    by_seed, inverse = parts.sum(axis=0), np.sum(parts**2 / less, axis=0)
    # Seeds whose values are all equal show a variance of 0, with the degrees of freedom of their number.
    freedom = np.divide(by_seed**2, inverse, out=np.maximum(seeds[i], seeds[j]) - 1, where=inverse > 0)
    by_point, both = _points(entries, seeds, n)
    more = np.maximum(0.0, by_point - both)[i, j]
    if share:
        points = np.array([np.inf if entry.influence is None else entry.influence.shape[1] for entry in entries])
        one_more = 0.5 / seeds / points**2
        more = more + one_more[i] + one_more[j]
    weight = np.where(seeds > 1, 1 / seeds, 0.0)
    return Compared(means[i] - means[j], by_seed, freedom, more, weight[i] + weight[j])


def moderated(found: Compared, most: float = MOST) -> tuple[np.ndarray, np.ndarray]:
    """Raise seed variances that are small by chance towards those of all pairs; return them and their freedom.

    Empirical Bayes after Smyth (2004): s^2 ~ sigma^2 chi^2_d / d and d0 s0^2 / sigma^2 ~ chi^2_d0, with d0 and s0^2
    from the moments of log s^2, give (d0 s0^2 + d s^2) / (d0 + d) with d0 + d degrees of freedom. Two limits keep the
    level where a few entries vary much more than the others: d0 is at most `most` times d, and no variance is lowered.
    """
    largest = np.max(found.by_seed, axis=-1, keepdims=True, initial=0.0)
    told = (found.freedom > 0) & (found.by_seed > 1e-12 * largest)  # less is round-off, as of an entry given twice
    n = np.sum(told, axis=-1, keepdims=True)

    def mean(x: np.ndarray) -> np.ndarray:
        return np.sum(np.where(told, x, 0.0), axis=-1, keepdims=True) / np.maximum(n, 1)

    d = np.where(told, found.freedom, 1.0)
    logs = (
        np.log(np.divide(found.by_seed, found.weight, out=np.ones(d.shape), where=told))
        - special().digamma(d / 2)
        + np.log(d / 2)
    )
    middle = mean(logs)
    excess = mean((logs - middle) ** 2) * n / np.maximum(n - 1, 1) - mean(special().polygamma(1, d / 2))
    fitted = np.where(excess > 0, 2 * inverse_trigamma(np.maximum(excess, _LEAST)), _MANY)
    prior = np.clip(np.minimum(fitted, most * found.freedom), _LEAST, _MANY)
    common = np.exp(middle + special().digamma(prior / 2) - np.log(prior / 2)) * found.weight
    freedom = prior + found.freedom
    mixed = (prior * common + found.freedom * found.by_seed) / freedom
    used = (n > 1) & (found.freedom > 0)
    return np.where(used, np.maximum(mixed, found.by_seed), found.by_seed), np.where(used, freedom, found.freedom)


def p_values(found: Compared, by_seed: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Return two-sided p values of no difference, (..., pairs), not adjusted.

    `by_seed` and `freedom` are those of `found`, or moderated. The test is Student's with `freedom V / by_seed` degrees
    of freedom, as the part of the variance V that points add is well known. p is 1 where neither seeds nor points show
    a variance.
    """
    variance = by_seed + found.by_point
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        t = np.where(found.difference == 0, 0.0, np.abs(found.difference) / np.sqrt(variance))
        of_all = np.where(by_seed > 0, freedom * variance / by_seed, _MANY)
    known = (freedom > 0) | (found.by_point > 0)
    return np.where(known, 2 * special().stdtr(np.clip(of_all, _LEAST, _MANY), -np.where(known, t, 0.0)), 1.0)


def _shared_seeds(entries: Sequence[Scores], seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many seeds two entries share, and their part of the variance of the difference of means, (m, m) each.

    A single shared seed shows no variance and counts as none.
    """
    n, first, square, cross = np.zeros((4, len(seeds), len(seeds)))
    means = [np.mean(entry.values) for entry in entries]
    for rows, places in _seeds([entry.pairing for entry in entries]):
        x = np.array([entries[i].values[s] - means[i] for i, s in zip(rows, places, strict=True)]) / seeds[rows]
        at = np.ix_(rows, rows)
        n[at] += 1
        first[at] += x[:, None]
        square[at] += x[:, None] ** 2
        cross[at] += np.outer(x, x)
    np.fill_diagonal(n, 0)
    n[n < 2] = 0
    total = square + square.T - 2 * cross - np.divide((first - first.T) ** 2, n, out=np.zeros(n.shape), where=n > 0)
    return n, np.where(n > 0, np.maximum(total, 0.0) * n / np.maximum(n - 1, 1), 0.0)


def _points(entries: Sequence[Scores], seeds: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the variance of the differences that points show, and its part that seeds show too, (m, m) each."""
    mean, rest = np.zeros((2, len(seeds), len(seeds)))
    own = np.zeros(len(seeds))
    for rows in _same_points(entries):
        each = [_per_point(entries[i]) for i in rows]
        means = np.array([influence.mean(axis=0) for influence in each])
        mean[np.ix_(rows, rows)] = means @ means.T
        centered = [influence - one for influence, one in zip(each, means, strict=True)]
        own[rows] = [np.sum(one**2) / max(len(one) - 1, 1) / len(one) for one in centered]
        for who, places in _seeds([entries[i].pairing for i in rows]):
            of_seed = np.array([centered[i][place] for i, place in zip(who, places, strict=True)])
            rest[np.ix_(rows[who], rows[who])] += of_seed @ of_seed.T
    weight = np.divide(n, n - 1, out=np.zeros(n.shape), where=n > 1) / np.outer(seeds, seeds)
    return _both_ways(np.diag(mean)) - 2 * mean, _both_ways(own) - 2 * weight * rest


def _same_points(entries: Sequence[Scores]) -> list[np.ndarray]:
    """Return the indices of the entries with an influence, grouped by their points; unknown points match no others."""
    groups: dict[Hashable, list[int]] = {}
    for i, entry in enumerate(entries):
        if entry.influence is not None:
            groups.setdefault((entry.points or i, entry.influence.shape[1]), []).append(i)
    return [np.array(group) for group in groups.values()]


def _seeds(pairings: Sequence[Sequence[Hashable]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return for each seed the entries that have it, and its place in each of them."""
    found: dict[Hashable, list[tuple[int, int]]] = {}
    for i, pairing in enumerate(pairings):
        for place, seed in enumerate(pairing):
            found.setdefault(seed, []).append((i, place))
    return [(np.array(who), np.array(places)) for who, places in (zip(*one, strict=True) for one in found.values())]


def _per_point(entry: Scores) -> np.ndarray:
    assert entry.influence is not None
    return entry.influence / entry.influence.shape[1]


def _both_ways(own: np.ndarray) -> np.ndarray:
    """Return own_i + own_j, (m, m)."""
    return own[:, None] + own


def inverse_trigamma(x: np.ndarray) -> np.ndarray:
    """Solve polygamma(1, y) = x > 0 for y by Newton's method on 1 / trigamma, which is nearly a line (Smyth 2004)."""
    y = 0.5 + 1 / x
    for _ in range(50):
        trigamma = special().polygamma(1, y)
        step = trigamma * (1 - trigamma / x) / special().polygamma(2, y)
        y = y + step
        if np.all(np.abs(step) < 1e-10 * y):
            break
    return y
