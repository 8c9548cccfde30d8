"""List what a store holds, by kind and size, for `ntkbench store du`, `gc` and `verify`.

`things` walks over the store, and `usage` puts the result into tables:

    print(usage(things(store), index.ends(store)))

Sizes are those of the files' content, in bytes.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ntkbench.errors import UsageError
from ntkbench.render import size, table
from ntkbench.store import index, kept
from ntkbench.store.folder import STAGES
from ntkbench.store.index import RunSummary
from ntkbench.store.store import Store

_FOLDERS = ("logs", "locks", "running", "damaged", "conflicts")
"""folders of a store whose entries are of the kind that the folder is called"""
KINDS = (*STAGES, "records", "arrays", *_FOLDERS, "drafts", "index", "other")
"""kinds of things in the order of tables; `drafts` are files that a writer has not finished, or was killed at"""


@dataclass(frozen=True)
class StoredItem:
    """A stored object, or a file of the store that belongs to none.

    `name`: key or run id; `bytes`: size with all that is below; `used`: seconds since 1970 when it was last written, or
    loaded.
    """

    kind: str
    name: str
    path: Path
    bytes: int
    used: float


def items(store: Store) -> Iterator[StoredItem]:
    """Yield everything in a store. Raise UsageError if there is no such folder."""
    if not store.root.is_dir():
        raise UsageError(f"{store.root}: there is no store; name one with --store")
    for entry in _entries(store.root):
        if entry.name == "objects" and entry.is_dir():
            for stage in _entries(entry.path):
                yield from _things(stage.name if stage.name in STAGES else "other", _in(stage))
        elif entry.name == "records":
            for each in _in(entry):
                yield from _things("arrays" if each.name.endswith(".npz") else "records", [each])
        elif entry.name in _FOLDERS:
            yield from _things(entry.name, _in(entry))
        else:
            yield from _things("index" if entry.name in (index.FILE, kept.FILE) else "other", [entry])


def usage(found: Iterable[StoredItem], ends: Mapping[str, RunSummary]) -> str:
    """Return tables of the store's content: number and size by kind, the largest things, and the size of each spec.

    `ends`: the store's runs by id; a spec's size is that of its records and of the objects that they name.
    """
    found = list(found)
    rows = [_row(kind, [each for each in found if each.kind == kind]) for kind in KINDS]
    rows = [row for row in rows if row[1] != "0"] + [_row("all", found)]
    largest = sorted(found, key=lambda each: -each.bytes)[:5]
    parts = [
        table(["kind", "number", "size"], rows, "plain"),
        table(["largest", "", "size"], [[each.kind, each.name, size(each.bytes)] for each in largest], "plain"),
        table(["spec", "runs", "size"], _rows_by_spec(found, ends), "plain"),
    ]
    return "\n\n".join(parts)


def _rows_by_spec(found: Iterable[StoredItem], ends: Mapping[str, RunSummary]) -> list[list[str]]:
    """Return name, runs and size of each spec; an object that several specs share counts for each of them."""
    taken: Counter[str] = Counter()
    for each in found:
        taken[each.name.partition("@")[0]] += each.bytes
    runs: dict[str, list[str]] = defaultdict(list)
    for run_id, end in ends.items():
        runs[end.spec].append(run_id)
    keys = {
        spec: {*ids, *(key for run_id in ids for key in ends[run_id].stages.values())} for spec, ids in runs.items()
    }
    sizes = {spec: sum(taken[key] for key in keys[spec]) for spec in runs}
    return [[spec, str(len(runs[spec])), size(sizes[spec])] for spec in sorted(runs, key=lambda spec: -sizes[spec])]


def _row(kind: str, found: list[StoredItem]) -> list[str]:
    return [kind, str(len(found)), size(sum(each.bytes for each in found))]


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _in(folder: os.DirEntry[str]) -> list[os.DirEntry[str]]:
    """Return the entries of a folder; a file stands for itself."""
    return _entries(folder.path) if folder.is_dir() else [folder]


def _things(kind: str, entries: Iterable[os.DirEntry[str]]) -> Iterator[StoredItem]:
    """Yield the entries of one kind, without those that another process removes in the meantime."""
    for entry in entries:
        try:
            found = _thing(kind, entry)
        except FileNotFoundError:
            continue
        yield found


def _thing(kind: str, entry: os.DirEntry[str]) -> StoredItem:
    """Return an entry as a thing; names that begin with a dot are drafts."""
    found = entry.stat(follow_symlinks=False)
    name = Path(entry.name).stem if kind in ("records", "arrays") else entry.name
    kind = "drafts" if entry.name.startswith(".") else kind
    return StoredItem(kind, name, Path(entry.path), _bytes(entry), found.st_mtime)


def _bytes(entry: os.DirEntry[str]) -> int:
    """Return the size of a file, or of everything in a folder."""
    if entry.is_dir(follow_symlinks=False):
        return sum(_bytes(below) for below in _entries(entry.path))
    return entry.stat(follow_symlinks=False).st_size
