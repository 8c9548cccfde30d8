"""Read `mnist.npz`, the file in which Keras keeps MNIST."""

from collections.abc import Sequence

import numpy as np

from ntkbench.data import npz
from ntkbench.data.dataset import Split

LIMIT = 2**26
"""most bytes that its arrays may take; they take 55 MB"""


def splits(contents: Sequence[bytes]) -> tuple[Split, Split]:
    """Return training and test split from the content of the one file."""
    arrays = npz.read(contents[0], LIMIT, ("x_train", "y_train", "x_test", "y_test"))
    return _split(arrays["x_train"], arrays["y_train"]), _split(arrays["x_test"], arrays["y_test"])


def _split(images: np.ndarray, labels: np.ndarray) -> Split:
    if images.dtype != np.uint8 or images.ndim != 3 or labels.shape != images.shape[:1]:
        raise ValueError(f"images are {images.dtype} {images.shape} and labels {labels.shape}, not (n, h, w) and (n,)")
    return Split(images[..., None], labels.astype(np.int64), np.arange(len(labels)))
