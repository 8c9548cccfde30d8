"""Look into the files of a user's own that a spec names, so that all else knows what they hold without opening them.

`plan.read` lets a `FilesOfSpec` fill in each cell's document: absolute paths, the digest of the content, and the
classes, shape and counts of a data set. Mistakes in the files are problems of the spec, at the field that names the
file. `build` asks `find` for the files when a run needs them.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ntkbench.errors import DataError, Problem
from ntkbench.plan.contents import named_digest
from ntkbench.spec.data import CsvDataset, FileDataset, FolderDataset, NpzDataset
from ntkbench.spec.document import Node, placed, plain

if TYPE_CHECKING:
    from ntkbench.data.user.examples import Source

_MODELS = {"npz": NpzDataset, "folder": FolderDataset, "csv": CsvDataset}
_PATHS = ("path", "train", "test")
"""fields that are paths"""
_DATASET = ("data", "dataset")


@dataclass(frozen=True)
class FilesOfSpec:
    """The files of one spec, each of which is looked into once, however many cells name it."""

    _seen: dict[int, tuple[Node, Node, tuple[Problem, ...]]] = field(default_factory=dict)
    """sections as they were written, by their identity, with what they became and what is wrong with them"""

    def filled(self, root: Node) -> tuple[Node, tuple[Problem, ...]]:
        """Return the document of a cell with what its files hold, and the mistakes in them.

        A section without files is returned as it is, and so is one with mistakes that validation tells.
        """
        data = root.child("data")
        if data is None or data.child("dataset") is None:
            return root, ()
        if id(data) not in self._seen:  # the node is kept, so that Python gives its identity to no other
            dataset, problems = _filled_dataset(data.entries["dataset"])
            self._seen[id(data)] = data, data.with_entries({**data.entries, "dataset": dataset}), problems
        _, filled, problems = self._seen[id(data)]
        return root.with_entries({**root.entries, "data": filled}), problems


def _filled_dataset(written: Node) -> tuple[Node, tuple[Problem, ...]]:
    """Return the mapping of a data set with absolute paths, `content` and `holds`, and the mistakes in its files."""
    model = _MODELS.get(str(plain(written.child("kind") or written)))
    if model is None:
        return written, ()
    node = written.with_entries({name: _absolute(name, below) for name, below in written.entries.items()})
    try:
        words = model.model_validate(plain(node))
    except ValidationError:
        return node, ()
    if words.content and words.holds and not all(map(os.path.exists, words.paths)):
        return node, ()  # planned without the files, as an entry of a leaderboard is
    try:
        source = _source(words)
        known, content = source.describe(), named_digest(source.files)
    except DataError as error:
        return node, (_wrong(node, getattr(error, "field", "path"), str(error)),)
    if words.content not in (None, content):
        message = f"{known.name} has another content, {content}; name the file that is meant"
        return node, (_wrong(node, "content", message),)
    names = ("classes", "shape", "train_counts", "test_counts")
    filled = {"content": content, "holds": {name: getattr(known, name) for name in names}}
    return node.with_entries({**node.entries, **placed(filled, node.place).entries}), ()


def _wrong(dataset: Node, name: str, message: str) -> Problem:
    """Return a problem at a field of a data set, or at the data set if the field is not written."""
    return dataset.at((name,)).place.problem((*_DATASET, name), message)


def _absolute(name: str, node: Node) -> Node:
    """Return a field of a section; a path is absolute then: relative to the file that it is written in."""
    if name not in _PATHS or not isinstance(node.value, str) or not node.value:
        return node
    folder = "" if node.place.file == "--set" else os.path.dirname(node.place.file)
    return Node(os.path.abspath(os.path.join(folder, node.value)), node.place, node.key)


def unidentified(root: Node) -> Iterator[Problem]:
    """Yield a problem where a cell that is not read from a spec has a data set in files without the files' digest."""
    dataset = root.at(_DATASET)
    if plain(dataset.child("kind") or dataset) in _MODELS:
        for name in ("content", "holds"):
            if plain(dataset.child(name) or dataset.with_entries({})) in (None, {}):
                message = "missing: whoever has no files knows them by their digest and by what they hold"
                yield dataset.place.problem((*_DATASET, name), message)


def find(words: FileDataset, roots: Sequence[Path]) -> "Source":
    """Return the files of a data set: those that the spec names, or files of the same names in a folder of `roots`.

    Raise DataError if there are none whose content is that of the plan.
    """
    others = []
    for folder in (None, *roots):
        source = _source(words, folder)
        try:
            content = named_digest(source.files)
        except DataError:
            continue
        if content == words.content:
            return source
        others.append(f"{folder or Path(words.paths[0]).parent} ({content})")
    names = ", ".join(os.path.basename(path) for path in words.paths)
    if others:
        raise DataError(f"{names} with the content {words.content} is not in {', '.join(others)}: it has changed")
    raise DataError(
        f"{names} with the content {words.content} is not on this machine. It is no public data set: ask those who ran "
        "the experiment for it, and name its folder with --data-dir or NTKBENCH_DATA"
    )


def _source(words: FileDataset, folder: Path | None = None) -> "Source":
    """Return the files of a data set, unread; those of the same names in `folder` if one is given."""
    from ntkbench.data.user import arrays, folders, tables  # NumPy, for the few that need it

    def place(path: str) -> Path:
        return Path(path) if folder is None else folder / os.path.basename(path)

    match words:
        case NpzDataset():
            return arrays.Arrays(place(words.path))
        case FolderDataset():
            return folders.Folder(place(words.path), words.shape)
        case CsvDataset():
            return tables.Tables(place(words.train), place(words.test), words.label, *words.range)
    raise TypeError(f"no files of {type(words).__name__}")


def absent(words: Any) -> str | None:
    """Return a line for a data set in files that are not at their place; None for all others."""
    if isinstance(words, FileDataset) and not all(map(os.path.exists, words.paths)):
        names = ", ".join(os.path.basename(path) for path in words.paths)
        return (
            f"{names} ({words.content}) is not at its place; --data-dir or NTKBENCH_DATA names the folder that has it"
        )
    return None
