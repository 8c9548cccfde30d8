import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ntkbench.data.user.arrays import Arrays
from ntkbench.data.user.examples import UserFileError


def saved(folder: Path, arrays: dict, **changes: object) -> Arrays:
    path = folder / "lab.npz"
    kept = {name: array for name, array in {**arrays, **changes}.items() if array is not None}
    np.savez_compressed(path, allow_pickle=True, **{name: np.asarray(array) for name, array in kept.items()})
    return Arrays(path)


def test_images_of_bytes(arrays, tmp_path):
    source = saved(tmp_path, arrays, class_names=["ant", "bee", "cow"])
    known, found = source.describe(), source.load()
    assert (known.name, known.classes, known.shape) == ("lab.npz", ("ant", "bee", "cow"), (4, 5, 1))
    assert (known.train_counts, known.test_counts) == ((4, 4, 4), (2, 2, 2))
    assert found.classes == known.classes
    np.testing.assert_array_equal(found.train.images[..., 0], arrays["x_train"])
    np.testing.assert_array_equal(found.test.labels, arrays["y_test"])
    assert found.test.index.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("shape", "shown"), [((20,), (1, 1, 20)), ((4, 5), (4, 5, 1)), ((2, 2, 5), (2, 2, 5)), ((4, 5, 1), (4, 5, 1))]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_every_shape_and_type(arrays, tmp_path, shape, shown, dtype):
    scale = 1 if dtype == np.uint8 else 255
    images = {f"x_{s}": (arrays[f"x_{s}"] / scale).astype(dtype).reshape(-1, *shape) for s in ("train", "test")}
    source = saved(tmp_path, arrays, **images)
    assert source.describe().shape == source.load().train.images.shape[1:] == shown
    assert source.describe().classes == ("0", "1", "2")
    np.testing.assert_allclose(source.load().train.unit().ravel(), arrays["x_train"].ravel() / 255, atol=1e-6)


def test_labels_in_a_column(arrays, tmp_path):
    assert saved(tmp_path, arrays, y_train=arrays["y_train"][:, None]).load().train.labels.shape == (12,)


def test_images_of_bytes_are_not_read_to_describe_them(arrays, tmp_path):
    """The end of x_train is overwritten: who reads it notices."""
    noise = np.random.default_rng(0).integers(0, 256, (18, 40, 50), np.uint8)
    source = saved(tmp_path, arrays, x_train=noise[:12], x_test=noise[12:])
    with zipfile.ZipFile(source.path) as archive:
        member = archive.getinfo("x_train.npy")
    content = bytearray(source.path.read_bytes())
    content[member.header_offset + member.compress_size - 99 : member.header_offset + member.compress_size] = bytes(99)
    source.path.write_bytes(content)
    assert source.describe().shape == (40, 50, 1)
    with pytest.raises(UserFileError, match=r"lab\.npz: "):
        source.load()


HALF = np.full((12, 4, 5), 0.5)
BEYOND, NAN, BELOW = HALF.copy(), HALF.copy(), HALF.astype(np.float16)
BEYOND[7, 1, 2], NAN[3, 0, 0], BELOW[11, 3, 4] = 1.001, np.nan, -0.5
WRONG: Mapping[str, Mapping[str, Any]] = {
    "there is no array x_test, y_test; the arrays are x_train": {"x_test": None, "y_test": None},
    "x_train: image 7 holds 1.001, and floats have to lie in [0, 1]; divide by": {"x_train": BEYOND},
    "x_train: image 3 holds nan, and floats have to lie in [0, 1]": {"x_train": NAN},
    "x_train: image 11 holds -0.5": {"x_train": BELOW},
    "x_train holds int64; images are bytes": {"x_train": np.zeros((12, 4, 5), np.int64)},
    "x_train holds complex128; images are bytes": {"x_train": np.zeros((12, 4, 5), complex)},
    "x_train has the shape (12,); it has to be": {"x_train": np.zeros(12, np.uint8)},
    "x_train has the shape (12, 0, 5); it has to be": {"x_train": np.zeros((12, 0, 5), np.uint8)},
    "x_train has 11 images, and y_train has 12 labels": {"x_train": np.zeros((11, 4, 5), np.uint8)},
    "training images are (5, 4) and test images (4, 5)": {"x_train": np.zeros((12, 5, 4), np.uint8)},
    "y_test holds float64 (6,); labels are whole numbers": {"y_test": np.zeros(6)},
    "y_test holds int64 (6, 3); labels are whole numbers": {"y_test": np.zeros((6, 3), int)},
    "the label -1 of a test example is no class: labels are 0, 1, ...": {"y_test": np.arange(6) - 1},
    "the label 5 of a test example is no class: labels are 0 to 2": {
        "y_test": np.arange(6),
        "class_names": ["a", "b", "c"],
    },
    "class c has no training examples": {"y_train": np.arange(12) % 2, "class_names": ["a", "b", "c"]},
    "class 1 has no training examples": {"y_train": 2 * (np.arange(12) % 2)},
    "class 3 has no test examples": {"y_train": np.arange(12) % 4},
    "1000000001 classes; there have to be 2 to 1000": {"y_train": np.full(12, 10**9)},
    "1 classes; there have to be 2": {"y_train": np.zeros(12, int), "y_test": np.zeros(6, int)},
    "the class name 'a' is there twice": {"class_names": ["a", "b", "a"]},
    "class_names holds int64 (3,); it is a list of texts": {"class_names": [1, 2, 3]},
    "x_test has the shape (0, 4, 5); it has to be": {
        "x_test": np.zeros((0, 4, 5), np.uint8),
        "y_test": np.zeros(0, int),
    },
    "x_train.npy is no array of numbers or texts (arrays of objects are not read)": {
        "x_train": np.array([None] * 12, object)
    },
}


@pytest.mark.parametrize("message", WRONG)
@pytest.mark.parametrize("ask", ["describe", "load"])
def test_what_is_wrong_is_told(arrays, tmp_path, message, ask):
    with pytest.raises(UserFileError) as error:
        getattr(saved(tmp_path, arrays, **WRONG[message]), ask)()
    assert str(error.value).startswith(f"lab.npz: {message}"), error.value
    assert error.value.field == "path"


def test_a_bomb_is_not_decompressed(arrays, tmp_path):
    source = Arrays(saved(tmp_path, arrays, x_train=np.zeros((12, 4, 5))).path, 2000)
    with pytest.raises(UserFileError, match=r"lab\.npz: its arrays take more than 2000 bytes"):
        source.describe()


def test_files_that_are_none(arrays, tmp_path):
    saved(tmp_path, arrays)
    (tmp_path / "text.npz").write_text("hello")
    for name, message in {
        "labs.npz": r"labs\.npz is not there; did you mean lab\.npz\?",
        "other/x.npz": "is not there; paths are relative to the file that names them",
        "text.npz": r"text\.npz: it does not end as an npz file does",
        ".": "cannot be read: Is a directory",
    }.items():
        with pytest.raises(UserFileError, match=message):
            Arrays(tmp_path / name).describe()
