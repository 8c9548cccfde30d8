import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ntkbench.data.catalog import CATALOG
from ntkbench.data.files import File
from ntkbench.data.layouts import LAYOUTS
from ntkbench.errors import DataError
from tests.data.conftest import Tiny, sha256


def test_every_data_set_has_one():
    assert set(LAYOUTS) == set(CATALOG)


@pytest.mark.parametrize("root", ["/data", "/data/MNIST", "/data/MNIST/raw"])
def test_a_root_may_be_the_folder_itself(root):
    assert Path("/data/MNIST/raw") in LAYOUTS["mnist"][0].places(Path(root))


def test_the_folder_of_another_set_is_not_taken_for_it():
    assert Path("/data/FashionMNIST/raw") not in LAYOUTS["mnist"][0].places(Path("/data/FashionMNIST/raw"))
    assert Path("/data/cifar-10-batches-py") in LAYOUTS["cifar10"][1].places(Path("/data/cifar-10-batches-py"))


def write(contents: dict[str, bytes], folder: Path) -> None:
    folder.mkdir(parents=True)
    for position, (name, content) in enumerate(contents.items()):
        if position % 2:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


def test_missing(tiny, tmp_path):
    write(tiny.contents, tmp_path / "raw")
    assert tiny.layout.missing(tmp_path / "raw") == ()
    (tmp_path / "raw" / "train-labels.gz").unlink()
    assert tiny.layout.missing(tmp_path / "raw") == ("train-labels",)
    assert tiny.layout.missing(tmp_path / "nowhere") == tuple(tiny.contents)


def test_read(tiny, tmp_path):
    write(tiny.contents, tmp_path / "raw")
    train, _ = tiny.layout.read(tmp_path / "raw")
    np.testing.assert_array_equal(train.images[..., 0], tiny.images[:6])


@pytest.mark.parametrize("content", [b"\x00", b"\x00\x00\x08\x07", b"PK\x03\x04", b"}.", b"\x80\x02}("])
def test_files_with_the_right_checksum_and_no_sense(tiny: Tiny, tmp_path: Path, content: bytes):
    files = tuple(File(file.name, sha256(content), len(content)) for file in tiny.layout.files)
    write(dict.fromkeys(tiny.contents, content), tmp_path / "raw")
    for layout in (tiny.layout, *LAYOUTS["mnist"], *LAYOUTS["cifar10"]):
        with pytest.raises(DataError, match="raw does not hold the data set its name says: "):
            replace(layout, files=files).read(tmp_path / "raw")
