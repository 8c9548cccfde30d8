"""What runs share is made once."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.errors import NumericsError
from ntkbench.ntk import features, leading, regression
from ntkbench.plan import keys
from ntkbench.plan.cost import spectra
from ntkbench.run.build import attacks, kernels
from ntkbench.run.shared import SharedStages
from ntkbench.spec.cell import Cell
from ntkbench.spec.kernels import InfiniteKernel
from ntkbench.store.store import Store
from tests.examples import tiny


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def cell(folder: Path, *overrides: str) -> Cell:
    return tiny.planned(folder, *overrides).runs[0].cell


def test_one_kernel_serves_every_width_test_set_time_and_ridge(store: Store, tmp_path: Path):
    shared = SharedStages(store, (), 1e6)
    first = shared.regression(cell(tmp_path), "limit")
    for change in ("width=4", "n_test", "kernels.limit.time=3.0", "kernels.limit.ridge=0.5"):
        override = "data.n_test=4" if change == "n_test" else change
        made = shared.regression(cell(tmp_path, override), "limit")
        assert (made.key, made.cached) == (first.key, True)
    assert not first.cached
    assert len(store.keys("kernel", "k")) == 1


@pytest.fixture
def solving(monkeypatch: pytest.MonkeyPatch):
    """Few examples are enough for a solve."""
    monkeypatch.setattr(keys, "SOLVED_FROM", 1)
    monkeypatch.setattr(keys.kernels, "is_cheaper_than_its_spectrum", lambda cell, kernel: True)


@pytest.mark.parametrize("change", ["kernels.limit.ridge=0", "kernels.limit.ridge=0.5", "numerics.kernel=float32"])
def test_a_solve_gives_what_the_spectrum_gives_and_leaves_coefficients_alone(
    change: str, store: Store, tmp_path: Path, request: pytest.FixtureRequest
):
    of = cell(tmp_path, change)
    spectral = SharedStages(Store(tmp_path / "spectra"), (), 1e6).regression(of, "limit")
    request.getfixturevalue("solving")
    solved = SharedStages(store, (), 1e6).regression(of, "limit")
    assert (solved.key, solved.cached) == (keys.solve_key(of, "limit"), False)
    agreed = 1e-3 if "float32" in change else 1e-8
    np.testing.assert_allclose(solved.value.alpha, spectral.value.alpha, rtol=agreed)
    assert (store.keys("solve", "s"), store.keys("kernel", "k")) == ([solved.key], [])
    stored = store.load("solve", solved.key)
    assert stored is not None
    assert {name: array.shape for name, array in stored.arrays.items()} == {"alpha": (12, 1)}
    assert SharedStages(store, (), 1e6).regression(of, "limit").cached


def test_a_spectrum_in_the_store_is_used(store: Store, tmp_path: Path, request: pytest.FixtureRequest):
    of = cell(tmp_path)
    spectral = SharedStages(store, (), 1e6).regression(of, "limit")
    request.getfixturevalue("solving")
    found = SharedStages(store, (), 1e6).regression(of, "limit")
    assert found.key == keys.solve_key(of, "limit")
    np.testing.assert_array_equal(found.value.alpha, spectral.value.alpha)


@pytest.mark.parametrize("how", ["spectrum", "solving"])
@pytest.mark.parametrize(("W_std", "message"), [
    ("1e-6", "kernel limit: the kernel is zero: its largest eigenvalue is .*try numerics.kernel: float64 or"),
    ("1e6", "kernel limit: the kernel is not finite"),
])  # fmt: skip
def test_what_cannot_be_inverted_is_refused_alike(
    how: str, W_std: str, message: str, store: Store, tmp_path: Path, request: pytest.FixtureRequest
):
    if how == "solving":
        request.getfixturevalue("solving")
    scales = (f"architecture.W_std={W_std}", "architecture.b_std=0", "architecture.depth=4")
    of = cell(tmp_path, *scales, "kernels.limit.ridge=1", "numerics.kernel=float32")
    with pytest.raises(NumericsError, match=message):
        SharedStages(store, (), 1e6).regression(of, "limit")
    assert store.keys("kernel", "k") + store.keys("solve", "s") == []


def test_a_singular_kernel_is_refused_with_the_words_of_its_spectrum():
    """Two training images of six are the same."""
    K = np.eye(6) + 1
    K[1] = K[0]
    K[:, 1] = K[:, 0]
    words, Y = InfiniteKernel(kind="infinite"), np.ones((6, 1))
    with pytest.raises(NumericsError, match=r"1 of its 6 eigenvalues are below round-off.*Duplicate examples"):
        kernels.solved(K, words, Y, "limit", "float64")


AGREE = "analyses={agree: {kind: consistency, target: limit, against: [limit], features: [0, 3], top: [1, 5]}}"


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch):
    """Few examples are enough for the first eigenpairs alone."""
    monkeypatch.setattr(spectra, "FROM", 1)
    monkeypatch.setattr(keys.kernels, "is_cheaper_than_its_spectrum", lambda cell, kernel: True)


def large(folder: Path, *overrides: str) -> Cell:
    return cell(folder, AGREE, "data.n_train=200", *overrides)


def test_the_first_eigenpairs_alone_are_those_of_the_whole_spectrum(store: Store, tmp_path: Path, alone: None):
    of, shared = large(tmp_path), SharedStages(store, (), 1e6)
    found = shared.eigensystem(of, "limit", whole=False)
    key = keys.spectrum_stage(of, "limit")[0]
    assert (found.key, found.cached, store.keys("kernel", "k")) == (key, False, [key])
    stored = store.load("kernel", key)
    assert stored is not None
    shapes = {name: array.shape for name, array in stored.arrays.items()}
    assert shapes == {"eigenvalues": (5,), "eigenvectors": (200, 5)}
    again = SharedStages(store, (), 1e6).eigensystem(of, "limit", whole=False)
    assert again.cached
    np.testing.assert_array_equal(again.value.targets, found.value.targets)
    whole = SharedStages(Store(tmp_path / "whole"), (), 1e6).eigensystem(of, "limit").value
    np.testing.assert_allclose(found.value.spectrum.eigenvalues, whole.spectrum.eigenvalues[:5], rtol=1e-8)
    ranges = np.array([[i, i + 1] for i in range(5)])
    one, two = (
        features.values(features.family(system, features.spans(system.spectrum.eigenvalues, ranges)), system.X[:9])
        for system in (found.value, whole)
    )
    np.testing.assert_allclose(one, two, atol=1e-8)


def test_all_of_a_spectrum_in_the_store_gives_its_first_part(store: Store, tmp_path: Path, alone: None):
    of = large(tmp_path)
    whole = SharedStages(store, (), 1e6).eigensystem(of, "limit")
    found = SharedStages(store, (), 1e6).eigensystem(of, "limit", whole=False)
    assert (found.key, found.cached) == (whole.key, True)
    assert store.keys("kernel", "k") == [whole.key]


def test_where_the_first_eigenpairs_fail_their_check_all_are_computed(
    store: Store, tmp_path: Path, alone: None, monkeypatch: pytest.MonkeyPatch
):
    of = large(tmp_path)
    monkeypatch.setattr(leading, "is_sound", lambda *given: False)
    with pytest.warns(UserWarning, match=r"kernel limit: its first 5 eigenpairs alone .*; all 200 are computed"):
        found = SharedStages(store, (), 1e6).eigensystem(of, "limit", whole=False)
    whole = SharedStages(store, (), 1e6).eigensystem(of, "limit")
    assert whole.cached
    np.testing.assert_array_equal(found.value.spectrum.eigenvectors, whole.value.spectrum.eigenvectors[:, :5])


@pytest.mark.filterwarnings("ignore:kernel limit. its first 5 eigenpairs alone")
def test_a_singular_kernel_is_refused_in_the_same_words_if_its_first_eigenpairs_are_asked_for(
    store: Store, tmp_path: Path, alone: None
):
    corners = "data.dataset={kind: two_gaussians, dim: 1, distance: 4, sd: 0.001}"
    of, said = large(tmp_path, corners), []
    for whole in (True, False):
        shared = SharedStages(Store(tmp_path / str(whole)), (), 1e6)
        with pytest.raises(NumericsError, match="eigenvalues are below round-off") as error:
            shared.eigensystem(of, "limit", whole=whole)
        said.append(str(error.value))
    assert said[0] == said[1]


def test_another_process_finds_the_kernel(store: Store, tmp_path: Path):
    of = cell(tmp_path)
    made = SharedStages(store, (), 1e6).regression(of, "limit")
    found = SharedStages(store, (), 1e6).regression(of, "limit")
    assert (made.cached, found.cached) == (False, True)
    np.testing.assert_array_equal(made.value.alpha, found.value.alpha)


@pytest.mark.slow
def test_tiles_change_nothing_beyond_round_off(store: Store, tmp_path: Path):
    of = cell(tmp_path)
    whole = SharedStages(store, (), 1e9).regression(of, "limit").value
    tiled = SharedStages(Store(tmp_path / "tiled"), (), 1e3).regression(of, "limit").value
    np.testing.assert_allclose(whole.alpha, tiled.alpha, rtol=1e-8)


def test_what_is_crafted_on_an_infinite_kernel_is_kept_and_nothing_else(store: Store, tmp_path: Path):
    of, shared = cell(tmp_path), SharedStages(store, (), 1e6)
    predictor = shared.regression(of, "limit").value
    source = shared.evaluator(of, "limit", predictor, of.numerics.kernel)
    made = shared.crafted(of, attacks.attack(of, "ntk"), source)
    assert made.key == store.keys("craft", "c")[0]
    again = SharedStages(store, (), 1e6).crafted(of, attacks.attack(of, "ntk"), source)
    assert again.cached
    np.testing.assert_array_equal(made.value.images, again.value.images)
    noise = shared.crafted(of, attacks.attack(of, "noise"), source)
    assert (noise.key, noise.cached) == ("", False)
    assert len(store.keys("craft", "c")) == 1


def test_memory_is_bounded(store: Store, tmp_path: Path):
    shared = SharedStages(store, (), 1e6)
    for seed in range(20):
        shared.data(cell(tmp_path, f"data.seed={seed}"))
    assert len(shared._memory) == 8
    last = cell(tmp_path, "data.seed=19")
    assert shared.data(last) is shared.data(last)


def test_a_subject_has_the_test_set_in_its_precision(store: Store, tmp_path: Path):
    of, shared = cell(tmp_path), SharedStages(store, (), 1e6)
    for dtype in ("float32", "float64"):
        evaluator = shared.evaluator(of, "self", lambda x: x, dtype)
        assert evaluator.X.dtype == jnp.dtype(dtype)
        assert evaluator.X.shape == (10, 1, 1, 6)


@pytest.mark.parametrize(("rows", "batch"), [(11, 1), (12, 64), (12 * 64, 64), (12 * 80, 80), (10**6, 100)])
def test_a_kernel_compares_many_test_examples_with_all_training_examples_if_it_takes_these_at_once(
    rows: int, batch: int, store: Store, tmp_path: Path
):
    of, shared = cell(tmp_path, "data.n_test=100"), SharedStages(store, (), 1e9)
    made = shared.regression(of, "limit").value
    predictor = regression.KernelPredictor(made.kernel, made.support, made.alpha, rows)
    assert shared.evaluator(of, "limit", predictor, "float64").batch_size == batch


def test_tiles_of_tests_bound_the_test_examples_that_are_taken_together(store: Store, tmp_path: Path):
    of, shared = cell(tmp_path, "data.n_test=100"), SharedStages(store, (), 16.0 * 12 * 8 * 10)
    made = shared.regression(of, "limit").value
    assert shared.evaluator(of, "limit", made, "float64").batch_size <= 10
