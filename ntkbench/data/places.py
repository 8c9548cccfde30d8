"""Name the folders in which data sets are searched on this machine, and the files by which a data set is known.

    roots = search_roots(None)
    is_there("cifar10", roots)

Commands that only plan ask it, so that it imports no NumPy. `layouts` adds the functions that read the files.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TypeVar

import platformdirs

from ntkbench.data.catalog import CATALOG, entry
from ntkbench.data.files import File

BUNDLED = Path(__file__).with_name("fashion_mnist_mini.npz")
"""file with the data set that comes with the package"""


@dataclass(frozen=True)
class FileSet:
    """The files of a data set, in one of the ways in which it lies on disk."""

    folders: tuple[str, ...]
    """folders of the files, relative to a root; the first is where they are put when fetched"""
    files: tuple[File, ...]
    """files in the order in which they are parsed"""

    def places(self, root: Path) -> tuple[Path, ...]:
        """Return the folders under a root in which the files may be.

        For `MNIST/raw` these are `root/MNIST/raw` and, where the root itself ends in `MNIST` or `MNIST/raw`, the rest
        of the way from there.
        """
        found = []
        for parts in (PurePosixPath(folder).parts for folder in self.folders):
            inside = (k for k in range(len(parts) + 1) if root.parts[len(root.parts) - k :] == parts[:k])
            found += [root.joinpath(*parts[k:]) for k in inside]
        return tuple(found)

    def lies_in(self, folder: Path) -> bool:
        """Return whether a folder of any name holds the files.

        Data sets share names of files, so that the checksum of the smallest file decides.
        """
        return not self.missing(folder) and min(self.files, key=lambda file: file.limit).is_right(folder)

    def missing(self, folder: Path) -> tuple[str, ...]:
        """Return the names of the files that are not in a folder."""
        return tuple(file.name for file in self.files if file.locate(folder) is None)


F = TypeVar("F", bound=FileSet)


def _idx(folders: tuple[str, ...], checksums: Sequence[str]) -> FileSet:
    """Return the four idx files of MNIST, whose names and sizes other data sets share."""
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    sizes = (16 + 60_000 * 784, 8 + 60_000, 16 + 10_000 * 784, 8 + 10_000)
    files = tuple(File(name, f"sha256:{sha}", size) for name, sha, size in zip(names, checksums, sizes, strict=True))
    return FileSet(folders, files)


_MNIST = _idx(
    ("MNIST/raw",),
    (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)
_FASHION_MNIST = _idx(
    ("FashionMNIST/raw", "fashion-mnist"),  # the folders of torchvision and of Keras
    (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)
_MNIST_NPZ = FileSet(
    ("",),
    (File("mnist.npz", "sha256:731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1", 2**24),),
)
_CIFAR10 = FileSet(
    ("cifar-10-batches-bin", "cifar-10-batches-bin/cifar-10-batches-bin", "cifar-10-binary/cifar-10-batches-bin"),
    tuple(
        File(f"{name}.bin", f"sha256:{sha}", 10_000 * 3073)
        for name, sha in (
            ("data_batch_1", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
            ("data_batch_2", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
            ("data_batch_3", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
            ("data_batch_4", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
            ("data_batch_5", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
            ("test_batch", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
        )
    ),
)
_CIFAR10_PICKLES = FileSet(
    (
        "cifar-10-batches-py",
        "cifar-10-batches-py-target/cifar-10-batches-py",  # the folder of recent versions of Keras
        "cifar-10-batches-py/cifar-10-batches-py",
        "cifar-10-python/cifar-10-batches-py",
    ),
    tuple(
        File(name, f"md5:{md5}", 2**25)
        for name, md5 in (
            ("data_batch_1", "c99cafc152244af753f735de768cd75f"),
            ("data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"),
            ("data_batch_3", "54ebc095f3ab1f0389bbae665268c751"),
            ("data_batch_4", "634d18415352ddfa80567beed471001a"),
            ("data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"),
            ("test_batch", "40351d587109b95175f43aff81a1287e"),
        )
    ),
)
_MINI = FileSet(
    ("",),
    (File(BUNDLED.name, "sha256:ae70ca8627c0811e868c98270930f49be24bec1c9c5104a5268645068b17a518", 2**22),),
)
FILES: Mapping[str, tuple[FileSet, ...]] = MappingProxyType(
    {
        "fashion_mnist_mini": (_MINI,),
        "mnist": (_MNIST, _MNIST_NPZ),
        "fashion_mnist": (_FASHION_MNIST,),
        "cifar10": (_CIFAR10, _CIFAR10_PICKLES),
    }
)
"""ways in which each data set may lie on disk, by its name; the first is that which `fetch` makes"""
ARCHIVES = ("cifar-10-binary.tar.gz", "cifar-10-python.tar.gz", "cifar-10-binary.tar", "cifar-10-python.tar")
"""names of archives in which CIFAR-10 is handed out; they are not read before they are unpacked"""


def caches() -> tuple[Path, ...]:
    """Return the folders in which fetched data sets may be; the last is where they are put by default.

    This is the user's cache, or the temporary folder where the user has no home that can be written.
    """
    own = _user_cache()
    if own is not None and _is_writable(own):
        return (own / "data",)
    temporary = Path(tempfile.gettempdir()) / f"ntkbench-{os.getuid()}" / "data"
    return (temporary,) if own is None else (own / "data", temporary)


def _user_cache() -> Path | None:
    """Return the user's cache of ntkbench; None if the system knows no home, in whichever way platformdirs says so."""
    try:
        own = platformdirs.user_cache_path("ntkbench")
    except RuntimeError:
        return None
    return own if own.is_absolute() else None


def cache() -> Path:
    """Return the folder in which fetched data sets are put by default."""
    return caches()[-1]


def _is_writable(place: Path) -> bool:
    """Return whether a folder, or the nearest existing one above it, can be written."""
    there = next(folder for folder in (place, *place.parents) if os.path.isdir(folder))
    return os.access(there, os.W_OK | os.X_OK)


def _keras() -> tuple[Path, ...]:
    """Return the folder in which Keras keeps data sets, if the home that it would be in is known."""
    home = os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")
    return (Path(home).absolute() / "datasets",) if not home.startswith("~") else ()


def search_roots(data_dir: Path | None) -> tuple[Path, ...]:
    """Return the folders to search, in order: `data_dir`, the caches of fetched data sets, the cache of Keras."""
    own = () if data_dir is None else (Path(os.path.expanduser(data_dir)).absolute(),)
    return (*own, *caches(), *_keras())


def is_there(name: str, roots: Sequence[Path]) -> bool:
    """Return whether a data set would be found.

    In folders of its name the names of the files decide, in other folders also the checksum of the smallest file.
    """
    return entry(name).bundled or locate(FILES[name], roots) is not None


def absent(names: Iterable[str], data_dir: Path | None) -> list[str]:
    """Return a line for each of the named data sets that is not on this machine, with what to do.

    `data_dir` is searched before the usual folders; data sets that come with the package are never absent.
    """
    if not (wanted := [name for name in dict.fromkeys(names) if not CATALOG[name].bundled]):
        return []
    roots = search_roots(data_dir)
    return [
        f"the data set {name} is not on this machine; `ntkbench data fetch {name}` brings it, --data-dir or "
        "NTKBENCH_DATA names the folder that has it"
        for name in wanted
        if not is_there(name, roots)
    ]


def locate(layouts: Sequence[F], roots: Sequence[Path]) -> tuple[F, Path] | None:
    """Return one of the layouts and the folder that has all its files; None if there is none.

    Folders of the right name come first, then folders of any name that hold the files, those nearest to a root first.
    """
    places = [(layout, place) for root in roots for layout in layouts for place in layout.places(root)]
    named = (found for found in places if not found[0].missing(found[1]))
    others = ((layout, folder) for root in roots for folder in folders(root) for layout in layouts)
    return next(named, None) or next((found for found in others if found[0].lies_in(found[1])), None)


_DEPTH = 3
"""how many folders below a root are looked into: `data/vision/MNIST/raw` is found in `data`"""
_MOST = 10_000
"""most files and folders that are looked at below a root: it may hold other data sets of many files"""


def folders(root: Path) -> Iterator[Path]:
    """Yield a root and the folders below it, level by level; hidden ones, and what cannot be read, are left out."""
    level, left = [root], _MOST
    for _ in range(_DEPTH + 1):
        yield from level
        below = list[Path]()
        for folder in level:
            inside = list(islice(_entries(folder), left))
            left -= len(inside)
            below += sorted(Path(each.path) for each in inside if not each.name.startswith(".") and each.is_dir())
        level = below


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield what is in a folder; nothing if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError:
        return
