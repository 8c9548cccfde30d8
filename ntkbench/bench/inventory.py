"""What lies in a store, by what it is for, and how much room it takes."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ntkbench.bench.index import FILE, End
from ntkbench.bench.render import size, table
from ntkbench.bench.store import STAGES, Store
from ntkbench.errors import UsageError

_FOLDERS = ("logs", "locks", "running", "damaged", "conflicts")
KINDS = (*STAGES, "records", "arrays", *_FOLDERS, "drafts", "index", "other")


@dataclass(frozen=True)
class Thing:
    """An object, or a file that is not part of one. `used`: when it was of use last, in seconds."""

    kind: str
    name: str
    path: Path
    bytes: int
    used: float


def things(store: Store) -> Iterator[Thing]:
    """All of a store; drafts are what writers are at, or were when they were killed."""
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
            yield from _things("index" if entry.name == FILE else "other", [entry])


def usage(found: Iterable[Thing], ends: Mapping[str, End]) -> str:
    """Counts and bytes of every kind, the largest things, and how much each spec's runs rest on."""
    found = list(found)
    rows = [_row(kind, [each for each in found if each.kind == kind]) for kind in KINDS]
    rows = [row for row in rows if row[1] != "0"] + [_row("all", found)]
    largest = sorted(found, key=lambda each: -each.bytes)[:5]
    parts = [
        table(["kind", "number", "size"], rows, "plain"),
        table(["largest", "", "size"], [[each.kind, each.name, size(each.bytes)] for each in largest], "plain"),
        table(["spec", "runs", "size"], _of_specs(found, ends), "plain"),
    ]
    return "\n\n".join(parts)


def _of_specs(found: Iterable[Thing], ends: Mapping[str, End]) -> list[list[str]]:
    """Records and the objects that they name; what several share counts for each."""
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


def _row(kind: str, found: list[Thing]) -> list[str]:
    return [kind, str(len(found)), size(sum(each.bytes for each in found))]


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _in(folder: os.DirEntry[str]) -> list[os.DirEntry[str]]:
    return _entries(folder.path) if folder.is_dir() else [folder]


def _things(kind: str, entries: Iterable[os.DirEntry[str]]) -> Iterator[Thing]:
    """But for what has gone in the meantime."""
    for entry in entries:
        try:
            found = _thing(kind, entry)
        except FileNotFoundError:
            continue
        yield found


def _thing(kind: str, entry: os.DirEntry[str]) -> Thing:
    found = entry.stat(follow_symlinks=False)
    name = Path(entry.name).stem if kind in ("records", "arrays") else entry.name
    kind = "drafts" if entry.name.startswith(".") else kind
    return Thing(kind, name, Path(entry.path), _bytes(entry), found.st_mtime)


def _bytes(entry: os.DirEntry[str]) -> int:
    if entry.is_dir(follow_symlinks=False):
        return sum(_bytes(below) for below in _entries(entry.path))
    return entry.stat(follow_symlinks=False).st_size
