"""A file whose content is known by its checksum."""

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from ntkbench.errors import DataError
from ntkbench.reading import regular


@dataclass(frozen=True)
class File:
    """A file of a data set; it may also lie there gzipped, with `.gz` added to its name."""

    name: str
    checksum: str
    """`algorithm:hexadecimal digest` of the uncompressed bytes"""
    limit: int
    """the most bytes it may hold: nothing longer is ever read into memory"""

    def locate(self, folder: Path) -> Path | None:
        """Where it is in the folder, plain or gzipped; None if it is not. `train-images.idx3-ubyte` is an idx file,
        too, as some programs unpack it."""
        names = dict.fromkeys((self.name, self.name.replace("-idx", ".idx")))
        paths = (folder / f"{name}{suffix}" for name in names for suffix in ("", ".gz"))
        return next((path for path in paths if os.path.isfile(path)), None)

    def is_right(self, folder: Path) -> bool:
        """Whether it is in the folder with the content that it should have."""
        path = self.locate(folder)
        try:
            return path is not None and bool(self.read(path))
        except DataError:
            return False

    def read(self, path: Path) -> bytes:
        """The uncompressed bytes, checked; DataError if they are not what they should be."""
        try:
            with regular(path) as file, gzip.open(file) if path.suffix == ".gz" else file as stream:
                content = stream.read(self.limit + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path} cannot be read: {error}; replace it with an intact copy") from error
        self.check(content, str(path))
        return content

    def check(self, content: bytes, where: str) -> None:
        """DataError if the checksum of the content is another."""
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
