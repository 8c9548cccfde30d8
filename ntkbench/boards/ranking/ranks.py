"""Rank the entries of a board: a confidence set of ranks for each, from tests of all pairs.

    made = ranking([Scores(values, pairing, influence, points), ...], descending=True, scale="share")
    made.best[3], made.worst[3]     # 2, 5: the fourth entry has rank 2 to 5

The number of one seed is `truth + seed effect + point effect`. Both effects vary together in two entries whose seeds
have the same ids and whose points have the same digest, so what they share drops out of the difference. `compared`
estimates the variance of each difference, `moderated` corrects variances of few seeds by those of all pairs, and
`ranking` adjusts the p values of all pairs together. Model, formulas and simulated errors: docs/statistics.md.

SciPy is imported where it is used, so that commands that rank nothing start without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ntkbench.boards.ranking.pairs import Scores, compared, moderated, p_values
from ntkbench.boards.tracks.columns import Scale
from ntkbench.uncertainty import Estimate, from_influence, from_seeds, holm, interval, student

_RANGES: dict[Scale, tuple[float, float]] = {
    "share": (0.0, 1.0),
    "linear": (-1.7e308, 1.7e308),
    "log": (5e-324, 1.7e308),
}
"""smallest and largest value that each scale admits"""


@dataclass(frozen=True)
class Ranking:
    """The result of ranking m entries: arrays over them, in the order in which they were given."""

    estimate: np.ndarray
    """mean over seeds; on the log scale the geometric mean, which is what is tested"""
    low: np.ndarray
    high: np.ndarray
    """95 % interval of the estimate (`1 - alpha`)"""
    p: np.ndarray
    """(m, m): p values of equality, two-sided, Holm-adjusted over all pairs; 1 on the diagonal"""
    best: np.ndarray
    """1 + the number of entries that are significantly better"""
    worst: np.ndarray
    """m - the number of entries that are significantly worse"""
    told_from_best: np.ndarray
    """whether an entry differs significantly from the entry with the best estimate"""
    told_pairs: int
    """number of pairs of entries that differ significantly"""
    pairs: int
    """number of all pairs"""


def ranking(entries: Sequence[Scores], *, descending: bool, scale: Scale, alpha: float = 0.05) -> Ranking:
    """Rank entries by the mean of their values over seeds, with Holm-adjusted tests of all pairs at level `alpha`.

    `scale`: "share" for numbers in [0, 1], "log" for positive ones that are compared as ratios, "linear" for others.
    Raise ValueError for a value that is not finite or outside of its scale, for an id that an entry has twice, and for
    shapes that do not fit.
    """
    scored = [_on_scale(entry, scale) for entry in entries]
    m = len(scored)
    found = compared(scored, share=scale == "share")
    p = np.ones((m, m))
    above = np.triu_indices(m, 1)
    p[above] = p.T[above] = holm(p_values(found, *moderated(found)))
    estimate, low, high = np.array([_with_interval(entry, scale, 1 - alpha) for entry in scored]).reshape(m, 3).T
    merit = estimate if descending else -estimate
    told, better = p < alpha, merit[:, None] > merit
    return Ranking(
        estimate=estimate,
        low=low,
        high=high,
        p=p,
        best=1 + np.sum(told & better.T, axis=1),
        worst=m - np.sum(told & better, axis=1),
        told_from_best=told[np.argmax(merit)] if m else np.empty(0, bool),
        told_pairs=int(np.sum(told)) // 2,
        pairs=m * (m - 1) // 2,
    )


def _on_scale(entry: Scores, scale: Scale) -> Scores:
    """Return the entry as it is compared: on the log scale logarithms, and influences relative to the values."""
    values, influence = np.asarray(entry.values, float), entry.influence
    if len(values) == 0 or len(entry.pairing) != len(values) or len(set(entry.pairing)) < len(values):
        raise ValueError(f"{len(values)} values of seeds whose ids are {entry.pairing}: each seed has an id of its own")
    if influence is not None and (
        influence.ndim != 2 or len(influence) != len(values) or not np.isfinite(influence).all()
    ):
        raise ValueError(f"influence of shape {influence.shape} of {len(values)} seeds: finite, (seeds, points)")
    low, high = _RANGES[scale]
    if not np.all((low <= values) & (values <= high)):
        hint = "; a 0, such as the drift of a linearized network, is a reference row" if scale == "log" else ""
        raise ValueError(f"values from {values.min()} to {values.max()} cannot be ranked as {scale}{hint}")
    if scale == "log":
        influence = None if influence is None else influence / values[:, None]
        values = np.log(values)
    return replace(entry, values=values, influence=influence)


def _estimate(entry: Scores) -> Estimate:
    if entry.influence is None:
        return from_seeds(entry.values)
    return from_influence(entry.values, entry.influence)


def _with_interval(entry: Scores, scale: Scale, level: float) -> tuple[float, float, float]:
    """Return mean and ends of its interval; without a variance (one seed, no test points) the ends are those of the
    scale."""
    found = _estimate(entry)
    mean = float(found.mean)
    unknown = len(entry.values) == 1 and entry.influence is None
    if scale == "share":
        certain = found.variance == 0 and entry.influence is None
        return (mean, 0.0, 1.0) if unknown else (mean, mean, mean) if certain else (mean, *interval(found, level))
    low, high = (-np.inf, np.inf) if unknown else student(found, level)
    return (float(np.exp(mean)), float(np.exp(low)), float(np.exp(high))) if scale == "log" else (mean, low, high)
