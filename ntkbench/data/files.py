"""Files of data sets, whose contents are known by their checksums."""

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from ntkbench.errors import DataError
from ntkbench.files import open_regular


@dataclass(frozen=True)
class File:
    """A file of a data set; it may also be there gzipped, with `.gz` added to its name."""

    name: str
    checksum: str
    """`algorithm:hexadecimal digest` of the uncompressed bytes"""
    limit: int
    """most bytes it may hold, uncompressed: nothing longer is read into memory"""

    def locate(self, folder: Path) -> Path | None:
        """Return the path of the file in a folder, plain or gzipped; None if it is not there.

        `train-images.idx3-ubyte` counts as `train-images-idx3-ubyte`, since some programs unpack it under that name,
        and others unpack each file into a folder of its name.
        """
        names = dict.fromkeys((self.name, self.name.replace("-idx", ".idx")))
        paths = (
            place / f"{name}{suffix}" for name in names for place in (folder, folder / name) for suffix in ("", ".gz")
        )
        return next((path for path in paths if os.path.isfile(path)), None)

    def is_right(self, folder: Path) -> bool:
        """Return whether the file is in the folder with the right content."""
        path = self.locate(folder)
        try:
            return path is not None and bool(self.read(path))
        except DataError:
            return False

    def read(self, path: Path) -> bytes:
        """Return the uncompressed bytes of a file; DataError if it cannot be read or has another checksum."""
        try:
            with open_regular(path) as file, gzip.open(file) if path.suffix == ".gz" else file as stream:
                content = stream.read(self.limit + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path} cannot be read: {error}; replace it with an intact copy") from error
        self.check(content, str(path))
        return content

    def check(self, content: bytes, where: str) -> None:
        """Raise a DataError if the content has another checksum or is too long; `where` names it in the message."""
        algorithm, expected = self.checksum.split(":")
        found = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
        if len(content) > self.limit:
            found = f"more than the {self.limit} bytes it should have"
        if found != expected:
            raise DataError(
                f"{where} is damaged or not the original: {algorithm} of its uncompressed bytes\n"
                f"  expected {expected}\n"
                f"  found    {found}\n"
                "Replace it with an intact copy: delete it, and fetch or install it again."
            )
