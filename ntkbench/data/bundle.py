"""Make the bundled subset of Fashion-MNIST: `python -m ntkbench.data.bundle FOLDER_WITH_FashionMNIST`."""

import hashlib
import io
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ntkbench.data.dataset import Dataset, Split
from ntkbench.data.load import load
from ntkbench.data.places import BUNDLED
from ntkbench.errors import NtkbenchError

SEED = 20170825
"""seed of the draw: the day on which Fashion-MNIST was published"""
TRAIN, TEST = 500, 100
"""images of each class in the training and in the test split"""


def arrays(full: Dataset) -> dict[str, np.ndarray]:
    """Return the arrays of the subset by their names in the file, drawn from the full data set with a fixed seed."""
    rng = np.random.default_rng(SEED)
    return {**_drawn(full.train, "train", TRAIN, rng), **_drawn(full.test, "test", TEST, rng)}


def _drawn(split: Split, name: str, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return `n` images of each class, in the order of the full set, with labels and positions in it (`index`)."""
    members = (np.flatnonzero(split.labels == k) for k in range(10))
    chosen = np.sort(np.concatenate([rng.choice(own, n, replace=False) for own in members]))
    return {
        f"{name}_images": split.images[chosen],
        f"{name}_labels": split.labels[chosen].astype(np.uint8),
        f"{name}_index": split.index[chosen].astype(np.int32),
    }


def write(contents: Mapping[str, np.ndarray], file: Path) -> None:
    """Write an npz file whose bytes depend on the arrays alone; `np.savez` would add the time of day."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in contents.items():
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=False)
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system = 3  # Unix, wherever it is written
            member.external_attr = 0o644 << 16
            archive.writestr(member, buffer.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)


def main(folder: str) -> None:
    """Write the subset beside this module, drawn from the Fashion-MNIST in `folder`, and print its checksum."""
    chosen = arrays(load("fashion_mnist", [Path(folder).absolute()]))
    write(chosen, BUNDLED)
    content = BUNDLED.read_bytes()
    print(f"{BUNDLED}: {len(content)} bytes, sha256:{hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(sys.argv[1])
    except NtkbenchError as error:
        sys.exit(str(error))
