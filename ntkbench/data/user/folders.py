"""Data sets in folders of images: train/CLASS/*.png and test/CLASS/*.png, or .jpg. Pillow decodes them."""

import os
import struct
import warnings
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path, PurePath

import numpy as np
from PIL import Image

from ntkbench.data.catalog import DatasetInfo
from ntkbench.data.dataset import Dataset, Split
from ntkbench.data.user.examples import UserFileError, described, named_classes, not_there, split
from ntkbench.files import LIMIT, open_regular

_SPLITS = ("train", "test")
_SUFFIXES = (".png", ".jpg", ".jpeg")
_MODES = {1: "L", 3: "RGB"}
"""Pillow's names of gray and colored images of 8 bits, by their channels"""
_COARSE = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""Pillow's names of images with at most 8 bits a channel, which lose nothing as bytes"""
_BROKEN = (EOFError, OSError, SyntaxError, ValueError, struct.error, zlib.error)
_FAULTS = (*_BROKEN, ArithmeticError, LookupError, TypeError, Warning)
"""errors that Pillow raises for damaged images"""
_MOST_PIXELS = 2**26
"""most pixels of an image file; larger ones are not decoded"""


@dataclass(frozen=True)
class Folder:
    """A folder with the folders `train` and `test`, and in both a folder of images for each class.

    Images are made gray or colored and resized (bilinear) to `shape`: rows, columns, and 1 or 3 channels.
    """

    path: Path
    shape: tuple[int, int, int]

    @property
    def files(self) -> Sequence[tuple[Path, PurePath]]:
        """All images, each with its way from the folder, which has its class."""
        every = [path for split in self._images.values() for images in split.values() for path in images]
        return [(path, path.relative_to(self.path)) for path in every]

    def describe(self) -> DatasetInfo:
        """Return classes and counts, by the names of folders and files; no image is opened."""
        classes, labels = self._labels()
        needed = prod(self.shape) * sum(map(len, labels))
        if needed > LIMIT:
            raise UserFileError(f"images of this shape take {needed} bytes together, more than {LIMIT}", "shape")
        return described(self.path, classes, self.shape, *labels)

    def load(self) -> Dataset:
        """Return all examples, decoded and resized."""
        classes, labels = self._labels()
        train, test = (self._split(name, each) for name, each in zip(_SPLITS, labels, strict=True))
        return Dataset(train, test, classes)

    def _labels(self) -> tuple[tuple[str, ...], list[np.ndarray]]:
        """Return the classes, sorted by name, and the labels of the images of both splits in their order."""
        names = sorted({name for split in self._images.values() for name in split})
        labels = [
            np.array([number for number, name in enumerate(names) for _ in split.get(name, ())], np.int64)
            for split in self._images.values()
        ]
        return named_classes(names, *labels), labels

    @cached_property
    def _images(self) -> Mapping[str, Mapping[str, Sequence[Path]]]:
        """The image files of each class in each split; UserFileError for folders and files that are none of these."""
        if absent := [name for name in _SPLITS if name not in [each.name for each in _listed(self.path)]]:
            layout = "a folder of images has train/CLASS/*.png and test/CLASS/*.png"
            raise UserFileError(f"{self.path} has no folder {' and no '.join(absent)}; {layout}")
        return {name: {each.name: _images(each) for each in _folders(self.path / name)} for name in _SPLITS}

    def _split(self, name: str, labels: np.ndarray) -> Split:
        paths = [path for images in self._images[name].values() for path in images]
        return split(np.stack([_decoded(path, self.shape) for path in paths]), labels)


def _folders(path: Path) -> list[Path]:
    """Return the folders inside a folder, sorted; hidden ones are left out. UserFileError if it cannot be read."""
    found = _listed(path)
    if stray := next((each for each in found if not each.is_dir()), None):
        raise UserFileError(f"{stray} is no folder of a class")
    return found


def _images(path: Path) -> list[Path]:
    """Return the images in a folder, sorted; hidden files are left out. UserFileError for a file that is no image."""
    found = _listed(path)
    if stray := next((each for each in found if each.suffix.lower() not in _SUFFIXES or not each.is_file()), None):
        raise UserFileError(f"{stray} is no image by its name, which ends in {', '.join(_SUFFIXES)}")
    return found


def _listed(path: Path) -> list[Path]:
    try:
        return sorted(path / name for name in os.listdir(path) if not name.startswith("."))
    except FileNotFoundError:
        raise UserFileError(not_there(path)) from None
    except OSError as error:
        raise UserFileError(f"{path} cannot be read: {error.strerror}") from None


def _decoded(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Return an image file as bytes of this shape; UserFileError if it is damaged, too large, or has more than 8 bits a
    channel.
    """
    rows, columns, channels = shape
    try:
        with open_regular(path) as file, warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(file, formats=("PNG", "JPEG")) as image:
                if prod(image.size) > _MOST_PIXELS or image.mode not in _COARSE:
                    raise UserFileError(f"{path}: {image.size} pixels of mode {image.mode}; 8 bits a channel are read")
                resized = image.convert(_MODES[channels]).resize((columns, rows), Image.Resampling.BILINEAR)
    except (*_FAULTS, Image.DecompressionBombError) as error:
        raise UserFileError(f"{path} is damaged, or no image: Pillow raises {type(error).__name__}") from None
    return np.asarray(resized, np.uint8).reshape(shape)
