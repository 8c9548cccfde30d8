"""Look into the files of a user's own that a spec names, so that all else knows what they hold without opening them.

`plan.read` lets a `FilesOfSpec` fill in each cell's document: absolute paths, the digest of the content, and the
classes, shape and counts of a data set. Mistakes in the files are problems of the spec, at the field that names the
file. A run asks `find` for the files.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, overload

from pydantic import ValidationError

from ntkbench.errors import DataError, Problem
from ntkbench.plan.contents import named_digest
from ntkbench.spec.attacks import GivenImages
from ntkbench.spec.data import CsvDataset, FileDataset, FolderDataset, NpzDataset
from ntkbench.spec.document import Node, Path, placed, plain
from ntkbench.spec.section import PATHS, FileSection
from ntkbench.spec.training import Pretrained

if TYPE_CHECKING:
    from ntkbench.data.user.examples import Source
    from ntkbench.data.user.images import AdversarialImages
    from ntkbench.data.user.weights import WeightsFile

_DATASETS = {"npz": NpzDataset, "folder": FolderDataset, "csv": CsvDataset}
_ATTACKS = {"images": GivenImages}
_HELD = ("classes", "shape", "train_counts", "test_counts")
"""what is filled in of a data set"""
_DATASET: Path = ("data", "dataset")
_TRAINING: Path = ("training",)


@dataclass(frozen=True)
class FilesOfSpec:
    """The files of one spec, each of which is looked into once, however many cells name it."""

    _seen: dict[tuple[Path, int], tuple[Node, Node, tuple[Problem, ...]]] = field(default_factory=dict)
    """sections as they were written, by their identity, with what they became and what is wrong with them"""

    def filled(self, root: Node) -> tuple[Node, tuple[Problem, ...]]:
        """Return the document of a cell with what its files hold, and the mistakes in them.

        A section without files is returned as it is, and so is one with mistakes that validation tells.
        """
        found: list[Problem] = []
        attacks, networks = (tuple(root.at((section,)).entries) for section in ("attacks", "networks"))
        parts = (("data", ("dataset",)), ("attacks", attacks), ("training", ()), ("networks", networks))
        for section, names in parts:
            if (node := root.child(section)) is not None and node.entries:
                filled, problems = self._section(section, node, names)
                root = root.with_entries({**root.entries, section: filled})
                found += problems
        return root, tuple(found)

    def _section(self, section: str, node: Node, names: tuple[str, ...]) -> tuple[Node, tuple[Problem, ...]]:
        """Return a section in which the mappings `names`, or it itself, are filled in, and the mistakes in their files.

        The node is kept with the result, so that Python gives its identity to no other node.
        """
        key = (section,), id(node)
        if key not in self._seen:
            if section == "training":
                self._seen[key] = node, *_with_digest(_TRAINING, node)
                return self._seen[key][1:]
            parts = {name: _filled((section, name), below) for name in names if (below := node.child(name))}
            changed = {name: part for name, (part, _) in parts.items() if part is not node.entries[name]}
            whole = node.with_entries({**node.entries, **changed}) if changed else node
            self._seen[key] = node, whole, tuple(problem for _, found in parts.values() for problem in found)
        return self._seen[key][1:]


def _filled(path: Path, written: Node) -> tuple[Node, tuple[Problem, ...]]:
    """Return the mapping at `path` with absolute paths and what its files hold, and the mistakes in the files."""
    if path[0] == "networks":
        return _filled_network(path, written)
    models: Mapping[str, type[FileSection]] = _DATASETS if path == _DATASET else _ATTACKS
    model = models.get(str(plain(written.child("kind") or written)))
    if model is None:
        return written, ()
    node = written.with_entries({name: _absolute(name, below) for name, below in written.entries.items()})
    try:
        words = model.model_validate(plain(node))
    except ValidationError:
        return node, ()
    if words.content and getattr(words, "holds", True) and not all(map(os.path.exists, words.paths)):
        return node, ()  # planned without the files, as an entry of a leaderboard is
    try:
        holds = _holds(words)
        content = named_digest(_opened(words).files)
    except DataError as error:
        return node, (_wrong(path, node, getattr(error, "field", "path"), str(error)),)
    if words.content not in (None, content):
        message = f"{os.path.basename(words.paths[0])} has another content, {content}; name the file that is meant"
        return node, (_wrong(path, node, "content", message),)
    return node.with_entries({**node.entries, **placed({"content": content, **holds}, node.place).entries}), ()


def _filled_network(path: Path, written: Node) -> tuple[Node, tuple[Problem, ...]]:
    """Return a further network with its training filled in, and the mistakes in the file of its weights."""
    if (training := written.child("training")) is None:
        return written, ()
    filled, found = _with_digest((*path, "training"), training)
    return (written if filled is training else written.with_entries({**written.entries, "training": filled})), found


def _with_digest(path: Path, written: Node) -> tuple[Node, tuple[Problem, ...]]:
    """Return a training with the absolute path and the digest of its weights, and the mistakes in their file."""
    if plain(written.child("mode") or written) != "pretrained":
        return written, ()
    node = written.with_entries({name: _absolute(name, below) for name, below in written.entries.items()})
    try:
        words = Pretrained.model_validate(plain(node))
    except ValidationError:
        return node, ()
    if words.sha256 and not os.path.exists(words.weights):
        return node, ()  # planned without the file, as an entry of a leaderboard is
    try:
        file = _opened(words)
        file.load()
        digest = file.digest
    except DataError as error:
        return node, (_wrong(path, node, "weights", str(error)),)
    if words.sha256 not in (None, digest):
        message = f"{os.path.basename(words.weights)} has another SHA-256, {digest}; name the file that is meant"
        return node, (_wrong(path, node, "sha256", message),)
    return node.with_entries({**node.entries, **placed({"sha256": digest}, node.place).entries}), ()


def misfit(expected: Mapping[str, tuple[int, ...]], words: Pretrained) -> str | None:
    """Return how the arrays in a file of weights differ from those of a network, by name and shape.

    Return None if they are the same, or the file is not there. Raise DataError if it cannot be read.
    """
    return _opened(words).misfit(expected) if os.path.exists(words.weights) else None


def _holds(words: FileSection) -> Mapping[str, Any]:
    """Return what is to be filled in beside the digest, after a look into the files. Raise DataError for mistakes."""
    if isinstance(words, FileDataset):
        known = _opened(words).describe()
        return {"holds": {name: getattr(known, name) for name in _HELD}}
    _opened(words).check()
    return {}


def _wrong(path: Path, node: Node, name: str, message: str) -> Problem:
    """Return a problem at a field of the mapping at `path`, or at the mapping if the field is not written."""
    return node.at((name,)).place.problem((*path, name), message)


def _absolute(name: str, node: Node) -> Node:
    """Return a field of a section; a path is absolute then: relative to the file that it is written in."""
    if name not in PATHS or not isinstance(node.value, str) or not node.value:
        return node
    folder = "" if node.place.file == "--set" else os.path.dirname(node.place.file)
    return Node(os.path.abspath(os.path.join(folder, node.value)), node.place, node.key)


def unidentified(root: Node) -> Iterator[Problem]:
    """Yield a problem for each digest of files, and for what they hold, that a cell not read from a spec lacks."""
    networks = root.at(("networks",)).entries
    trainings = {_TRAINING: root.child("training")}
    trainings |= {("networks", name, "training"): node.child("training") for name, node in networks.items()}
    for path, weights in ((path, node) for path, node in trainings.items() if node is not None):
        digest = weights.child("sha256")
        if plain(weights.child("mode") or weights) == "pretrained" and (digest is None or digest.value is None):
            yield weights.place.problem((*path, "sha256"), "missing: whoever has no file knows it by its digest")
    attacks = {("attacks", name): node for name, node in root.at(("attacks",)).entries.items()}
    for path, node in {_DATASET: root.at(_DATASET), **attacks}.items():
        kind, needed = plain(node.child("kind") or node), ("content", "holds") if path == _DATASET else ("content",)
        for name in needed if kind in (*_DATASETS, *_ATTACKS) else ():
            if (below := node.child(name)) is None or below.value is None:
                message = "missing: whoever has no files knows them by their digest and by what they hold"
                yield node.place.problem((*path, name), message)


@overload
def find(words: FileDataset, roots: Sequence[FilePath]) -> "Source": ...
@overload
def find(words: GivenImages, roots: Sequence[FilePath]) -> "AdversarialImages": ...
@overload
def find(words: Pretrained, roots: Sequence[FilePath]) -> "WeightsFile": ...
def find(words: FileSection | Pretrained, roots: Sequence[FilePath]) -> Any:
    """Return the files of a section: those that the spec names, or files of the same names in a folder of `roots`.

    Raise DataError if there are none whose content is that of the plan.
    """
    return _opened(words, _folder(words, roots))


def _folder(words: FileSection | Pretrained, roots: Sequence[FilePath]) -> FilePath | None:
    """Return the folder that has the files with the content of the plan; None for the place that the spec names."""
    others = []
    for folder in (None, *roots):
        try:
            content = _digest(words, folder)
        except DataError:
            continue
        if content == words.content:
            return folder
        others.append(f"{folder or FilePath(words.paths[0]).parent} ({content})")
    names = ", ".join(os.path.basename(path) for path in words.paths)
    if others:
        raise DataError(f"{names} with the content {words.content} is not in {', '.join(others)}: it has changed")
    raise DataError(
        f"{names} with the content {words.content} is not on this machine. It is no public file: ask those who ran "
        "the experiment for it, and name its folder with --data-dir or NTKBENCH_DATA"
    )


def _digest(words: FileSection | Pretrained, folder: FilePath | None) -> str:
    """Return the digest of the content of a section's files; DataError if they cannot be read."""
    found = _opened(words, folder)
    return found.digest if isinstance(words, Pretrained) else named_digest(found.files)


def _opened(words: FileSection | Pretrained, folder: FilePath | None = None) -> Any:
    """Return the files of a section, unread: a `Source`, `AdversarialImages` or a `WeightsFile`.

    With `folder` they are the files of the same names in that folder.
    """
    # They need NumPy, and most specs have no files of the user's own.
    from ntkbench.data.user import arrays, folders, images, tables, weights

    match words, [_place(path, folder) for path in words.paths]:
        case NpzDataset(), [path]:
            return arrays.Arrays(path)
        case FolderDataset(), [path]:
            return folders.Folder(path, words.shape)
        case CsvDataset(), [train, test]:
            return tables.Tables(train, test, words.label, *words.range)
        case GivenImages(), [path]:
            return images.AdversarialImages(path)
        case Pretrained(), [path]:
            return weights.WeightsFile(path)
    raise TypeError(f"no files of {type(words).__name__}")


def _place(path: str, folder: FilePath | None) -> FilePath:
    return FilePath(path) if folder is None else folder / os.path.basename(path)


def absent(words: Any) -> str | None:
    """Return a line for a section whose files are not at their place; None for all others."""
    if isinstance(words, FileSection | Pretrained) and not all(map(os.path.exists, words.paths)):
        names = ", ".join(os.path.basename(path) for path in words.paths)
        return (
            f"{names} ({words.content}) is not at its place; --data-dir or NTKBENCH_DATA names the folder that has it"
        )
    return None
