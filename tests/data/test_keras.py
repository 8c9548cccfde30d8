import io

import numpy as np
import pytest

from ntkbench.data import keras


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_splits(tiny):
    images, labels = tiny.images, tiny.labels
    train, test = keras.splits([npz(x_train=images[:6], y_train=labels[:6], x_test=images[6:], y_test=labels[6:])])
    np.testing.assert_array_equal(train.images, images[:6, :, :, None])
    np.testing.assert_array_equal(test.labels, labels[6:])
    assert test.labels.dtype == np.int64


def test_no_pickles(tiny):
    objects = np.array([{}], dtype=object)
    with pytest.raises(ValueError, match=r"x_train\.npy is no array of numbers or texts"):
        keras.splits([npz(x_train=objects, y_train=objects, x_test=objects, y_test=objects)])


def test_wrong_shapes(tiny):
    with pytest.raises(ValueError, match=r"images are uint8 \(9, 2, 3\) and labels \(6,\)"):
        keras.splits([npz(x_train=tiny.images, y_train=tiny.labels[:6], x_test=tiny.images, y_test=tiny.labels)])
