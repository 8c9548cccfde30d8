import gzip
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ntkbench.data.catalog import CATALOG, entry
from ntkbench.data.layouts import LAYOUTS
from ntkbench.data.load import find, load
from ntkbench.data.places import absent, cache, is_there, search_roots
from ntkbench.errors import DataError, UsageError


@pytest.fixture
def whole(tiny, tmp_path) -> Path:
    folder = tmp_path / "root" / "Tiny" / "raw"
    folder.mkdir(parents=True)
    for name, content in tiny.contents.items():
        (folder / name).write_bytes(content)
    return tmp_path / "root"


def test_first_whole_root_wins(tiny, whole, tmp_path):
    dataset = find(tiny.entry, [tiny.layout], [tmp_path / "nowhere", whole])
    np.testing.assert_array_equal(dataset.train.images[..., 0], tiny.images[:6])
    np.testing.assert_array_equal(dataset.test.labels, tiny.labels[6:])
    assert dataset.classes == ("a", "b", "c")


def test_missing_says_what_was_looked_for_and_where(tiny, whole, tmp_path):
    (whole / "Tiny" / "raw" / "test-labels").unlink()
    elsewhere = replace(tiny.layout, folders=("", "tiny"), files=(replace(tiny.layout.files[0], name="tiny.bin"),))
    with pytest.raises(DataError) as caught:
        find(tiny.entry, [tiny.layout, elsewhere], [whole, Path("/none")])
    assert str(caught.value) == (
        "data set tiny is not on this machine. Looked for\n"
        "  train-images, train-labels, test-images, test-labels\n"
        f"    in {whole}/Tiny/raw: without test-labels\n"
        "    in /none/Tiny/raw: no such folder\n"
        "  tiny.bin\n"
        f"    in {whole}: without tiny.bin\n"
        f"    in {whole}/tiny: no such folder\n"
        "    in /none: no such folder\n"
        "    in /none/tiny: no such folder\n"
        "Fetch it with `ntkbench data fetch tiny`, or name the folder that has it with --data-dir or NTKBENCH_DATA."
    )


def test_a_damaged_set_is_not_passed_over(tiny, whole):
    path = whole / "Tiny" / "raw" / "train-labels"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="train-labels is damaged or not the original"):
        find(tiny.entry, [tiny.layout], [whole, whole])


@pytest.mark.parametrize("change", [{"shape": (3, 2, 1)}, {"train_counts": (3, 2, 1)}, {"test_counts": (1, 2)}])
def test_a_set_that_is_not_what_the_catalog_says(tiny, whole, change):
    with pytest.raises(DataError, match=r"raw holds images \(2, 3, 1\) in classes of"):
        find(replace(tiny.entry, **change), [tiny.layout], [whole])


def test_search_roots(tmp_path, monkeypatch):
    keras = Path.home() / ".keras" / "datasets"
    assert search_roots(None) == (cache(), keras)
    monkeypatch.chdir(tmp_path)
    assert search_roots(Path("here")) == (tmp_path / "here", cache(), keras)


def test_unknown_name():
    with pytest.raises(UsageError, match="did you mean 'mnist'"):
        load("mnits", [])


@pytest.mark.data
@pytest.mark.parametrize("name", CATALOG)
def test_full_sets(name, full_data):
    dataset, known = load(name, [full_data]), entry(name)
    assert dataset.train.images.shape == (known.n_train, *known.shape)
    assert dataset.test.images.shape == (known.n_test, *known.shape)
    assert dataset.classes == known.classes


@pytest.mark.data
def test_cifar_pixels_are_where_they_belong(full_data):
    """The first training image is the well-known frog, the second a truck; its rows and channels in order."""
    train = load("cifar10", [full_data]).train
    assert train.labels[:2].tolist() == [6, 9]
    raw = np.fromfile(full_data / "cifar-10-batches-bin" / "data_batch_1.bin", np.uint8, 3073)[1:]
    assert train.images[0, 5, 7].tolist() == [raw[5 * 32 + 7], raw[1024 + 5 * 32 + 7], raw[2048 + 5 * 32 + 7]]
    assert train.images[0, 0, 0].tolist() == [59, 62, 63]


@pytest.fixture
def homeless(monkeypatch, tmp_path):
    """A user whom the system does not know, as in containers."""

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("HOME", "XDG_CACHE_HOME", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))


def test_without_a_home_sets_are_put_in_the_temporary_folder(homeless, tmp_path):
    temporary = tmp_path / f"ntkbench-{os.getuid()}" / "data"
    assert cache() == temporary
    assert search_roots(None) == (temporary,)
    assert load("fashion_mnist_mini", search_roots(None)).classes == entry("fashion_mnist_mini").classes


def test_a_home_that_cannot_be_written_is_still_looked_into(monkeypatch, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    monkeypatch.setattr("os.access", lambda place, mode: home not in (Path(place), *Path(place).parents))
    assert search_roots(None)[0] == home / "ntkbench" / "data"
    assert cache() == search_roots(None)[1] != home / "ntkbench" / "data"


def test_a_place_that_cannot_be_read_is_told(tiny, monkeypatch, tmp_path):
    def refused(place, *_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.stat", refused)
    with pytest.raises(DataError, match=r"raw: it cannot be read"):
        find(tiny.entry, [tiny.layout], [tmp_path])


def test_what_is_absent_is_named_once_with_what_brings_it(homeless, tmp_path):
    (line,) = absent(["cifar10", "fashion_mnist_mini", "cifar10"], tmp_path)
    assert line.startswith("the data set cifar10 is not on this machine; `ntkbench data fetch cifar10` brings it")


def test_keras_own_home(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert search_roots(None)[-1] == tmp_path / "datasets"


def test_a_folder_that_holds_the_files_itself(tiny, whole):
    assert len(find(tiny.entry, [tiny.layout], [whole / "Tiny" / "raw"]).train) == 6
    anywhere = (whole / "Tiny" / "raw").rename(whole / "my-data")
    assert len(find(tiny.entry, [tiny.layout], [anywhere]).train) == 6
    other = replace(tiny.layout, files=tuple(replace(file, checksum="sha256:0") for file in tiny.layout.files))
    with pytest.raises(DataError, match="is not on this machine"):
        find(tiny.entry, [other], [anywhere])


@pytest.mark.parametrize("folder", ["", "cifar10", "vision/CIFAR-10"])
def test_an_archive_that_is_not_unpacked_is_told(tmp_path, folder):
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / folder / "cifar-10-python.tar.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"cifar-10-python.tar.gz is there, but packed: `tar -xf cifar-10-python"):
        load("cifar10", [tmp_path])


PLACES = ["", "tiny", "tiny/raw", "TINY/Raw", "Tiny/Tiny/raw", "raw/raw", "vision/Tiny/raw", "a/b/c"]


@pytest.mark.parametrize("folder", PLACES)
def test_files_are_found_under_any_names_of_folders(tiny, tmp_path, folder):
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for name, content in tiny.contents.items():
        (tmp_path / folder / f"{name}.gz").write_bytes(gzip.compress(content))
    assert len(find(tiny.entry, [tiny.layout], [tmp_path]).train) == 6


@pytest.mark.parametrize("folder", [".hidden", "a/b/c/d"])
def test_but_not_anywhere(tiny, tmp_path, folder, monkeypatch):
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "near").mkdir()
    for name, content in tiny.contents.items():
        (tmp_path / folder / name).write_bytes(content)
    with pytest.raises(DataError, match="is not on this machine"):
        find(tiny.entry, [tiny.layout], [tmp_path])
    for name in tiny.contents:
        (tmp_path / folder / name).rename(tmp_path / "near" / name)
    find(tiny.entry, [tiny.layout], [tmp_path])
    monkeypatch.setattr("ntkbench.data.places._MOST", 0)
    with pytest.raises(DataError, match="is not on this machine"):
        find(tiny.entry, [tiny.layout], [tmp_path])


@pytest.mark.parametrize("dot", [False, True])
@pytest.mark.parametrize("inner", [False, True])
def test_the_names_that_programs_give_to_the_files(tiny, tmp_path, dot, inner):
    """With a dot, and each in a folder of its name."""
    known = [file.name for file in LAYOUTS["mnist"][0].files]
    files = tuple(replace(file, name=name) for file, name in zip(tiny.layout.files, known, strict=True))
    for name, content in zip(known, tiny.contents.values(), strict=True):
        path = tmp_path / (name.replace("-idx", ".idx") if dot else name)
        path = path / path.name if inner else path
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    layout = replace(tiny.layout, files=files)
    assert len(find(tiny.entry, [layout], [tmp_path]).train) == 6


def test_what_was_found_elsewhere_is_told(tiny, whole):
    """A folder of another name that lacks a file, and one with files of another data set."""
    part = (whole / "Tiny" / "raw").rename(whole / "part")
    shutil.copytree(part, whole / "other")
    (part / "test-labels").unlink()
    (whole / "other" / "test-labels").write_bytes(bytes(11))
    with pytest.raises(DataError) as caught:
        find(tiny.entry, [tiny.layout], [whole])
    assert str(caught.value).splitlines()[1:5] == [
        "  train-images, train-labels, test-images, test-labels",
        f"    in {whole}/Tiny/raw: no such folder",
        f"    in {whole}/other: files of these names, but of another data set, or damaged",
        f"    in {whole}/part: without test-labels",
    ]


@pytest.mark.parametrize("kind", ["bin", "py"])
def test_folders_inside_of_folders_of_their_name(kind, tmp_path):
    layout = LAYOUTS["cifar10"][0 if kind == "bin" else 1]
    inner = tmp_path / f"cifar-10-batches-{kind}" / f"cifar-10-batches-{kind}"
    inner.mkdir(parents=True)
    assert not is_there("cifar10", [tmp_path])
    for file in layout.files:
        (inner / file.name).write_bytes(b"")
    assert is_there("cifar10", [tmp_path])
