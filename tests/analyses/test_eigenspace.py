"""Standard metric 2, against predictors that are put together and attacked one at a time."""

import jax
import numpy as np
import pytest

from ntkbench.analyses.eigenspace import eigenspace, smallest_sufficient
from ntkbench.analyses.measurement import Measurement
from ntkbench.analyses.significance import beats
from ntkbench.ntk import features
from tests.analyses.studies import EPS, TESTS, N, accuracies, span, study


@pytest.fixture(scope="module")
def done() -> Measurement:
    return eigenspace(study(), (0, 1, 2, 5), (2, 5), ((0, 4), (4, 12)), ((0, 2), (1, 3)))


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
    cumulative, k90 = done.series["cumulative_clean"], value(done, "k90").value
    assert k90 == smallest_sufficient(cumulative)
    assert k90 in done.series["truncation"]
    np.testing.assert_array_equal(cumulative[done.series["truncation"] - 1], done.series["truncation_clean"])


def test_the_headline_is_the_robustness_of_the_first_k90_features(done):
    of = study()
    clean, robust = accuracies(of, span(of, 0, int(value(done, "k90").value or 0)))
    assert value(done, "accuracy", part="k90").k == clean.sum()
    np.testing.assert_array_equal(done.samples["clean"], clean)
    for eps, outcome in zip(EPS, robust, strict=True):
        found = value(done, "eigenspace_robustness", eps=eps)
        assert (found.k, found.n) == (outcome.sum(), TESTS)
        assert dict(found.where) == {"target": "limit", "attack": "fgsm", "source": "limit", "eps": eps}
        np.testing.assert_array_equal(done.samples[f"fgsm@{eps}"], outcome)


@pytest.mark.slow
def test_the_whole_predictor_and_the_groups_stand_beside_it(done):
    of = study()
    for part, ends in (("all", (0, N)), ("group 0-4", (0, 4)), ("group 4-12", (4, N))):
        clean, robust = accuracies(of, span(of, *ends))
        assert value(done, "accuracy", part=part).k == clean.sum()
        for eps, outcome in zip(EPS, robust, strict=True):
            assert value(done, "robust_accuracy", part=part, eps=eps).k == outcome.sum()
    np.testing.assert_array_equal(done.samples["all.fgsm@0.2"], accuracies(of, span(of, 0, N))[1][1])


def test_the_best_truncation_is_one_of_those_attacked(done):
    for e, eps in enumerate(EPS):
        robust = done.series["truncation_robust"][e]
        assert value(done, "best_truncation_robustness", eps=eps).k == robust.max()
        assert value(done, "best_truncation", eps=eps).value == done.series["truncation"][np.argmax(robust)]


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


def test_a_rank_correlation_of_two_useful_features_is_no_number(done):
    found = value(done, "spearman_eigenvalue_robustness", eps="0.2")
    assert found.value is None
    assert "are useful" in str(found.reason)


def test_correlations_are_mean_margins_of_features_of_unit_size(done):
    of = study()
    family = of.family(np.array([1]))
    f = np.asarray(jax.vmap(family.member(family.coefficients[0]))(of.X))[:, 0]
    y = 2 * np.asarray(of.labels) - 1
    np.testing.assert_allclose(done.series["correlation"][1], np.mean(y * f) / np.mean(np.abs(f)), rtol=1e-10)
    assert np.all(done.series["robust_correlation"] <= done.series["correlation"][None] + 1e-12)
    assert done.series["robust_correlation"].shape == (2, 4)


def test_pictures_are_gradients_of_features(done):
    series, of = done.series, study()
    assert series["picture_gradient"].shape == (2, 2, 1, 1, 4)
    np.testing.assert_array_equal(series["picture_image"], np.asarray(of.X, np.float32)[[1, 3]])
    expected = features.gradients(of.family(np.array([2])), of.X[np.array([3])], of.labels[np.array([3])])
    np.testing.assert_allclose(series["picture_gradient"][1, 1], np.asarray(expected)[0, 0], rtol=1e-6)


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
