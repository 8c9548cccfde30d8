"""What runs share is made once."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.run.build import attacks
from ntkbench.run.shared import Laboratory
from ntkbench.spec.cell import Cell
from ntkbench.store.store import Store
from tests.examples import tiny


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def cell(folder: Path, *overrides: str) -> Cell:
    return tiny.planned(folder, *overrides).runs[0].cell


def test_one_kernel_serves_every_width_test_set_time_and_ridge(store: Store, tmp_path: Path):
    laboratory = Laboratory(store, (), 1e6)
    first = laboratory.regression(cell(tmp_path), "limit")
    for change in ("width=4", "n_test", "kernels.limit.time=3.0", "kernels.limit.ridge=0.5"):
        override = "data.n_test=4" if change == "n_test" else change
        made = laboratory.regression(cell(tmp_path, override), "limit")
        assert (made.key, made.cached) == (first.key, True)
    assert not first.cached
    assert len(store.keys("kernel", "k")) == 1


def test_another_process_finds_the_kernel(store: Store, tmp_path: Path):
    of = cell(tmp_path)
    made = Laboratory(store, (), 1e6).regression(of, "limit")
    found = Laboratory(store, (), 1e6).regression(of, "limit")
    assert (made.cached, found.cached) == (False, True)
    np.testing.assert_array_equal(made.value.alpha, found.value.alpha)


@pytest.mark.slow
def test_tiles_change_nothing_beyond_round_off(store: Store, tmp_path: Path):
    of = cell(tmp_path)
    whole = Laboratory(store, (), 1e9).regression(of, "limit").value
    tiled = Laboratory(Store(tmp_path / "tiled"), (), 1e3).regression(of, "limit").value
    np.testing.assert_allclose(whole.alpha, tiled.alpha, rtol=1e-8)


def test_what_is_crafted_on_an_infinite_kernel_is_kept_and_nothing_else(store: Store, tmp_path: Path):
    of, laboratory = cell(tmp_path), Laboratory(store, (), 1e6)
    predictor = laboratory.regression(of, "limit").value
    source = laboratory.subject(of, "limit", predictor, of.numerics.kernel)
    made = laboratory.crafted(of, attacks.threat(of, "ntk"), source)
    assert made.key == store.keys("craft", "c")[0]
    again = Laboratory(store, (), 1e6).crafted(of, attacks.threat(of, "ntk"), source)
    assert again.cached
    np.testing.assert_array_equal(made.value.images, again.value.images)
    noise = laboratory.crafted(of, attacks.threat(of, "noise"), source)
    assert (noise.key, noise.cached) == ("", False)
    assert len(store.keys("craft", "c")) == 1


def test_memory_is_bounded(store: Store, tmp_path: Path):
    laboratory = Laboratory(store, (), 1e6)
    for seed in range(20):
        laboratory.data(cell(tmp_path, f"data.seed={seed}"))
    assert len(laboratory._memory) == 8
    last = cell(tmp_path, "data.seed=19")
    assert laboratory.data(last) is laboratory.data(last)


def test_a_subject_has_the_test_set_in_its_precision(store: Store, tmp_path: Path):
    of, laboratory = cell(tmp_path), Laboratory(store, (), 1e6)
    for dtype in ("float32", "float64"):
        subject = laboratory.subject(of, "self", lambda x: x, dtype)
        assert subject.X.dtype == jnp.dtype(dtype)
        assert subject.X.shape == (10, 1, 1, 6)
