"""What runs share is made once."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.run.build import attacks
from ntkbench.run.shared import SharedStages
from ntkbench.spec.cell import Cell
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
