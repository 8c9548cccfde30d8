"""Standard metric 2, against predictors that are put together and attacked one at a time."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.analyses.eigenspace import PictureChoice, eigenspace, smallest_sufficient
from ntkbench.analyses.halves import chooses
from ntkbench.analyses.measurement import Measurement
from ntkbench.analyses.significance import beats, rank_correlation
from ntkbench.ntk import features
from ntkbench.vocabulary import grid
from tests.analyses.studies import EPS, TESTS, N, accuracies, span, study


@pytest.fixture(scope="module")
def done() -> Measurement:
    return eigenspace(study(), (0, 1, 2, 5), (2, 5), ((0, 4), (4, 12)), PictureChoice((0, 2), (1, 3), groups=True))


def value(of: Measurement, metric: str, **where):
    (found,) = [s for s in of.scalars if s.metric == metric and where.items() <= dict(s.where).items()]
    return found


def test_single_features_tails_and_groups(done):
    of, series = study(), done.series
    k = series["truncation"]
    expected = {
        "feature": [(i, i + 1) for i in series["feature"]],
        "truncation": [(0, each) for each in k],
        "tail": [(each, N) for each in k[:-1]],
        "group": [(0, 4), (4, 12)],
    }
    for name, spans in expected.items():
        for place, (start, stop) in enumerate(spans):
            clean, robust = accuracies(of, span(of, start, stop))
            assert series[f"{name}_clean"][place] == clean.sum(), (name, start, stop)
            np.testing.assert_array_equal(series[f"{name}_robust"][:, place], robust.sum(axis=1))


def test_the_tail_of_all_is_left_out(done):
    assert done.series["truncation"][-1] == N
    assert done.series["tail_clean"][-1] == 0
    np.testing.assert_array_equal(done.series["tail_robust"][:, -1], 0)
    assert (
        done.series["tail_robust"].shape
        == done.series["truncation_robust"].shape
        == (2, len(done.series["truncation"]))
    )


def test_k90_is_the_least_sufficient_truncation(done):
    assert smallest_sufficient(np.array([50, 89, 95, 88, 100])) == 3
    assert smallest_sufficient(np.array([90, 0, 100])) == 1
    assert smallest_sufficient(np.array([3, 1, 0])) == 3, "nine tenths of nothing would be any of them"
    cumulative, k90 = done.series["cumulative_clean"], value(done, "k90").value
    assert k90 == smallest_sufficient(cumulative)
    assert k90 in done.series["truncation"]
    np.testing.assert_array_equal(cumulative[done.series["truncation"] - 1], done.series["truncation_clean"])


def test_the_headline_is_the_mean_robustness_over_the_grid(done):
    of = study()
    assert grid(N) == (1, 2, 5, 10)
    np.testing.assert_array_equal(done.series["grid"], grid(N))
    clean, robust = map(np.stack, zip(*(accuracies(of, span(of, 0, k)) for k in grid(N)), strict=True))
    np.testing.assert_array_equal(done.samples["grid.clean"], clean.sum(axis=0))
    for e, eps in enumerate(EPS):
        points = robust[:, e].mean(axis=0)
        found = value(done, "eigenspace_robustness", eps=eps)
        assert found.value == pytest.approx(points.mean(), rel=1e-12)
        assert (found.k, found.n, found.sd) == (None, TESTS, pytest.approx(points.std(ddof=1)))
        assert dict(found.where) == {"target": "limit", "attack": "fgsm", "source": "limit", "eps": eps}
        counts = done.samples[f"grid.fgsm@{eps}"]
        assert counts.dtype == np.uint8
        np.testing.assert_array_equal(counts, robust[:, e].sum(axis=0))
        assert 0 < counts.max() <= 4
        for place, k in enumerate(grid(N)):
            assert value(done, "robust_accuracy", part=f"top {k}", eps=eps).k == robust[place, e].sum()
            assert value(done, "accuracy", part=f"top {k}").k == clean[place].sum()


def test_the_grid_is_the_same_for_all_kernels_as_far_as_they_reach():
    assert [grid(size) for size in (1, 4, 100)] == [(1,), (1, 2), (1, 2, 5, 10, 20, 50, 100)]
    assert grid(20_000)[-3:] == (5_000, 10_000, 20_000)


def test_nine_tenths_of_nothing_are_undefined():
    of = study()
    right, _ = accuracies(of, span(of, 0, N))
    wrong = dataclasses.replace(of, labels=jnp.asarray(np.where(right, 1 - np.asarray(of.labels), of.labels)))
    found = eigenspace(wrong, (0, 1), (2,), ((0, 4),))
    assert value(found, "accuracy", part="all").k == 0
    k90 = value(found, "k90")
    assert (k90.value, k90.reason) == (None, "the whole predictor is right about no test point")
    assert value(found, "accuracy", part="k90").k == 0, "the first k90 are all of them"


def test_the_first_k90_features_are_described(done):
    of = study()
    clean, robust = accuracies(of, span(of, 0, int(value(done, "k90").value or 0)))
    assert value(done, "accuracy", part="k90").k == clean.sum()
    np.testing.assert_array_equal(done.samples["k90.clean"], clean)
    for eps, outcome in zip(EPS, robust, strict=True):
        assert value(done, "robust_accuracy", part="k90", eps=eps).k == outcome.sum()
        np.testing.assert_array_equal(done.samples[f"k90.fgsm@{eps}"], outcome)


def test_beside_accuracies_stands_the_share_of_the_largest_class(done):
    found = value(done, "majority_rate")
    assert (found.k, found.n, dict(found.where)) == (15, TESTS, {})


@pytest.mark.slow
def test_the_whole_predictor_and_the_groups_stand_beside_it(done):
    of = study()
    for part, ends in (("all", (0, N)), ("group 0-4", (0, 4)), ("group 4-12", (4, N))):
        clean, robust = accuracies(of, span(of, *ends))
        assert value(done, "accuracy", part=part).k == clean.sum()
        for eps, outcome in zip(EPS, robust, strict=True):
            assert value(done, "robust_accuracy", part=part, eps=eps).k == outcome.sum()
    np.testing.assert_array_equal(done.samples["all.fgsm@1/5"], accuracies(of, span(of, 0, N))[1][1])


def test_the_best_truncation_is_chosen_on_one_half_and_judged_on_the_other(done):
    """Among those asked for, the grid and all: k90 is chosen on all points, and counts where it is one of these."""
    of = study()
    half = chooses(np.asarray(of.labels))
    every = sorted({2, 5, N, *grid(N)})
    robust = np.stack([accuracies(of, span(of, 0, k))[1] for k in every])
    for e, eps in enumerate(EPS):
        counts = [int(row[half].sum()) for row in robust[:, e]]
        place = counts.index(max(counts))
        found = value(done, "best_truncation_robustness", eps=eps)
        assert (found.k, found.n) == (robust[place, e][~half].sum(), TESTS - half.sum())
        assert value(done, "best_truncation", eps=eps).value == every[place]


def test_useful_features_beat_the_majority_and_robust_ones_do_so_under_attack(done):
    series = done.series
    assert series["majority"] == 15
    useful = beats(series["feature_clean"], TESTS, 15)
    np.testing.assert_array_equal(series["feature_useful"], useful)
    assert 0 < useful.sum() < len(useful)
    for e, eps in enumerate(EPS):
        robust = beats(series["feature_robust"][e], TESTS, 15) & useful
        np.testing.assert_array_equal(series["feature_tested_robust"][e], robust)
        assert value(done, "useful_robust", eps=eps).value == robust.sum()
        assert value(done, "useful_non_robust", eps=eps).value == (useful & ~robust).sum()


def test_rank_correlations_are_over_all_tested_features(done):
    series, of = done.series, study()
    assert 0 < series["feature_useful"].sum() < 4
    for e, eps in enumerate(EPS):
        robust = series["feature_robust"][e]
        for metric, other in (
            ("eigenvalue", of.eigenvalues[series["feature"]]),
            ("usefulness", series["feature_clean"]),
        ):
            found = value(done, f"spearman_{metric}_robustness", eps=eps)
            assert (found.value, found.n) == (rank_correlation(other, robust), 4)


@pytest.mark.slow
def test_a_rank_correlation_of_two_features_is_no_number():
    found = value(eigenspace(study(), (0, 1), (), ((0, 4),)), "spearman_eigenvalue_robustness", eps="1/5")
    assert found.value is None
    assert "fewer than 3 features are tested" in str(found.reason)


def test_correlations_are_mean_margins_of_features_of_unit_size(done):
    of = study()
    family = of.family(np.array([1]))
    f = np.asarray(jax.vmap(family.member(family.coefficients[0]))(of.X))[:, 0]
    y = 2 * np.asarray(of.labels) - 1
    np.testing.assert_allclose(done.series["correlation"][1], np.mean(y * f) / np.mean(np.abs(f)), rtol=1e-10)
    assert np.all(done.series["robust_correlation"] <= done.series["correlation"][None] + 1e-12)
    assert done.series["robust_correlation"].shape == (2, 4)


def test_pictures_are_gradients_of_features_and_of_groups(done):
    series, of = done.series, study()
    assert series["picture_gradient"].shape == (2, 2, 1, 1, 4)
    np.testing.assert_array_equal(series["picture_image"], np.asarray(of.X, np.float32)[[1, 3]])
    expected = features.gradients(of.family(np.array([2])), of.X[np.array([3])], of.labels[np.array([3])])
    np.testing.assert_allclose(series["picture_gradient"][1, 1], np.asarray(expected)[0, 0], rtol=1e-6)
    np.testing.assert_array_equal(series["picture_group"], [(0, 4), (4, 12)])
    parts = features.gradients(of.family(np.arange(4, 12)), of.X[np.array([3])], of.labels[np.array([3])])
    np.testing.assert_allclose(series["picture_group_gradient"][1, 1], parts[:, 0].sum(axis=0), rtol=1e-5)


@pytest.mark.slow
def test_chunks_of_features_change_nothing(done):
    told: list[str] = []
    small = eigenspace(study(together=3, tick=told.append), (0, 1, 2, 5), (2, 5), ((0, 4), (4, 12)))
    for name, array in small.series.items():
        np.testing.assert_allclose(array, done.series[name], rtol=1e-12)
    assert small.scalars == done.scalars
    assert len([line for line in told if line.startswith("features of limit")]) > 3


def test_checks_say_what_the_numbers_rest_on(done):
    assert {check.code: check.ok for check in done.checks} == {
        "threat_set_respected": True,
        "gradients_not_zero": True,
        "gradients_finite": True,
        "eigenvalues_apart": True,
    }
