import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ntkbench.bench.statistics import bootstrap_mean, paired_bootstrap, rank_with_ties, t_interval, welch, wilson


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


def test_t_interval_of_known_numbers():
    summary = t_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (summary.mean, summary.n) == (3.0, 5)
    assert summary.sd == pytest.approx(2.5**0.5)
    # t_{4, 0.975} = 2.776445
    assert summary.interval == pytest.approx((3 - 2.776445 * 0.5**0.5, 3 + 2.776445 * 0.5**0.5), abs=1e-6)


def test_one_seed_has_no_interval_and_none_no_summary():
    assert t_interval([0.6]) == t_interval([0.6, 0.6][:1])
    assert (t_interval([0.6]).sd, t_interval([0.6]).interval) == (None, None)
    with pytest.raises(ValueError, match="no value"):
        t_interval([])


def test_bootstrap_of_one_seed_is_that_of_a_proportion():
    outcomes = np.array([[1.0] * 60 + [0.0] * 40])
    low, high = bootstrap_mean(outcomes)
    sd = (0.6 * 0.4 / 100) ** 0.5
    assert (low, high) == pytest.approx((0.6 - 1.96 * sd, 0.6 + 1.96 * sd), abs=0.015)


def test_points_that_do_not_count_do_not_count():
    outcomes = np.array([[1.0] * 60 + [0.0] * 40])
    padded = np.concatenate([outcomes, np.full((1, 100), np.nan)], axis=1)
    assert bootstrap_mean(padded) == pytest.approx(bootstrap_mean(outcomes), abs=0.02)
    with pytest.raises(ValueError, match="without a single point"):
        bootstrap_mean(np.full((1, 5), np.nan))


def test_seeds_are_resampled_too():
    """Points that all agree within a seed: what varies is the seeds alone."""
    outcomes = np.repeat(np.array([[1.0], [0.0], [1.0], [0.0]]), 50, axis=1)
    assert bootstrap_mean(outcomes) == (0.0, 1.0)


def test_the_same_seed_draws_the_same_interval_and_other_batches_one_like_it(monkeypatch):
    outcomes = np.random.default_rng(0).integers(0, 2, (3, 40)).astype(float)
    whole = bootstrap_mean(outcomes, draws=500)
    assert whole == bootstrap_mean(outcomes, draws=500)
    assert len({bootstrap_mean(outcomes, draws=500, seed=seed) for seed in range(5)}) > 1
    monkeypatch.setattr("ntkbench.bench.statistics._BATCH", 40 * 100)
    assert whole == pytest.approx(bootstrap_mean(outcomes, draws=500), abs=0.05)


def test_published_intervals_do_not_drift():
    outcomes = np.array([[1, 0, 1, 1, 0, 1, 1, 0, 1, 1], [1, 1, 1, 0, 0, 1, np.nan, 0, 1, 1]])
    assert bootstrap_mean(outcomes) == pytest.approx((0.4, 0.9444444444444444), abs=1e-12)


def test_the_bootstrap_covers_the_truth():
    """Seeds and points both have an effect: 95 % intervals hold the mean in about 95 % of experiments."""
    rng = np.random.default_rng(7)
    experiments, hits, truth = 200, 0, 0.5
    for experiment in range(experiments):
        chance = 0.5 + 0.2 * rng.standard_normal((1, 150)) + 0.05 * rng.standard_normal((8, 1))
        outcomes = (rng.random((8, 150)) < chance).astype(float)
        low, high = bootstrap_mean(outcomes, draws=400, seed=experiment)
        hits += low <= truth <= high
    assert 0.90 <= hits / experiments <= 1.0


def test_a_paired_comparison_sees_what_an_unpaired_one_cannot():
    """The same hard and easy points for both: b fails on ten more of 200."""
    a = np.repeat(np.array([[1.0] * 100 + [0.0] * 100]), 3, axis=0)
    b = a.copy()
    b[:, :10] = 0
    found = paired_bootstrap(a, b)
    assert found.mean == pytest.approx(0.05)
    assert found.interval[0] > 0
    assert found.p < 0.05
    (low_a, _), (_, high_b) = bootstrap_mean(a), bootstrap_mean(b)
    assert low_a < high_b


def test_a_paired_comparison_is_antisymmetric_in_direction_and_of_oneself_is_nothing():
    rng = np.random.default_rng(0)
    a, b = (rng.random((3, 100)) < rate for rate in (0.7, 0.3))
    one, two = paired_bootstrap(a * 1.0, b * 1.0), paired_bootstrap(b * 1.0, a * 1.0)
    assert one.mean == -two.mean > 0
    assert max(one.p, two.p) < 0.001
    same = paired_bootstrap(np.ones((1, 10)), np.ones((1, 10)))
    assert (same.mean, same.interval, same.p) == (0.0, (0.0, 0.0), 1.0)


def test_equal_entries_are_rarely_told_apart():
    rng = np.random.default_rng(3)
    ps = [
        paired_bootstrap(*((rng.random((2, 4, 80)) < 0.5) * 1.0), draws=300, seed=experiment).p
        for experiment in range(150)
    ]
    assert np.mean(np.array(ps) < 0.05) <= 0.08


def test_points_of_different_number_cannot_be_paired():
    with pytest.raises(ValueError, match="10 and 11 points"):
        paired_bootstrap(np.ones((1, 10)), np.ones((1, 11)))


def test_ties_share_the_rank_of_the_first_of_their_group():
    scores = [0.50, 0.90, 0.88, 0.70, 0.69]
    assert rank_with_ties(scores, lambda i, j: abs(scores[i] - scores[j]) > 0.05) == (5, 1, 1, 3, 3)
    assert rank_with_ties(scores, lambda i, j: False) == (1, 1, 1, 1, 1)
    assert rank_with_ties(scores, lambda i, j: i != j) == (5, 1, 2, 3, 4)
    assert rank_with_ties([], lambda i, j: True) == ()


@given(st.lists(st.floats(0, 1), max_size=20), st.floats(0, 0.5))
def test_ranks_follow_the_scores(scores, gap):
    ranks = rank_with_ties(scores, lambda i, j: abs(scores[i] - scores[j]) > gap)
    for i, one in enumerate(scores):
        for j, other in enumerate(scores):
            assert one <= other or ranks[i] <= ranks[j]
            assert abs(one - other) <= gap or ranks[i] != ranks[j]


@pytest.mark.parametrize(
    ("a", "b"), [((1.0, 2.0, 4.0), (3.0, 5.0, 6.0, 9.0)), ((0.1, 0.11), (0.1, 0.5, 0.4)), ((1.0, 1.5), (2.0, 3.0))]
)
def test_welch_is_scipys(a: tuple[float, ...], b: tuple[float, ...]):
    _, p = stats.ttest_ind(a, b, equal_var=False)
    assert welch(a, b) == pytest.approx(p, rel=1e-10)


def test_welch_of_groups_without_variance():
    assert welch((1.0, 1.0), (1.0, 1.0)) == 1
    assert welch((1.0, 1.0), (2.0, 2.0)) == 0
