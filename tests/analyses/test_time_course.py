import numpy as np
import pytest

from ntkbench.analyses.halves import chooses
from ntkbench.analyses.time_course import time_course
from tests.analyses.studies import EPS, TESTS, N, accuracies, study


@pytest.fixture(scope="module")
def done():
    return time_course(study(), (0.01, 3.0), (0.0, 0.5))


def test_each_time_and_ridge_is_its_filter(done):
    of = study()
    values = of.eigenvalues
    filters = {
        "time": [*(-np.expm1(-values * t) / values for t in (0.01, 3.0)), 1 / values],
        "ridge": [1 / values, 1 / (values + 0.5)],
    }
    np.testing.assert_array_equal(done.series["time"], [0.01, 3.0, np.inf])
    np.testing.assert_array_equal(done.series["ridge"], [0.0, 0.5])
    for name, several in filters.items():
        for place, g in enumerate(several):
            clean, robust = accuracies(of, g)
            assert done.series[f"{name}_clean"][place] == clean.sum()
            np.testing.assert_array_equal(done.series[f"{name}_robust"][:, place], robust.sum(axis=1))


def test_infinite_time_is_the_number_of_the_record(done):
    (accuracy,) = [s for s in done.scalars if s.metric == "accuracy"]
    assert (accuracy.k, accuracy.n) == (done.series["time_clean"][-1], TESTS)
    robust = {s.where["eps"]: s.k for s in done.scalars if s.metric == "robust_accuracy"}
    assert robust == dict(zip(EPS, done.series["time_robust"][:, -1], strict=True))


def test_numbers_span_the_spectrum():
    found, values = time_course(study(), 5, 4).series, study().eigenvalues
    np.testing.assert_allclose(found["time"][[0, 4]], [0.1 / values[0], 10 / values[-1]], rtol=1e-12)
    np.testing.assert_allclose(np.diff(np.log(found["time"][:-1]), n=2), 0, atol=1e-9)
    np.testing.assert_allclose(found["ridge"][[0, 3]], [values[-1] / 10, 10 * values[0]], rtol=1e-12)
    assert len(found["time"]) == 6
    assert found["time"][-1] == np.inf
    assert found["eigenvalue"].shape == (N,)


@pytest.mark.parametrize("name", ["time", "ridge"])
def test_the_best_on_the_way(done, name):
    of, along = study(), done.series[name]
    half, values = chooses(np.asarray(of.labels)), of.eigenvalues
    filters = [-np.expm1(-values * t) / values for t in along] if name == "time" else [1 / (values + r) for r in along]
    robust = np.stack([accuracies(of, g)[1] for g in filters])
    for e, eps in enumerate(EPS):
        share, where = (
            next(s for s in done.scalars if s.metric == metric and s.where["eps"] == eps)
            for metric in (f"best_{name}_robustness", f"best_{name}")
        )
        counts = [int(row[half].sum()) for row in robust[:, e]]
        place = counts.index(max(counts))
        assert (share.k, share.n) == (robust[place, e][~half].sum(), TESTS - half.sum())
        first = along[place]
        assert where.value == (first if np.isfinite(first) else None)
