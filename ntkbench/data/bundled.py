"""The subset of Fashion-MNIST that comes with the package (MIT, see LICENSE-fashion-mnist)."""

from collections.abc import Mapping, Sequence

import numpy as np

from ntkbench.data import npz
from ntkbench.data.dataset import Split

LIMIT = 2**24
"""most bytes that its arrays may take; they take 5 MB"""


def splits(contents: Sequence[bytes]) -> tuple[Split, Split]:
    """Return training and test split from the content of the one file; `index` refers to the full data set."""
    arrays = npz.read(contents[0], LIMIT)
    return _split(arrays, "train"), _split(arrays, "test")


def _split(arrays: Mapping[str, np.ndarray], name: str) -> Split:
    labels, index = arrays[f"{name}_labels"], arrays[f"{name}_index"]
    return Split(arrays[f"{name}_images"], labels.astype(np.int64), index.astype(np.int64))
