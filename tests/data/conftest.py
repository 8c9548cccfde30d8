"""A data set small enough to be written by a test, in MNIST's layout."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pytest

from ntkbench.data import idx
from ntkbench.data.catalog import DatasetInfo
from ntkbench.data.files import File
from ntkbench.data.layouts import FileLayout


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def idx_bytes(array: np.ndarray) -> bytes:
    """The idx file of an array of bytes."""
    header = bytes((0, 0, 8, array.ndim)) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.tobytes()


@dataclass(frozen=True)
class Tiny:
    """Six training and three test images of 2 x 3 pixels in three classes."""

    images: np.ndarray
    labels: np.ndarray
    contents: dict[str, bytes]
    entry: DatasetInfo
    layout: FileLayout


@pytest.fixture
def tiny() -> Tiny:
    images = np.arange(9 * 6, dtype=np.uint8).reshape(9, 2, 3)
    labels = np.array([0, 1, 2, 2, 1, 0, 2, 0, 1], np.uint8)
    contents = {
        "train-images": idx_bytes(images[:6]),
        "train-labels": idx_bytes(labels[:6]),
        "test-images": idx_bytes(images[6:]),
        "test-labels": idx_bytes(labels[6:]),
    }
    files = tuple(File(name, sha256(content), len(content)) for name, content in contents.items())
    entry = DatasetInfo("tiny", "Tiny", ("a", "b", "c"), (2, 3, 1), (2, 2, 2), (1, 1, 1), "none")
    return Tiny(images, labels, contents, entry, FileLayout(("Tiny/raw",), files, idx.splits))
