"""Download data sets from their official addresses; `ntkbench data fetch` calls `fetch`.

MNIST, for example, is put where `load` finds it by

    fetch("mnist", into=None, progress=False)
"""

import logging
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pooch
from rich.console import Console
from rich.progress import DownloadColumn, Progress

from ntkbench.data.catalog import entry
from ntkbench.data.files import File
from ntkbench.data.layouts import LAYOUTS, FileLayout
from ntkbench.data.places import BUNDLED, cache
from ntkbench.errors import DataError

_TAR = ".tar.gz"
"""end of the names of archives that hold all files of a layout"""


@dataclass(frozen=True)
class Download:
    """The source of a data set's first layout: `FILE.gz` for each of its files, or a `.tar.gz` of them all."""

    address: str
    """URL of the folder that the files below are in"""
    checksums: Mapping[str, str]
    """`algorithm:hexadecimal digest` of the bytes of each downloaded file, by its name"""


DOWNLOADS: Mapping[str, Download] = MappingProxyType(
    {
        "mnist": Download(
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            {
                "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
                "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
                "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
            },
        ),
        "fashion_mnist": Download(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
            {
                "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
                "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
                "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
            },
        ),
        "cifar10": Download(
            "https://www.cs.toronto.edu/~kriz",
            {"cifar-10-binary.tar.gz": "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"},
        ),
    }
)
"""sources of the data sets that can be downloaded, by name"""


def fetch(name: str, into: Path | None, progress: bool) -> Path:
    """Download a data set into a folder, and return the folder; a bundled one is there already.

    Files that are there and intact are kept, others are replaced.

    Args:
        name: the name in the catalog; UsageError for another.
        into: the folder; None for the cache that `load` searches anyway.
        progress: whether to show a progress bar on stderr.

    Raises:
        DataError: a file cannot be downloaded or written, or is not the official one.
    """
    if entry(name).bundled:
        return BUNDLED.parent
    root = cache() if into is None else Path(os.path.expanduser(into)).absolute()
    install(LAYOUTS[name][0], DOWNLOADS[name], root, progress)
    return root


def install(layout: FileLayout, download: Download, root: Path, progress: bool = False) -> None:
    """Put the files of a layout under `root`, each only after its checksum was found right."""
    folder = root / layout.folders[0]
    wanted = [file for file in layout.files if not file.is_right(folder)]
    if not wanted:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=root) as scratch, _shown(progress) as shown:
            for name, checksum in download.checksums.items():
                inside = [file for file in wanted if name.endswith(_TAR) or name == f"{file.name}.gz"]
                if inside:
                    archive = _download(f"{download.address}/{name}", checksum, Path(scratch) / name, folder, shown)
                    for file, content in _contents(archive, inside, layout.folders[0]):
                        _put(content, Path(scratch) / file.name, folder / file.name)
    except OSError as error:
        raise DataError(f"cannot write to {folder}: {error}; choose another folder with --data-dir") from error


def _download(url: str, checksum: str, to: Path, folder: Path, shown: Progress) -> Path:
    """Download a file to `to` and return that path; DataError if it cannot be had or has another checksum.

    `folder`: where its content belongs, for advice in the message.
    """
    pooch.get_logger().setLevel(logging.WARNING)  # it would write into the progress bar
    # pooch documents any object as a bar, and passes downloaders other arguments than its types say.
    downloader: Any = pooch.HTTPDownloader(_Bar(shown, to.name), 2**16, timeout=30)  # pyright: ignore
    try:
        pooch.retrieve(url, checksum, fname=to.name, path=to.parent, downloader=downloader)
    except ValueError as error:
        raise DataError(
            f"the download from {url} does not have the expected content and was deleted: {error}\n"
            "Try again; if that does not help, the file has changed there, or something on the way answers for it."
        ) from error
    except OSError as error:
        raise DataError(
            f"{url} cannot be fetched: {error}\n"
            f"Without a connection: get that file on another machine and put it, unpacked, into {folder}"
        ) from error
    return to


def _contents(archive: Path, files: Sequence[File], folder: str) -> Iterator[tuple[File, bytes]]:
    """Yield the wanted files in a downloaded archive with their checked contents.

    No path that the archive gives is used to unpack anything.
    """
    if not archive.name.endswith(_TAR):
        yield from ((file, file.read(archive)) for file in files)
        return
    with tarfile.open(archive) as tar:
        for file in files:
            try:
                member = tar.extractfile(f"{folder}/{file.name}")
            except KeyError:
                member = None
            if member is None:
                raise DataError(f"{archive.name} has no file {folder}/{file.name}; the archive there has changed")
            content = member.read(file.limit + 1)
            file.check(content, f"{file.name} in {archive.name}")
            yield file, content


def _put(content: bytes, scratch: Path, to: Path) -> None:
    """Write a file in two steps, so that an interruption leaves no part of one under its name."""
    scratch.write_bytes(content)
    os.replace(scratch, to)


class _Bar:
    """A progress bar of rich with the interface that pooch expects."""

    total = 0

    def __init__(self, shown: Progress, name: str):
        self._shown, self._task = shown, shown.add_task(name, total=None)

    def update(self, n: int) -> None:
        self._shown.update(self._task, total=self.total or None, advance=n)

    def reset(self) -> None:
        self._shown.reset(self._task)

    def close(self) -> None:
        self._shown.refresh()


def _shown(progress: bool) -> Progress:
    """Return the progress display, which shows nothing unless it is asked to."""
    columns = (*Progress.get_default_columns(), DownloadColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not progress)
