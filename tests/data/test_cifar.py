import os
import pickle

import numpy as np
import pytest

from ntkbench.data import cifar
from ntkbench.data.files import File
from ntkbench.data.layouts import FileLayout
from ntkbench.errors import DataError
from tests.data.conftest import sha256

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (5, 3, 32, 32), np.uint8)
LABELS = np.array([3, 0, 9, 1, 1])


def records(n: slice) -> bytes:
    return np.concatenate([LABELS[n, None].astype(np.uint8), IMAGES[n].reshape(-1, 3072)], axis=1).tobytes()


def python2_pickle(images: np.ndarray, labels: list[int]) -> bytes:
    """A batch as Python 2 and its NumPy wrote it: strings are bytes, flags are 0 and 1."""

    def string(value: bytes) -> bytes:
        return b"T" + len(value).to_bytes(4, "little") + value

    def integer(value: int) -> bytes:
        return b"J" + value.to_bytes(4, "little", signed=True)

    def call(module: bytes, name: bytes, *arguments: bytes) -> bytes:
        return b"c" + module + b"\n" + name + b"\n(" + b"".join(arguments) + b"tR"

    dtype = call(b"numpy", b"dtype", string(b"u1"), integer(0), integer(1))
    dtype += b"(" + integer(3) + string(b"|") + b"NNN" + integer(-1) + integer(-1) + integer(0) + b"tb"
    shape = b"(" + b"".join(map(integer, images.shape)) + b"t"
    start = call(
        b"numpy.core.multiarray", b"_reconstruct", b"cnumpy\nndarray\n", b"(" + integer(0) + b"t", string(b"b")
    )
    array = start + b"(" + integer(1) + shape + dtype + b"\x89" + string(images.tobytes()) + b"tb"
    listed = b"](" + b"".join(map(integer, labels)) + b"e"
    return b"\x80\x02}(" + string(b"data") + array + string(b"labels") + listed + b"u."


def pickled(n: slice) -> bytes:
    return python2_pickle(IMAGES[n].reshape(-1, 3072), LABELS[n].tolist())


@pytest.mark.parametrize(("splits", "batch"), [(cifar.binary_splits, records), (cifar.pickled_splits, pickled)])
def test_splits(splits, batch):
    train, test = splits([batch(slice(0, 2)), batch(slice(2, 3)), batch(slice(3, 5))])
    np.testing.assert_array_equal(train.images, IMAGES[:3].transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(train.labels, LABELS[:3])
    np.testing.assert_array_equal(train.index, [0, 1, 2])
    np.testing.assert_array_equal(test.images, IMAGES[3:].transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(test.labels, LABELS[3:])


def test_pickles_of_this_numpy():
    batch = {b"data": IMAGES.reshape(-1, 3072), b"labels": LABELS.tolist()}
    train, _ = cifar.pickled_splits([pickle.dumps(batch, protocol=3)] * 2)
    np.testing.assert_array_equal(train.images, IMAGES.transpose(0, 2, 3, 1))


def test_broken_records():
    with pytest.raises(ValueError, match="6145 bytes are no whole number of records of 3073"):
        cifar.binary_splits([records(slice(0, 2))[:-1], records(slice(2, 3))])


class Bomb:
    """Makes the folder it is told when it is unpickled."""

    def __init__(self, folder: str):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_a_pickle_that_would_run_code_does_not(tmp_path):
    bomb = pickle.dumps({b"data": Bomb(str(tmp_path / "ran")), b"labels": []})
    pickle.loads(bomb)
    assert (tmp_path / "ran").is_dir(), "the bomb works"
    (tmp_path / "ran").rmdir()
    with pytest.raises(pickle.UnpicklingError, match=f"refused {os.mkdir.__module__}.mkdir in a pickle"):
        cifar.pickled_splits([bomb, bomb])
    assert not (tmp_path / "ran").exists()


def test_the_checksum_stops_it_before_it_is_unpickled(tmp_path, monkeypatch):
    good, bomb = pickled(slice(0, 2)), pickle.dumps(Bomb(str(tmp_path / "ran")))
    layout = FileLayout(
        ("",), (File("batch", sha256(good), len(good)), File("test", sha256(good), len(good))), cifar.pickled_splits
    )
    (tmp_path / "batch").write_bytes(bomb)
    (tmp_path / "test").write_bytes(good)
    monkeypatch.setattr(cifar, "_ArraysOnly", lambda *_, **__: pytest.fail("unpickled what was not checked"))
    with pytest.raises(DataError, match="batch is damaged or not the original"):
        layout.read(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x03}r\xff\xff\xff\x7f.",
        b"\x80\x04\x96" + b"\xff" * 7 + b"\x00.",
        b"\x80\x02]" + b"(" * 200 + b"t" * 200 + b".",
        b"\x80\x02}(" + b"\x8c\x01a" * 2 + b"I1\nu.",
        b"\x80\x02P1\n.",
        b"\x80\x02" + b"cnumpy\ndtype\n(T\x02\x00\x00\x00O8J\x00\x00\x00\x00J\x01\x00\x00\x00tR.",
    ],
    ids=[
        "memo of 2 GB",
        "array of 2^55 bytes",
        "tuples in tuples",
        "an old integer",
        "something of the host",
        "objects",
    ],
)
def test_a_pickle_that_wants_memory_or_more_than_arrays_is_refused(program: bytes):
    with pytest.raises((pickle.UnpicklingError, ValueError)):
        cifar.pickled_splits([program] * 2)


@pytest.mark.parametrize("images", [np.zeros((2, 3071), np.uint8), np.zeros((3, 3072), np.uint8), np.zeros((2, 3072))])
def test_wrong_arrays(images):
    batch = pickle.dumps({b"data": images, b"labels": [0, 1]}, protocol=3)
    with pytest.raises(ValueError, match="images are "):
        cifar.pickled_splits([batch] * 2)
