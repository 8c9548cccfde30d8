import numpy as np
import pytest

from ntkbench.analyses.consistency import consistency
from ntkbench.analyses.significance import rank_correlation
from ntkbench.ntk import features
from tests.analyses.studies import EPS, TESTS, N, accuracies, span, study

TOP, INDEX = (1, 3, N), (0, 1, 4, 9)


@pytest.fixture(scope="module")
def clean():
    return consistency(study(attacked=False), {"deep": study("deep", depth=3, attacked=False)}, TOP, INDEX)


def value(of, metric: str, **where):
    (found,) = [s for s in of.scalars if s.metric == metric and where.items() <= dict(s.where).items()]
    return found


def test_a_kernel_agrees_with_itself():
    done = consistency(study(), {"same": study("same")}, TOP, INDEX)
    np.testing.assert_array_equal(done.series["linear_overlap"][0], done.series["linear_overlap"][1])
    np.testing.assert_allclose(done.series["overlap"][0], 1, rtol=1e-12)
    np.testing.assert_allclose(done.series["angle"][0], 0, atol=1e-5)
    np.testing.assert_allclose(done.series["gradient_cosine"][0], 1, rtol=1e-12)
    assert value(done, "spearman_usefulness_across", against="same").value == pytest.approx(1)
    assert value(done, "spearman_robustness_across", against="same", eps="1/50").value == pytest.approx(1)


def test_angles_are_those_of_the_eigenspaces(clean):
    one, two = (np.asarray(study(depth=d).system.spectrum.eigenvectors) for d in (1, 3))
    for place, k in enumerate(TOP):
        cosines = np.linalg.svd(one[:, :k].T @ two[:, :k], compute_uv=False)
        np.testing.assert_allclose(clean.series["overlap"][0, place], np.mean(cosines**2), rtol=1e-10)
        largest = np.degrees(np.arccos(np.clip(cosines.min(), 0, 1)))
        np.testing.assert_allclose(clean.series["angle"][0, place], largest, atol=1e-5)
        assert value(clean, "eigenspace_overlap", against="deep", top=k).value == clean.series["overlap"][0, place]
    assert clean.series["overlap"][0, -1] == pytest.approx(1), "the whole space is the same"
    assert clean.series["angle"][0, 1] > 0.1


def test_beside_every_kernel_stands_the_linear_one_up_to_its_rank(clean):
    """Four pixels: the Gram matrix of the images has rank four, by hand."""
    X = np.asarray(study().system.X, float).reshape(N, -1)
    _, W = np.linalg.eigh(X @ X.T)
    assert clean.series["linear_rank"] == np.linalg.matrix_rank(X) == 4
    for row, (name, depth) in enumerate((("limit", 1), ("deep", 3))):
        V = np.asarray(study(depth=depth).system.spectrum.eigenvectors)
        for place, k in enumerate((1, 3)):
            cosines = np.linalg.svd(V[:, :k].T @ W[:, ::-1][:, :k], compute_uv=False)
            found = value(clean, "eigenspace_overlap", target=name, against="linear", top=k).value
            assert found == pytest.approx(np.mean(cosines**2), rel=1e-9)
            assert clean.series["linear_overlap"][row, place] == found
            angle = value(clean, "principal_angle", target=name, against="linear", top=k).value
            assert angle == pytest.approx(np.degrees(np.arccos(min(1, cosines.min()))), abs=1e-5)
    tops = {s.where["top"] for s in clean.scalars if s.where.get("against") == "linear"}
    assert tops == {1, 3}, "twelve dimensions are more than it has"
    assert np.isnan(clean.series["linear_overlap"][:, 2]).all()
    assert np.isnan(clean.series["linear_angle"][:, 2]).all()


def test_a_target_that_is_its_own_comparison_stands_beside_the_linear_kernel_once():
    done = consistency(study(attacked=False), {"limit": study(attacked=False)}, (1,), INDEX)
    (_,) = [s for s in done.scalars if s.metric == "eigenspace_overlap" and s.where["against"] == "linear"]


def test_gradients_of_matched_features(clean):
    one, two = (study(depth=d) for d in (1, 3))
    index = np.array(INDEX)
    a, b = (np.asarray(features.gradients(s.family(index), s.X, s.labels)).reshape(4, TESTS, -1) for s in (one, two))
    cosine = np.abs(np.sum(a * b, -1)) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    np.testing.assert_allclose(clean.series["gradient_cosine"][0], cosine.mean(axis=1), rtol=1e-9)
    found = value(clean, "feature_gradient_cosine", against="deep")
    assert found.n == TESTS
    assert found.value == pytest.approx(cosine.mean())


@pytest.mark.slow
def test_usefulness_and_robustness_are_each_kernel_s_own():
    done = consistency(study(), {"deep": study("deep", depth=3)}, TOP, INDEX)
    assert done.series["usefulness"].shape == (2, 4)
    assert done.series["robustness"].shape == (2, 2, 4)
    deep = study(depth=3)
    for place, i in enumerate(INDEX):
        clean, robust = accuracies(deep, span(deep, i, i + 1))
        assert done.series["usefulness"][1, place] == clean.sum()
        np.testing.assert_array_equal(done.series["robustness"][1, :, place], robust.sum(axis=1))
    for e, eps in enumerate(EPS):
        expected = rank_correlation(done.series["robustness"][0, e], done.series["robustness"][1, e])
        assert value(done, "spearman_robustness_across", against="deep", eps=eps).value == expected


def test_without_an_attack_there_is_no_robustness(clean):
    assert not {"robustness", "eps"} & clean.series.keys()
    assert {s.metric for s in clean.scalars} == {
        *("eigenspace_overlap", "principal_angle"),
        *("feature_gradient_cosine", "spearman_usefulness_across"),
    }
    assert [check.code for check in clean.checks] == ["eigenvalues_apart"] * 2
