"""Read the idx format of MNIST: two zero bytes, a type, the number of dimensions, the dimensions, the numbers.

The dimensions are big-endian integers of four bytes.
"""

import math
from collections.abc import Sequence

import numpy as np

from ntkbench.data.dataset import Split

_UNSIGNED_BYTES = 8
"""code of the type"""


def array(content: bytes, ndim: int) -> np.ndarray:
    """Return the array of unsigned bytes in an idx file; ValueError if it is none of `ndim` dimensions."""
    if content[:4] != bytes((0, 0, _UNSIGNED_BYTES, ndim)):
        raise ValueError(f"not an idx file of bytes in {ndim} dimensions: it begins with 0x{content[:4].hex()}")
    start = 4 + 4 * ndim
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4))
    if start + math.prod(shape) != len(content):
        raise ValueError(f"idx header says {shape}, but {len(content)} bytes are there")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def splits(contents: Sequence[bytes]) -> tuple[Split, Split]:
    """Return training and test split from the contents of four files.

    They are the training images and labels, then the test images and labels.
    """
    images, labels, test_images, test_labels = contents
    return _split(images, labels), _split(test_images, test_labels)


def _split(images: bytes, labels: bytes) -> Split:
    pixels, numbers = array(images, 3)[..., None], array(labels, 1).astype(np.int64)
    if len(pixels) != len(numbers):
        raise ValueError(f"{len(pixels)} images, but {len(numbers)} labels")
    return Split(pixels, numbers, np.arange(len(numbers)))
