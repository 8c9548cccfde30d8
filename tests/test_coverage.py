"""Whether 95 % intervals hold the truth in 95 % of experiments, and equal entries are told apart in 5 %.

An outcome is 1 where base + point + seed + noise is positive, all normal; the noise has unit variance. The spreads are
about those that the runs of the leaderboards show: points vary twice to four times as much as the noise, seeds a tenth
of that.
"""

from collections.abc import Callable
from itertools import product
from math import comb

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from ntkbench.uncertainty import difference, from_points, from_seeds, interval, mean_interval, stack, summary

EXPERIMENTS = 2000
SETTINGS = [
    pytest.param(seeds, points, spread, shift, id=f"{seeds}-seeds-{points}-points-{spread}-{shift}")
    for seeds, points, spread, shift in product((3, 5), (100, 500), (2.0, 3.0), (0.1, 0.3))
]
NOMINAL = (0.93, 0.97)
ROUND = 2 * (0.95 * 0.05 / EXPERIMENTS) ** 0.5
"""two standard errors of a share of the experiments"""

pytestmark = pytest.mark.slow


def outcomes(
    rng: np.random.Generator, rate: float, hard: np.ndarray, seeds: int, spread: float, shift: float
) -> np.ndarray:
    """(seeds, points), right in a share `rate` of all there could be."""
    base = ndtri(rate) * np.sqrt(spread**2 + shift**2 + 1)
    noise = rng.standard_normal((seeds, len(hard)))
    return (base + spread * hard + shift * rng.standard_normal((seeds, 1)) + noise > 0) * 1.0


@pytest.mark.parametrize(("seeds", "points", "spread", "shift"), SETTINGS)
@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_the_interval_of_a_share(rate: float, seeds: int, points: int, spread: float, shift: float):
    rng = np.random.default_rng(points + seeds)
    held = 0
    for _ in range(EXPERIMENTS):
        low, high = interval(from_points(outcomes(rng, rate, rng.standard_normal(points), seeds, spread, shift)))
        held += low <= rate <= high
    assert NOMINAL[0] - ROUND <= held / EXPERIMENTS <= NOMINAL[1] + ROUND


@pytest.mark.parametrize(("seeds", "points", "spread", "shift"), SETTINGS)
@pytest.mark.parametrize("rates", [(0.2, 0.2), (0.2, 0.3)])
def test_the_interval_of_a_difference_on_the_same_points(rates, seeds: int, points: int, spread: float, shift: float):
    rng = np.random.default_rng(points + seeds)
    held = 0
    for _ in range(EXPERIMENTS):
        hard = rng.standard_normal(points)
        a, b = (from_points(outcomes(rng, rate, hard, seeds, spread, shift)) for rate in rates)
        found = difference(a, b, paired=True)
        held += found.low <= rates[0] - rates[1] <= found.high
    assert NOMINAL[0] - ROUND <= held / EXPERIMENTS <= 0.98 + ROUND


@pytest.mark.parametrize(
    ("seeds", "spread", "shift"), [(1, 2.0, 0.0), (3, 2.0, 0.0), (3, 2.0, 0.3), (3, 3.0, 0.1), (5, 2.0, 0.3)]
)
def test_equally_good_entries_share_a_rank(seeds: int, spread: float, shift: float):
    """As a board does: each against the best, corrected for all pairs. Uncorrected, 37 to 75 % of boards are split."""
    rng = np.random.default_rng(seeds)
    boards, entries, split = 300, 12, 0
    for _ in range(boards):
        hard = rng.standard_normal(200)
        several = [from_points(outcomes(rng, 0.2, hard, seeds, spread, shift)) for _ in range(entries)]
        best = max(several, key=lambda each: float(each.mean))
        split += bool(np.min(difference(best, stack(several), paired=True).p) * comb(entries, 2) < 0.05)
    assert split / boards <= 0.05 + 2 * (0.05 * 0.95 / boards) ** 0.5


@pytest.mark.parametrize(("seeds", "points"), [(3, 100), (5, 500)])
def test_the_interval_of_a_difference_on_other_points(seeds: int, points: int):
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(EXPERIMENTS):
        a, b = (from_points(outcomes(rng, rate, rng.standard_normal(points), seeds, 2.0, 0.2)) for rate in (0.2, 0.3))
        found = difference(a, b, paired=False)
        held += found.low <= -0.1 <= found.high
    assert NOMINAL[0] - ROUND <= held / EXPERIMENTS <= NOMINAL[1] + ROUND


@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_over_seeds(seeds: int):
    rng = np.random.default_rng(seeds)
    values = rng.standard_normal((EXPERIMENTS, 2, seeds)) * [[1.0], [3.0]]
    alone = [summary(a.tolist(), (-np.inf, np.inf)).interval or (0.0, 0.0) for a, _ in values]
    assert np.mean([low <= 0 <= high for low, high in alone]) == pytest.approx(0.95, abs=0.02)
    found = [difference(from_seeds(a.tolist()), from_seeds(b.tolist()), paired=False) for a, b in values]
    assert np.mean([float(each.low) <= 0 <= float(each.high) for each in found]) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(("subsets", "points"), [(5, 200), (10, 200), (5, 2000), (10, 2000)])
@pytest.mark.parametrize(("rate", "shift"), [(0.7, 0.1), (0.7, 0.5), (0.9, 0.3)])
def test_intervals_over_training_subsets_hold_for_another_subset_and_other_points(
    subsets: int, points: int, rate: float, shift: float
):
    """A kernel of each subset has a luck of its own, and all are judged on the same points. Where subsets vary much
    less than points the interval over-covers, by one percent."""
    rng = np.random.default_rng([subsets, points])
    held = 0
    for _ in range(EXPERIMENTS):
        low, high = interval(from_points(outcomes(rng, rate, rng.standard_normal(points), subsets, 2.0, shift)))
        held += low <= rate <= high
    assert NOMINAL[0] - ROUND <= held / EXPERIMENTS <= NOMINAL[1] + ROUND


def covered(draw: Callable[[np.random.Generator], np.ndarray], truth: float, bounds: tuple[float, float]) -> float:
    """Share of experiments whose `mean_interval` holds the truth."""
    rng = np.random.default_rng(11)
    ends = [mean_interval(draw(rng).tolist(), bounds) or (np.inf, -np.inf) for _ in range(EXPERIMENTS)]
    return float(np.mean([low <= truth <= high for low, high in ends]))


@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize(("rate", "shift"), [(0.5, 0.2), (0.5, 0.5), (0.2, 0.5), (0.05, 0.2), (0.95, 0.2)])
def test_intervals_of_mean_shares(seeds: int, rate: float, shift: float):
    """Shares of seeds whose probits scatter by `shift`."""
    middle = ndtri(rate) * (1 + shift**2) ** 0.5
    held = covered(lambda rng: ndtr(middle + shift * rng.standard_normal(seeds)), rate, (0.0, 1.0))
    assert NOMINAL[0] - ROUND <= held <= NOMINAL[1] + ROUND


def test_intervals_of_shares_that_scatter_over_decades_hold_less():
    """The limit that docs/statistics.md tells: shares from .001 to .1, whose standard deviation is their mean."""
    middle = ndtri(0.02) * 1.25**0.5
    held = covered(lambda rng: ndtr(middle + 0.5 * rng.standard_normal(5)), 0.02, (0.0, 1.0))
    assert 0.86 <= held <= 0.93


@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize("sd", [0.1, 0.3, 0.6])
def test_intervals_of_mean_distances(seeds: int, sd: float):
    """Log-normal; a standard deviation of .6 is a factor of 1.8."""
    bounds = (0.0, float("inf"))
    held = covered(lambda rng: np.exp(sd * rng.standard_normal(seeds)), np.exp(sd**2 / 2), bounds)
    assert NOMINAL[0] - ROUND <= held <= NOMINAL[1] + ROUND


def test_the_bootstrap_that_this_replaced_did_not():
    """Three seeds that are drawn again tell too little of how seeds vary."""
    rng = np.random.default_rng(0)
    held, experiments, rate = 0, 300, 0.2
    for _ in range(experiments):
        table = outcomes(rng, rate, rng.standard_normal(500), 3, 1.0, 0.3)
        points = rng.multinomial(500, np.full(500, 1 / 500), size=500) / 500
        seeds = rng.multinomial(3, np.full(3, 1 / 3), size=500) / 3
        low, high = np.percentile(np.sum(seeds * (points @ table.T), axis=1), [2.5, 97.5])
        held += low <= rate <= high
    assert held / experiments < 0.9
