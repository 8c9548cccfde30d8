from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ntkbench.uncertainty import (
    difference,
    from_counts,
    from_points,
    from_seeds,
    holm,
    interval,
    mean_interval,
    stack,
    summaries,
    summary,
    wilson,
)

ANY, SHARE, POSITIVE = (-np.inf, np.inf), (0.0, 1.0), (0.0, np.inf)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(k, n, low, high):
    assert wilson(k, n) == pytest.approx((low, high), abs=5e-5)


@given(
    st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.8, 0.95, 0.99])
)
def test_wilson_is_scipys(proportion, level):
    k, n = proportion
    reference = stats.binomtest(k, n).proportion_ci(level, "wilson")
    assert wilson(k, n, level) == pytest.approx((reference.low, reference.high), abs=1e-12)
    assert 0 <= wilson(k, n, level)[0] <= k / n <= wilson(k, n, level)[1] <= 1


@pytest.mark.parametrize(("k", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_refuses_what_is_no_proportion(k, n):
    with pytest.raises(ValueError, match="no proportion"):
        wilson(k, n)


def test_the_interval_of_known_numbers():
    found = summary([1.0, 2.0, 3.0, 4.0, 5.0], ANY)
    assert (found.mean, found.n) == (3.0, 5)
    assert found.sd == pytest.approx(2.5**0.5)
    # t_{4, 0.975} = 2.776445
    assert found.interval == pytest.approx((3 - 2.776445 * 0.5**0.5, 3 + 2.776445 * 0.5**0.5), abs=1e-6)


def test_one_seed_has_no_interval_and_none_no_summary():
    found = summary([0.6], SHARE)
    assert (found.mean, found.sd, found.n, found.interval) == (0.6, None, 1, None)
    with pytest.raises(ValueError, match="no value"):
        summary([], ANY)


@pytest.mark.parametrize("bounds", [SHARE, (-1.0, 1.0), POSITIVE, (0.0, 2.0), (0.0, 90.0), ANY])
@given(values=st.lists(st.floats(0, 1), min_size=2, max_size=12))
def test_intervals_of_means_stay_inside_of_the_range_and_hold_the_mean(bounds, values: list[float]):
    low, high = mean_interval(values, bounds) or (1.0, 0.0)
    assert bounds[0] <= low <= high <= bounds[1]
    assert low - 1e-9 <= np.mean(values) <= high + 1e-9


@pytest.mark.parametrize("bounds", [SHARE, (-1.0, 1.0), POSITIVE, (0.0, 2.0), ANY])
@pytest.mark.parametrize("seeds", [1, 2, 5, 9])
def test_many_cells_at_once_have_the_bits_of_one_at_a_time(bounds, seeds: int):
    rng = np.random.default_rng(seeds)
    shares = rng.integers(0, 11, (20, seeds)) / 10
    cells = np.concatenate([shares, 2 * shares - 1, rng.exponential(size=(20, seeds)), np.ones((1, seeds))]).tolist()
    for values, found in zip(cells, summaries(cells, bounds), strict=True):
        assert found == summary(values, bounds)
        assert found.interval == mean_interval(values, bounds)
        assert found.mean == np.mean(values)
        assert found.sd == (np.std(values, ddof=1) if seeds > 1 else None)
    with pytest.raises(ValueError, match="no value"):
        summaries([[], []], bounds)


def test_a_share_of_two_seeds_has_no_interval_beyond_a_share():
    student = summary([0.076, 1.0], ANY).interval
    assert student is not None
    assert student[0] < 0 < 1 < student[1]
    low, high = mean_interval([0.076, 1.0], SHARE) or (0.0, 0.0)
    assert 0 < low < 0.1 < 0.9 < high < 1


def test_the_interval_of_a_share_over_seeds_is_wilsons_with_their_variance():
    values = [0.2, 0.5, 0.3, 0.6]
    points = 0.4 * 0.6 / (np.var(values, ddof=1) / 4)
    t = 3.182446  # t_{3, 0.975}
    half = t * (0.24 / points + (t / (2 * points)) ** 2) ** 0.5
    ends = [(0.4 + t * t / (2 * points) + sign * half) / (1 + t * t / points) for sign in (-1, 1)]
    assert mean_interval(values, SHARE) == pytest.approx(ends, rel=1e-6)
    cosines = mean_interval([2 * x - 1 for x in values], (-1.0, 1.0))
    assert cosines == pytest.approx([2 * end - 1 for end in ends], rel=1e-6)


def test_the_interval_of_a_distance_is_coxs_around_its_mean():
    values = [1e-4, 4e-4, 2e-4]
    spread = np.var(np.log(values), ddof=1)
    half = 4.302653 * np.sqrt(spread / 3 + spread**2 / (2 * 2))
    low, high = mean_interval(values, POSITIVE) or (0.0, 0.0)
    mean = np.mean(values)
    assert (mean / low, high / mean) == pytest.approx((np.exp(half), np.exp(half)), rel=1e-6)
    assert mean_interval([1e-300, 1.0, 1.0], POSITIVE) == pytest.approx((0, np.exp(709)))
    assert (mean_interval([1e-3, 1.9], (0.0, 2.0)) or (0, 0))[1] == 2


def test_a_distance_of_0_and_numbers_outside_of_the_range_have_students():
    student = mean_interval([0.0, 0.1, 0.5], ANY)
    assert student is not None
    assert student[0] < 0
    assert mean_interval([0.0, 0.1, 0.5], POSITIVE) == (0.0, student[1])
    assert mean_interval([0.5, 1.5], SHARE) == mean_interval([0.5, 1.5], ANY)
    assert mean_interval([0.7, 0.7], SHARE) == pytest.approx((0.7, 0.7))
    assert mean_interval([0.7], SHARE) is None


def test_a_share_of_one_seed_has_the_interval_of_a_proportion():
    for k, n in ((60, 100), (0, 20), (20, 20), (1, 29)):
        outcomes = np.array([[1.0] * k + [0.0] * (n - k)])
        assert interval(from_points(outcomes)) == pytest.approx(wilson(k, n), abs=1e-8)


def test_points_that_do_not_count_do_not_count():
    outcomes = np.array([[1.0] * 60 + [0.0] * 40])
    padded = np.concatenate([outcomes, np.full((1, 100), np.nan)], axis=1)
    assert interval(from_points(padded)) == pytest.approx(interval(from_points(outcomes)), abs=1e-12)
    with pytest.raises(ValueError, match="of which no test point counts"):
        from_points(np.full((1, 5), np.nan))


def test_seeds_that_agree_on_every_point_are_one_seed():
    outcomes = np.array([[1.0] * 60 + [0.0] * 40])
    assert interval(from_points(np.repeat(outcomes, 5, axis=0))) == pytest.approx(interval(from_points(outcomes)))
    assert interval(from_points(np.ones((5, 20)))) == pytest.approx(wilson(20, 20))


def test_where_points_agree_within_a_seed_only_seeds_count():
    """Its variance is that of seeds, its quantile that of their number."""
    outcomes = np.repeat(np.array([[1.0], [0.0], [1.0], [0.0]]), 50, axis=1)
    found = from_points(outcomes)
    assert (found.by_point, found.both) == (0, 0)
    assert found.variance == pytest.approx(np.var([1, 0, 1, 0], ddof=1) / 4)
    # Wilson's with 3 points, which give this variance, and t_{3, 0.975} = 3.182446
    half = 3.182446 * (0.25 / 3 + (3.182446 / 6) ** 2) ** 0.5 / (1 + 3.182446**2 / 3)
    assert interval(found) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-6)


def test_the_variance_is_that_of_a_table_of_seeds_by_points():
    """From the mean squares of a two-way table, as textbooks have it."""
    table = (np.random.default_rng(0).random((4, 30)) < 0.4) * 1.0
    seeds, points = table.shape
    by_seed = points * np.sum((table.mean(1) - table.mean()) ** 2) / (seeds - 1)
    by_point = seeds * np.sum((table.mean(0) - table.mean()) ** 2) / points
    rest = table - table.mean(0) - table.mean(1)[:, None] + table.mean()
    both = np.sum(rest**2) / (seeds - 1) / points
    found = from_points(table)
    parts = [found.by_seed, found.by_point, found.both]
    assert parts == pytest.approx([part / seeds / points for part in (by_seed, by_point, both)])


def test_published_intervals_do_not_drift():
    outcomes = np.array([[1, 0, 1, 1, 0, 1, 1, 0, 1, 1], [1, 1, 1, 0, 0, 1, np.nan, 0, 1, 1]])
    assert interval(from_points(outcomes)) == pytest.approx((0.4527143625616949, 0.8491533004956372), abs=1e-9)


def test_a_paired_comparison_sees_what_an_unpaired_one_cannot():
    """The same hard and easy points for both: b fails on ten more of 200."""
    a = np.repeat(np.array([[1.0] * 100 + [0.0] * 100]), 3, axis=0)
    b = a.copy()
    b[:, :10] = 0
    one, two = from_points(a), from_points(b)
    found = difference(one, two, paired=True)
    assert found.mean == pytest.approx(0.05)
    assert found.low > 0
    assert found.p < 0.01
    apart = difference(one, two, paired=False)
    assert apart.low < 0 < apart.high
    assert apart.p > 0.1


def test_one_seed_each_is_mcnemar_with_one_more_point():
    """b right where a is wrong, c the other way around: (b - c) / sqrt(b + c - (b - c)^2 / n + 1)."""
    a = np.array([[1.0] * 12 + [0.0] * 5 + [1.0] * 33])
    b = np.array([[0.0] * 12 + [1.0] * 5 + [1.0] * 33])
    found = difference(from_points(a), from_points(b), paired=True)
    z = 7 / np.sqrt(17 - 49 / 50 + 1)
    assert found.p == pytest.approx(2 * stats.norm.sf(z), rel=1e-6)
    assert (found.low, found.high) == pytest.approx(tuple(7 / 50 * (1 + np.array([-1, 1]) * 1.959964 / z)), rel=1e-5)


def test_two_that_are_right_on_the_same_points_may_differ_on_others():
    found = difference(from_points(np.ones((1, 10))), from_points(np.ones((1, 10))), paired=True)
    assert (found.mean, found.p) == (0, 1)
    assert found.high == -found.low == pytest.approx(1.96 / 10, abs=1e-3)


def test_a_difference_turns_around():
    rng = np.random.default_rng(0)
    a, b = (from_points((rng.random((3, 100)) < rate) * 1.0) for rate in (0.7, 0.3))
    for paired in (True, False):
        one, two = difference(a, b, paired=paired), difference(b, a, paired=paired)
        assert (one.mean, one.low, one.high, one.p) == pytest.approx((-two.mean, -two.high, -two.low, two.p))
        assert one.p < 0.001


def test_many_at_once_are_one_at_a_time():
    rng = np.random.default_rng(1)
    several = [from_points((rng.random((seeds, 60)) < 0.5) * 1.0) for seeds in (1, 3, 5, 4)]
    for paired in (True, False):
        together = difference(several[1], stack(several), paired=paired)
        apart = [difference(several[1], each, paired=paired) for each in several]
        for name in ("mean", "low", "high", "p"):
            assert getattr(together, name) == pytest.approx([getattr(each, name) for each in apart])


def test_equal_entries_are_rarely_told_apart():
    rng = np.random.default_rng(3)
    pairs = (rng.random((200, 2, 4, 80)) < 0.5) * 1.0
    ps = [difference(from_points(a), from_points(b), paired=True).p for a, b in pairs]
    assert np.mean(np.array(ps) < 0.05) <= 0.05 + 4 * (0.05 * 0.95 / 200) ** 0.5


def test_points_of_different_number_cannot_be_paired():
    one, two, counts = from_points(np.ones((1, 10))), from_points(np.ones((1, 11))), from_counts([5], [10])
    with pytest.raises(ValueError, match="10 and 11 points"):
        difference(one, two, paired=True)
    with pytest.raises(ValueError, match="0 and 0 points"):
        difference(counts, counts, paired=True)
    assert difference(one, two, paired=False).p == 1


def test_counts_tell_no_more_than_outcomes():
    table = (np.random.default_rng(5).random((3, 50)) < 0.4) * 1.0
    counted = from_counts(table.sum(1).astype(int).tolist(), [50] * 3)
    assert counted.mean == pytest.approx(from_points(table).mean)
    assert counted.variance > from_points(table).variance


def test_p_values_are_corrected_after_holm():
    # Holm 1979; the numbers are those of R's p.adjust(c(.01, .04, .03, .005), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


@pytest.mark.parametrize(
    ("a", "b"), [((1.0, 2.0, 4.0), (3.0, 5.0, 6.0, 9.0)), ((0.1, 0.11), (0.1, 0.5, 0.4)), ((1.0, 1.5), (2.0, 3.0))]
)
def test_numbers_over_seeds_are_compared_as_scipy_does(a: tuple[float, ...], b: tuple[float, ...]):
    reference: Any = stats.ttest_ind(a, b, equal_var=False)
    ends = reference.confidence_interval()
    found = difference(from_seeds(a), from_seeds(b), paired=False)
    assert (found.p, found.low, found.high) == pytest.approx((reference.pvalue, ends.low, ends.high), rel=1e-9)


def test_groups_without_variance():
    same, other = from_seeds((1.0, 1.0)), from_seeds((2.0, 2.0))
    assert difference(same, same, paired=False).p == 1
    assert difference(same, other, paired=False).p == 0
