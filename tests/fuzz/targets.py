"""Every reader of what strangers send, as a function of bytes, and the contract that all of them keep.

A target returns whether the input was good. What is wrong with it is a NtkbenchError, and nothing else is ever raised:
not by the reader, and not by what a good input is asked for afterwards (it reads back as it was written, its run ids
are its own, it can be planned). Limits of time and memory are the driver's, see `run.py`.
"""

import hashlib
import json
import tempfile
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType, NoneType

import numpy as np

from ntkbench import documents
from ntkbench.boards import entry
from ntkbench.boards.checks import EntryCheck
from ntkbench.boards.recompute import recompute
from ntkbench.boards.tracks import track
from ntkbench.data import bundled, cifar, idx, keras, load, npz
from ntkbench.data.dataset import Split
from ntkbench.data.files import File
from ntkbench.data.layouts import FileLayout
from ntkbench.data.user import arrays, examples, folders, images, tables, weights
from ntkbench.errors import NtkbenchError
from ntkbench.plan.check import check
from ntkbench.plan.read import read
from ntkbench.results.diff import diff
from ntkbench.spec.cell import Cell
from ntkbench.spec.document import plain, text
from ntkbench.spec.identity import resolved, run_ids
from ntkbench.spec.reading import extends, matrix
from ntkbench.spec.reading.parse import parse_value
from ntkbench.spec.reading.scalars import scalar
from ntkbench.status.forecast import cost_forecast
from ntkbench.store import comparison, record
from ntkbench.store.store import Store, StoreWarning
from ntkbench.text import CONTROL, slug
from tests.boards.test_track import written

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
SPECS = ROOT / "tests" / "bad_specs"
SPLIT = b"\n--\n"
"""between the files of an input that is several"""
RUNS, VALUES = 40, 10_000
"""of a matrix: a spec of thousands of runs takes its time, in proportion to these, and is not what is looked for"""


@dataclass(frozen=True)
class Target:
    """`seeds`: folders of inputs to start from, beside its own; `form`: of text that is mutated as a tree."""

    check: Callable[[bytes, Path], bool]
    longest: int
    seeds: tuple[Path, ...] = ()
    form: str = ""


def scalars(data: bytes, _: Path) -> bool:
    try:
        value = scalar(_decoded(data))
    except ValueError:
        return False
    if not isinstance(value, (str, bool, NoneType)) and value == value:
        assert scalar(str(value)) == value
    return True


def yamls(data: bytes, _: Path) -> bool:
    """Without a fence of nodes: what YAML is, and where its mistakes are."""
    node = parse_value(_decoded(data), "spec.yaml")
    assert not CONTROL.search(text(node))
    assert repr(plain(parse_value(_decoded(data), "spec.yaml"))) == repr(plain(node))
    return True


def overrides(data: bytes, _: Path) -> bool:
    return bool(extends.overrides(_decoded(data).split("\n")[:5]))


def specs(data: bytes, folder: Path) -> bool:
    """With the files that the seeds extend beside it."""
    if not (folder / "parts").exists():
        (folder / "parts").symlink_to(SPECS / "parts")
    (folder / "spec.yaml").write_bytes(data)
    most, matrix.MAX_RUNS, matrix.MAX_VALUES = (matrix.MAX_RUNS, matrix.MAX_VALUES), RUNS, VALUES
    try:
        planned = read(folder / "spec.yaml")
    finally:
        matrix.MAX_RUNS, matrix.MAX_VALUES = most
    assert cost_forecast(planned, Store(folder / "store"))
    for run in planned.runs[:: max(1, len(planned.runs) // 2)]:
        again = Cell.model_validate(json.loads(json.dumps(resolved(run.cell), allow_nan=False)))
        assert run_ids(again, [run.seed]) == (run.id,)
        check(again, run.id)
        asked = {"name": run.name, "cell": dict(run.coordinates), "seed": run.seed, "resolved": resolved(run.cell)}
        documents.accept(record.Request, asked, run.id)
    return True


def tracks(data: bytes, folder: Path) -> bool:
    (folder / "fuzz@1").mkdir(exist_ok=True)
    (folder / "fuzz@1" / track.FILE).write_bytes(data)
    rules = track.read(folder / "fuzz@1")
    for label, cell in rules.cells.items():
        assert rules.differences(label, cell) == rules.violations(cell) == []
        rules.small(cell)
    return True


def records(data: bytes, _: Path) -> bool:
    found = _document(record.Record, data)
    comparison.asked(found)
    assert diff(found, found)
    return True


def entries(data: bytes, folder: Path) -> bool:
    found = _document(entry.Entry, data)
    assert slug(found.name) == Path(slug(found.name)).name
    recompute(found, _track(), "entry")
    return True


def checks(data: bytes, _: Path) -> bool:
    return bool(_document(EntryCheck, data))


def objects(data: bytes, folder: Path) -> bool:
    """A manifest and its arrays, as somebody else's store has them; the checksum is made right."""
    manifest, _, arrays = data.partition(SPLIT)
    place = folder / "objects" / "kernel" / "k"
    place.mkdir(parents=True, exist_ok=True)
    (place / "arrays.npz").write_bytes(arrays)
    digest = hashlib.sha256(arrays)
    digest.update(json.dumps({"stage": "kernel", "key": "k", "facts": {}}, sort_keys=True).encode())
    (place / "manifest.json").write_bytes(manifest.replace(b"SHA256", digest.hexdigest().encode()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StoreWarning)
        return Store(folder).load("kernel", "k") is not None


def npzs(data: bytes, _: Path) -> bool:
    try:
        found = npz.read(data, 10**6)
    except npz.Damaged:
        return False
    assert sum(array.nbytes for array in found.values()) <= 10**6
    assert all(array.dtype.kind in "biufcSU" for array in found.values())
    return True


def gzips(data: bytes, folder: Path) -> bool:
    (folder / "set.gz").write_bytes(data)
    return bool(File("set", f"sha256:{hashlib.sha256(b'set').hexdigest()}", 1000).read(folder / "set.gz"))


def _layout(parse, files: int) -> Callable[[bytes, Path], bool]:
    """The reader of a data set behind its checksums: what it makes of files that nobody has checked."""
    layout = FileLayout(("",), (), parse)

    def check(data: bytes, _: Path) -> bool:
        contents = (data.split(SPLIT) * files)[:files]
        train, test = layout.parsed(contents, "set")
        return len(train.labels) == len(train.images) and len(test.labels) == len(test.images)

    return check


def user_arrays(data: bytes, folder: Path) -> bool:
    (folder / "lab.npz").write_bytes(data)
    return _loads_as_described(arrays.Arrays(folder / "lab.npz", 10**6))


def user_tables(data: bytes, folder: Path) -> bool:
    train, _, test = data.partition(SPLIT)
    (folder / "train.csv").write_bytes(train)
    (folder / "test.csv").write_bytes(test)
    return _loads_as_described(tables.Tables(folder / "train.csv", folder / "test.csv", "y", 0.0, 1.0))


def user_folders(data: bytes, folder: Path) -> bool:
    """One image, which is in both splits and both classes."""
    for name in ("train/a", "train/b", "test/a", "test/b"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "0.png").write_bytes(data)
    return _loads_as_described(folders.Folder(folder, (2, 3, 3)))


def _loads_as_described(source: examples.Source) -> bool:
    known, found = source.describe(), source.load()
    load.verified(found, known, "set")
    assert not any(CONTROL.search(name) for name in known.classes)
    for split in (found.train, found.test):
        pixels = split.unit()
        assert ((pixels >= 0) & (pixels <= 1)).all()
    return True


def user_images(data: bytes, folder: Path) -> bool:
    (folder / "adv.npz").write_bytes(data)
    source = images.AdversarialImages(folder / "adv.npz", 10**6)
    source.check()
    test = Split(np.array([[[[9], [99]]]], np.uint8), np.zeros(1, np.int64), np.zeros(1, np.int64))
    found = source.load(test, 0.1, "linf")
    assert np.abs(found - test.unit()).max() < 0.11
    return True


def user_weights(data: bytes, folder: Path) -> bool:
    (folder / "net.safetensors").write_bytes(data)
    file = weights.WeightsFile(folder / "net.safetensors", 10**6)
    found = file.load()
    assert file.shapes() == {name: array.shape for name, array in found.items()}
    assert all(np.isfinite(array).all() for array in found.values())
    assert not CONTROL.search(file.misfit({"a": (1,)}) or "")
    return True


TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "scalars": Target(scalars, 400),
        "yamls": Target(yamls, 4096, (SPECS,), "yaml"),
        "overrides": Target(overrides, 400),
        "specs": Target(specs, 8192, (SPECS, SPECS / "parts"), "yaml"),
        "tracks": Target(tracks, 8192, (), "yaml"),
        "records": Target(records, 16384, (), "json"),
        "entries": Target(entries, 16384, (), "json"),
        "checks": Target(checks, 4096, (), "json"),
        "objects": Target(objects, 4096),
        "npzs": Target(npzs, 4096, (), "npz"),
        "gzips": Target(gzips, 4096),
        "idx": Target(_layout(idx.splits, 4), 400),
        "cifar_binary": Target(_layout(cifar.binary_splits, 2), 7000),
        "cifar_pickles": Target(_layout(cifar.pickled_splits, 2), 7000),
        "keras": Target(_layout(keras.splits, 1), 4096, (), "npz"),
        "bundled": Target(_layout(bundled.splits, 1), 4096, (), "npz"),
        "user_arrays": Target(user_arrays, 4096, (), "npz"),
        "user_tables": Target(user_tables, 4096),
        "user_folders": Target(user_folders, 4096),
        "user_images": Target(user_images, 4096, (), "npz"),
        "user_weights": Target(user_weights, 4096),
    }
)


def kept(target: Target, data: bytes, folder: Path | None = None) -> bool:
    """Whether the input is good; whatever else happens breaks the contract."""
    with nullcontext(folder) if folder else tempfile.TemporaryDirectory() as place:
        try:
            return target.check(data, Path(place))
        except NtkbenchError as error:
            told = str(error)
    assert not CONTROL.search(told), "an error that moves the cursor"
    assert 0 < len(told) < 300_000, "an error without an end, or without a word"
    return False


def seeds(name: str) -> list[Path]:
    """All inputs to start from."""
    folders = (CORPUS / name, *TARGETS[name].seeds)
    return sorted(path for folder in folders for path in folder.glob("*") if path.is_file())


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _document(model: type[documents.D], data: bytes) -> documents.D:
    found = documents.parse(model, data, "file.json")
    content = documents.dump(found)
    again = documents.parse(model, content, "file.json")
    assert documents.dump(again) == content
    return again


@cache
def _track() -> track.Track:
    with tempfile.TemporaryDirectory() as folder:
        return track.read(written(Path(folder)))
