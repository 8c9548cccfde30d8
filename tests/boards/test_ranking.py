from collections.abc import Hashable, Sequence
from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import stats
from scipy.special import polygamma

from ntkbench.boards.ranking.pairs import Compared, Scores, compared, inverse_trigamma, moderated, p_values
from ntkbench.boards.ranking.ranks import ranking
from ntkbench.uncertainty import difference, from_influence, from_points, from_seeds, holm, interval


def plain(values: Sequence[float] | np.ndarray, ids: Sequence[Hashable] | None = None) -> Scores:
    return Scores(np.array(values), tuple(range(len(values)) if ids is None else ids), None)


def shares(outcomes: np.ndarray, ids: Sequence[Hashable], points: str | None = "these") -> Scores:
    """`outcomes`: (seeds, points) of 0 and 1."""
    values = outcomes.mean(axis=1)
    return Scores(values, tuple(ids), outcomes - values[:, None], points)


def outcomes(rng: np.random.Generator, seeds: int, points: int, rate: float = 0.5) -> np.ndarray:
    return (rng.random((seeds, points)) < rate) * 1.0


def p_of(entries: Sequence[Scores], *, share: bool = False) -> np.ndarray:
    """Without moderation, (m, m)."""
    found = compared(entries, share=share)
    return square(p_values(found, found.by_seed, found.freedom), len(entries))


def square(pairs: np.ndarray, m: int) -> np.ndarray:
    """Numbers of pairs as a symmetric matrix, 1 on the diagonal."""
    found = np.ones((m, m))
    found[np.triu_indices(m, 1)] = found.T[np.triu_indices(m, 1)] = pairs
    return found


def test_shared_seeds_are_compared_by_a_paired_t_test_and_others_by_welchs():
    normal = np.random.default_rng(0).standard_normal
    a, b, c = normal(6), normal(6) + 1, normal(4)
    p = p_of([plain(a, "uvwxyz"), plain(b, "uvwxyz"), plain(c)])
    assert p[0, 1] == p[1, 0] == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-12)  # type: ignore[attr-defined]
    assert p[0, 2] == pytest.approx(stats.ttest_ind(a, c, equal_var=False).pvalue, rel=1e-12)  # type: ignore[attr-defined]
    assert np.array_equal(np.diag(p), [1, 1, 1])


def test_seeds_are_paired_by_their_ids_in_whatever_order():
    normal = np.random.default_rng(0).standard_normal
    a, b = normal(5), normal(5)
    turned = plain(b[::-1], "edcba")
    assert p_of([plain(a, "abcde"), turned])[0, 1] == pytest.approx(stats.ttest_rel(a, b).pvalue)  # type: ignore[attr-defined]


def test_seeds_of_one_alone_count_as_a_part_of_their_own():
    """Variance of (x1 + .. + x5) / 5 - (y1 + .. + y4) / 4 with three shared, from its definition."""
    normal = np.random.default_rng(0).standard_normal
    x, y = normal(5), normal(4)
    found = compared([plain(x, "abcde"), plain(y, "cabz")], share=False)
    both = x[[0, 1, 2]] / 5 - y[[1, 2, 0]] / 4
    parts = np.array([3 * np.var(both, ddof=1), 2 * np.var(x, ddof=1) / 25, np.var(y, ddof=1) / 16])
    assert found.by_seed[0] == pytest.approx(parts.sum())
    assert found.freedom[0] == pytest.approx(parts.sum() ** 2 / np.sum(parts**2 / [2, 4, 3]))
    one = compared([plain(x, "abcde"), plain(y, "avyz")], share=False)
    assert one.by_seed[0] == pytest.approx(np.var(x, ddof=1) / 5 + np.var(y, ddof=1) / 4), "one says nothing"


@pytest.mark.parametrize("paired", [True, False])
def test_shares_on_their_own_seeds_are_compared_as_two_entries_are(paired: bool):
    rng = np.random.default_rng(1)
    tables = [outcomes(rng, seeds, 80) for seeds in (3, 5, 1)]
    entries = [shares(table, [(i, s) for s in range(len(table))]) for i, table in enumerate(tables)]
    if not paired:
        entries = [replace(entry, points=str(i)) for i, entry in enumerate(entries)]
    p = p_of(entries, share=True)
    for i in range(3):
        for j in range(i):
            expected = difference(from_points(tables[i]), from_points(tables[j]), paired=paired).p
            assert p[i, j] == p[j, i] == pytest.approx(expected, rel=1e-9)


def test_shares_of_the_same_seeds_are_compared_by_the_table_of_their_differences():
    rng = np.random.default_rng(2)
    a, b = outcomes(rng, 6, 90), outcomes(rng, 6, 90)
    found = compared([shares(a, range(6)), shares(b, range(6))], share=False)
    values, each = (a - b).mean(axis=1), (a - b) - (a - b).mean(axis=1)[:, None]
    table = from_influence(values, each)
    assert found.by_seed[0] == pytest.approx(table.by_seed)
    assert found.by_seed[0] + found.by_point[0] == pytest.approx(table.variance)
    assert found.freedom[0] == pytest.approx(5)


def test_points_of_unknown_or_other_digests_are_not_paired():
    rng = np.random.default_rng(3)
    table = outcomes(rng, 2, 50)
    same = compared([shares(table, "ab"), shares(table, "cd")], share=False).by_point[0]
    for digests in ((None, None), ("x", "y")):
        entries = [shares(table, ids, points) for ids, points in zip(("ab", "cd"), digests, strict=True)]
        assert compared(entries, share=False).by_point[0] > same == 0


def test_entries_that_are_the_same_are_equal_and_those_of_one_value_are_not_known():
    rng = np.random.default_rng(4)
    one = shares(outcomes(rng, 3, 40), range(3))
    made = ranking([one, one, one], descending=True, scale="share")
    assert np.array_equal(made.p, np.ones((3, 3)))
    unknown = ranking([plain([0.1]), plain([0.9])], descending=True, scale="linear")
    assert unknown.p[0, 1] == 1
    assert (unknown.low[0], unknown.high[0]) == (-np.inf, np.inf)


def spreads() -> Compared:
    """Five entries of four seeds."""
    normal = np.random.default_rng(0).standard_normal
    entries = [plain(scale * normal(4), [(scale, s) for s in range(4)]) for scale in (0.5, 1.0, 1.1, 1.5, 8.0)]
    return compared(entries, share=False)


def common(logs: np.ndarray, d0: float) -> float:
    """s0^2 by the second equation of section 6.2."""
    return np.exp(np.mean(logs) + polygamma(0, d0 / 2) - np.log(d0 / 2))


def test_variances_are_moderated_as_smyth_does():
    """By the formulas of Smyth (2004), section 6.2, solved by bisection; only raised."""
    found = spreads()
    v, d = found.by_seed / 0.5, found.freedom
    logs = np.log(v) - polygamma(0, d / 2) + np.log(d / 2)
    target = np.var(logs, ddof=1) - np.mean(polygamma(1, d / 2))
    low, high = 1e-3, 1e6
    for _ in range(200):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if polygamma(1, middle / 2) > target else (low, middle)
    variance, freedom = moderated(found, np.inf)
    assert freedom == pytest.approx(low + d, rel=1e-6)
    mixed = (low * common(logs, low) + d * v) / (low + d)
    assert np.any(mixed > v)
    assert np.any(mixed < v)
    assert variance == pytest.approx(np.maximum(mixed, v) * 0.5, rel=1e-6)


def test_others_count_at_most_twice_as_much_as_the_pair_itself():
    values = [np.array([-1.0, 0.0, 1.0]) * scale for scale in (1.0, 1.1, 0.9)]
    found = compared([plain(x, [(i, s) for s in "abc"]) for i, x in enumerate(values)], share=False)
    variance, freedom = moderated(found)
    v, d = found.by_seed / found.weight, found.freedom
    assert freedom == pytest.approx(3 * d)
    logs = np.log(v) - polygamma(0, d / 2) + np.log(d / 2)
    mixed = (2 * np.array([common(logs, 2 * each) for each in d]) + v) / 3
    assert variance == pytest.approx(np.maximum(mixed, v) * found.weight)
    assert np.all(moderated(found, np.inf)[1] > 1e8), "they differ by chance alone"


def test_an_entry_that_is_there_twice_says_nothing_about_variances():
    normal = np.random.default_rng(0).standard_normal
    entries = [plain(1 / 3 + normal(5)) for _ in range(4)]
    variance, freedom = moderated(compared(entries, share=False))
    again, of_again = moderated(
        compared([*entries, entries[0], replace(entries[1], values=entries[1].values + 1e-15)], share=False)
    )
    assert again.min() > 1e-3
    assert of_again[0] >= 0.8 * freedom[0] > 4
    assert np.all(variance > 0)


@pytest.mark.parametrize("x", [1e-6, 0.01, 1.0, 30.0, 1e6])
def test_trigamma_is_inverted(x: float):
    assert polygamma(1, inverse_trigamma(np.array([x])))[0] == pytest.approx(x, rel=1e-8)


def test_ranks_are_what_is_significantly_better_and_worse():
    centers = [0.0, 5.0, 5.01, 9.0]
    entries = [plain(center + np.linspace(-0.2, 0.2, 8), [(center, s) for s in range(8)]) for center in centers]
    made = ranking(entries, descending=True, scale="linear")
    assert made.best.tolist() == [4, 2, 2, 1]
    assert made.worst.tolist() == [4, 3, 3, 1]
    assert made.told_from_best.tolist() == [True, True, True, False]
    assert (made.told_pairs, made.pairs) == (5, 6)
    turned = ranking(entries, descending=False, scale="linear")
    assert turned.best.tolist() == [1, 2, 2, 4]
    assert turned.told_from_best.tolist() == [False, True, True, True]


def test_p_values_are_corrected_for_all_pairs():
    normal = np.random.default_rng(0).standard_normal
    entries = [plain(i * 0.8 + normal(6), [(i, s) for s in range(6)]) for i in range(4)]
    made, found = ranking(entries, descending=True, scale="linear"), compared(entries, share=False)
    assert np.array_equal(made.p, square(holm(p_values(found, *moderated(found))), 4))


def test_boards_can_be_stacked():
    normal = np.random.default_rng(0).standard_normal
    boards = [[plain(normal(4), [(i, s) for s in range(4)]) for i in range(5)] for _ in range(3)]
    boards[1] = [plain([1.0, 1.0, 1.0, 1.0], entry.pairing) for entry in boards[1]]  # nothing to fit
    each = [compared(board, share=False) for board in boards]
    together = Compared(*(np.array([getattr(one, field.name) for one in each]) for field in fields(Compared)))
    ps = holm(p_values(together, *moderated(together)))
    np.testing.assert_allclose(ps, [holm(p_values(one, *moderated(one))) for one in each], rtol=1e-9)


def test_positive_numbers_are_compared_as_ratios():
    normal = np.random.default_rng(0).standard_normal
    entries = [plain(np.exp(normal(6) * 0.3) * factor, [(factor, s) for s in range(6)]) for factor in (1e-4, 2e-2, 1.0)]
    made = ranking(entries, descending=False, scale="log")
    logs = [replace(entry, values=np.log(entry.values)) for entry in entries]
    linear = ranking(logs, descending=False, scale="linear")
    np.testing.assert_allclose(made.p, linear.p)
    np.testing.assert_allclose(made.estimate, np.exp(linear.estimate))
    np.testing.assert_allclose([made.low, made.high], np.exp([linear.low, linear.high]))
    assert np.all(made.low > 0)


def test_the_influence_of_a_logarithm_is_a_relative_change():
    normal = np.random.default_rng(0).standard_normal
    values, each = np.exp(normal(4)), normal((4, 30))
    entries = [Scores(values, tuple("abcd"), each, "x"), Scores(2 * values[::-1], tuple("efgh"), each, "x")]
    made = ranking(entries, descending=True, scale="log")
    byhand = from_influence(np.log(values), each / values[:, None])
    assert made.estimate[0] == pytest.approx(np.exp(byhand.mean))
    assert np.log(made.high[0] / made.estimate[0]) >= 1.96 * float(byhand.variance) ** 0.5


def test_intervals_of_shares_are_those_of_statistics_and_stay_inside():
    rng = np.random.default_rng(5)
    table = outcomes(rng, 4, 60, 0.98)
    made = ranking([shares(table, "abcd"), plain([0.0, 0.02, 0.9, 1.0])], descending=True, scale="share")
    assert (made.low[0], made.high[0]) == pytest.approx(interval(from_points(table)))
    assert (made.low[1], made.high[1]) == pytest.approx(interval(from_seeds([0.0, 0.02, 0.9, 1.0])))
    assert made.low.min() >= 0
    assert made.high.max() <= 1


def test_boards_of_nobody_and_of_one():
    none = ranking([], descending=True, scale="share")
    assert (none.estimate.shape, none.p.shape, none.told_pairs, none.pairs) == ((0,), (0, 0), 0, 0)
    one = ranking([plain([0.4, 0.5])], descending=True, scale="share")
    assert (one.best.tolist(), one.worst.tolist(), one.told_from_best.tolist()) == ([1], [1], [False])


@pytest.mark.parametrize(
    ("entry", "scale", "message"),
    [
        (plain([0.0, 1.0]), "log", "reference"),
        (plain([0.5, 1.5]), "share", "cannot be ranked as share"),
        (plain([0.5, float("nan")]), "linear", "cannot be ranked as linear"),
        (plain([0.5, 0.6], "aa"), "linear", "each seed has an id of its own"),
        (plain([0.5, 0.6], "abc"), "linear", "2 values of seeds whose ids"),
        (Scores(np.array([0.5]), ("a",), np.zeros((2, 3))), "share", r"influence of shape \(2, 3\)"),
        (Scores(np.array([0.5]), ("a",), np.full((1, 3), np.nan)), "share", "finite"),
    ],
)
def test_what_cannot_be_ranked_is_refused(entry: Scores, scale, message: str):
    with pytest.raises(ValueError, match=message):
        ranking([entry], descending=True, scale=scale)
