import numpy as np
import pytest

from ntkbench.data import idx
from tests.data.conftest import idx_bytes

ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def test_array():
    np.testing.assert_array_equal(idx.array(idx_bytes(ARRAY), 3), ARRAY)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an idx file of bytes in 3 dimensions: it begins with 0x$"),
        (b"\x00\x00\x08", "it begins with 0x000008"),
        (b"\x00\x00\x08\x01" + bytes(40), "it begins with 0x00000801"),
        (b"\x00\x00\x0d\x03" + bytes(40), "it begins with 0x00000d03"),
        (idx_bytes(ARRAY)[:-1], r"idx header says \(2, 3, 4\), but 39 bytes are there"),
        (idx_bytes(ARRAY)[:9], "idx header says"),
        (idx_bytes(ARRAY) + b"x", r"idx header says \(2, 3, 4\), but 41 bytes are there"),
        (b"\x00\x00\x08\x03" + b"\xff" * 12, r"idx header says \(4294967295, 4294967295, 4294967295\)"),
    ],
)
def test_not_such_an_array(content, message):
    with pytest.raises(ValueError, match=message):
        idx.array(content, 3)


def test_splits(tiny):
    train, test = idx.splits(list(tiny.contents.values()))
    np.testing.assert_array_equal(train.images, tiny.images[:6, :, :, None])
    np.testing.assert_array_equal(test.labels, tiny.labels[6:])
    np.testing.assert_array_equal(train.index, np.arange(6))


def test_labels_that_do_not_match(tiny):
    images, labels, test_images, _ = tiny.contents.values()
    with pytest.raises(ValueError, match="3 images, but 6 labels"):
        idx.splits([images, labels, test_images, labels])
