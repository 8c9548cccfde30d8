import hashlib

import numpy as np
import pytest

from ntkbench.data import bundle
from ntkbench.data.catalog import entry
from ntkbench.data.layouts import LAYOUTS
from ntkbench.data.load import load
from ntkbench.data.places import BUNDLED
from ntkbench.errors import DataError

ARRAYS = "c087b59a9f5b75382c01372bbb7f96adfd520459ea2a1e865131598c92caa74f"
"""sha256 of the arrays' bytes in the order of their names: what every result on the bundled set rests on"""


def digest(arrays) -> str:
    return hashlib.sha256(b"".join(arrays[name].tobytes() for name in sorted(arrays))).hexdigest()


def test_bundled_set_loads_without_any_folder():
    dataset = load("fashion_mnist_mini", [])
    for split, n in ((dataset.train, 500), (dataset.test, 100)):
        assert split.images.shape == (10 * n, 28, 28, 1)
        assert np.bincount(split.labels).tolist() == [n] * 10
        assert (np.diff(split.index) > 0).all(), "in the order of the full set, so that `first` means something"
    assert dataset.classes == entry("fashion_mnist").classes


def test_arrays_are_the_known_ones():
    assert BUNDLED.stat().st_size < 3_000_000
    with np.load(BUNDLED, allow_pickle=False) as archive:
        assert digest(archive) == ARRAYS


def test_damage_is_noticed(tmp_path):
    damaged = bytearray(BUNDLED.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / BUNDLED.name).write_bytes(damaged)
    with pytest.raises(DataError, match=r"(?s)fashion_mnist_mini\.npz is damaged .* fetch or install it again"):
        LAYOUTS["fashion_mnist_mini"][0].read(tmp_path)


def test_license_is_beside_it():
    assert "Copyright © 2017 Zalando SE, https://tech.zalando.com" in BUNDLED.with_name(
        "LICENSE-fashion-mnist"
    ).read_text(encoding="utf-8")


def test_written_bytes_depend_on_the_arrays_alone(tmp_path, monkeypatch):
    arrays = {"b": np.arange(1000, dtype=np.uint8), "a": np.eye(3, dtype=np.int32)}
    bundle.write(arrays, tmp_path / "one.npz")
    monkeypatch.setattr("time.time", lambda: 2e9)
    bundle.write(arrays, tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with np.load(tmp_path / "one.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["a"], arrays["a"])


@pytest.mark.data
def test_is_what_the_script_draws(full_data, tmp_path):
    full = load("fashion_mnist", [full_data])
    drawn = bundle.arrays(full)
    assert digest(drawn) == ARRAYS
    bundle.write(drawn, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == BUNDLED.read_bytes()
    mini = load("fashion_mnist_mini", [])
    np.testing.assert_array_equal(mini.test.images, full.test.images[mini.test.index])
    np.testing.assert_array_equal(mini.train.labels, full.train.labels[mini.train.index])
