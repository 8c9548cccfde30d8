"""The layouts in which data sets lie on disk: their files, and the function that reads them.

`load` searches folders for any layout of a data set; `fetch` makes the first one.
"""

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ntkbench.data import bundled, cifar, idx, keras
from ntkbench.data.dataset import Split
from ntkbench.data.places import FILES, FileSet
from ntkbench.errors import DataError
from ntkbench.text import one_line

Parse = Callable[[Sequence[bytes]], tuple[Split, Split]]


@dataclass(frozen=True)
class FileLayout(FileSet):
    """One way in which a data set lies on disk."""

    parse: Parse
    """makes training and test split of the contents of the files; ValueError if they make no sense"""

    def read(self, folder: Path) -> tuple[Split, Split]:
        """Return training and test split from a folder that has all files; each is checked before it is interpreted.

        DataError if a file cannot be read, is not the original, or makes no sense.
        """
        paths = [file.locate(folder) or folder / file.name for file in self.files]
        return self.parsed([file.read(path) for file, path in zip(self.files, paths, strict=True)], folder)

    def parsed(self, contents: Sequence[bytes], where: object) -> tuple[Split, Split]:
        """Return training and test split from the contents of the files; DataError at `where` if they make no sense."""
        try:
            return self.parse(contents)
        except (ValueError, LookupError, TypeError, EOFError, pickle.UnpicklingError) as error:
            raise DataError(f"{where} does not hold the data set its name says: {one_line(error, 200)}") from error


_PARSERS: Mapping[str, tuple[Parse, ...]] = MappingProxyType(
    {
        "fashion_mnist_mini": (bundled.splits,),
        "mnist": (idx.splits, keras.splits),
        "fashion_mnist": (idx.splits,),
        "cifar10": (cifar.binary_splits, cifar.pickled_splits),
    }
)
"""functions that read the files of each data set, in the order of `FILES`"""
LAYOUTS: Mapping[str, tuple[FileLayout, ...]] = MappingProxyType(
    {
        name: tuple(
            FileLayout(each.folders, each.files, parse) for each, parse in zip(FILES[name], parsers, strict=True)
        )
        for name, parsers in _PARSERS.items()
    }
)
"""layouts of each data set, by its name; the first is that which `fetch` makes"""
