"""Stores of other machines brought into one. What a stranger sent is copied first, then examined, then believed.

Nothing outside of the other store is read: links are not followed, names are checked. Whatever is here already stays;
a second merge of the same store, or the rest of one that was interrupted, brings only what is missing.
"""

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from ntkbench.bench import arrays, disk, jsonfile
from ntkbench.bench import record as records
from ntkbench.bench.audit import sound
from ntkbench.bench.entry import slug
from ntkbench.bench.record import MetricRow, Record
from ntkbench.bench.store import STAGES, Store, damage
from ntkbench.bench.verify import Comparison
from ntkbench.errors import NtkbenchError, UsageError, VerificationError

TOLERANCE = {"fraction": 0.01, "cosine": 0.01, "correlation": 0.01, "epochs": 2.0, "features": 1.0, "directions": 1.0}
"""by unit, how far apart the numbers of one run may be on two machines: what tracks allow"""
_RELATIVE = 0.05
"""of the other units, which have no scale of their own"""
_KEY = re.compile(r"[a-z][0-9a-z]{12}(-[0-9]+(-[0-9]+)?(\.[0-9]+(-[0-9]+)?)*)?(@step[0-9]{1,12})?")
_RECORD = re.compile(r"(r[0-9a-z]{12})\.json")
_OBJECT_LIMIT = 2**38


class _Strange(Exception):  # noqa: N818 (what is found, not an error of ours)
    """Something that no store of ours holds."""


@dataclass(frozen=True)
class Conflict:
    """A run whose numbers here and there are not the same."""

    run_id: str
    numbers: tuple[Comparison, ...]
    kept: Path
    """where theirs is"""

    def __str__(self) -> str:
        lines = [f"{each.what}: {_shown(each.claimed)} here, {_shown(each.measured)} there" for each in self.numbers]
        return "\n".join(f"{self.run_id}: {line}" for line in [*lines, f"theirs is kept as {self.kept}"])


@dataclass
class Merged:
    """What came of one other store."""

    counts: Counter[str] = field(default_factory=Counter)
    conflicts: list[Conflict] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return ", ".join(f"{number} {what}" for what, number in self.counts.items()) or "nothing new"


def merge(store: Store, other: Path, *, objects: bool = True) -> Iterator[Merged]:
    """Bring another store into this one; gives what has come of it so far, again and again, last when all is done."""
    if not any((other / name).is_dir() for name in ("records", "objects")):
        raise UsageError(f"{other}: there is no store")
    ours, theirs = store.root.resolve(), other.resolve()
    if ours == theirs or theirs in ours.parents or ours in theirs.parents:
        raise UsageError(f"{other}: a store cannot be merged with itself, or with one that it holds")
    merged = Merged()
    with disk.writing(store.root):
        store.records.mkdir(parents=True, exist_ok=True)
    for path in _members(other / "records", merged):
        if path.suffix == ".json":
            _try(merged, path, lambda path=path: _record(store, path, merged, _conflicts(store, other)))
            yield merged
    for stage in STAGES if objects else ():
        for path in _members(other / "objects" / stage, merged):
            if not path.name.startswith("."):
                _try(merged, path, lambda path=path, stage=stage: _object(store, stage, path, merged))
                yield merged
    yield merged


def conclude(store: Store, found: Mapping[Path, Merged]) -> str:
    """What came of all stores; VerificationError where a run has other numbers than here."""
    lines = [f"{other}: {merged}" for other, merged in found.items()]
    conflicts = [str(each) for merged in found.values() for each in merged.conflicts]
    if conflicts:
        told = f"{len(conflicts)} runs have other numbers than in {store.root}, where nothing of them was changed"
        raise VerificationError("\n".join([*lines, *conflicts, told]))
    return "\n".join(lines)


def _try(merged: Merged, path: Path, bring: Callable[[], None]) -> None:
    try:
        bring()
    except _Strange as why:
        merged.skipped.append(jsonfile.printable(f"{path}: {why}; left out", 500))


def _conflicts(store: Store, other: Path) -> Store:
    """A store of its own, so that other commands can look into it."""
    return Store(store.root / "conflicts" / slug("-".join(other.resolve().parts[-2:])))


def _members(folder: Path, merged: Merged) -> list[Path]:
    if folder.is_symlink() or not folder.is_dir():
        if folder.is_symlink():
            merged.skipped.append(f"{folder}: a link, which may lead anywhere; left out")
        return []
    return sorted(folder.iterdir())


def _record(store: Store, path: Path, merged: Merged, conflicts: Store) -> None:
    match = _RECORD.fullmatch(path.name)
    if not match:
        raise _Strange("not the name of a record")
    ours = store.record(match[1])
    with _ordinary(path, jsonfile.LIMIT) as file:
        if ours.is_file() and file.read() == ours.read_bytes() and _is_sound(ours):
            merged.counts["records as here"] += 1
            return
    with disk.writing(store.root), TemporaryDirectory(prefix=".merge.", dir=store.root) as folder:
        draft = Path(folder) / path.name
        _copy(path, draft, jsonfile.LIMIT)
        if path.with_suffix(".npz").exists():
            _copy(path.with_suffix(".npz"), draft.with_suffix(".npz"), arrays.LIMIT)
        try:
            theirs = sound(draft)
        except NtkbenchError as error:
            raise _Strange(str(error).replace(folder, str(path.parent))) from None
        if not _is_sound(ours):
            _keep(store, theirs, draft)
            merged.counts["new records"] += 1
        else:
            _reconcile(store, records.read(ours), theirs, draft, merged, conflicts)


def _reconcile(store: Store, ours: Record, theirs: Record, draft: Path, merged: Merged, conflicts: Store) -> None:
    """Results before failures; of two results, ours, if theirs says the same; of two failures, the later attempt."""
    if ours.status == theirs.status == "ok":
        if apart := [each for each in comparisons(ours, theirs) if not each.ok]:
            _keep(conflicts, theirs, draft)
            merged.conflicts.append(Conflict(ours.run_id, tuple(apart), conflicts.record(ours.run_id)))
        else:
            merged.counts["records as here"] += 1
    elif theirs.status == "ok":
        records.write({**_document(theirs), "attempt": ours.attempt + theirs.attempt}, draft)
        _keep(store, theirs, draft)
        merged.counts["results of runs that were not ok here"] += 1
    elif ours.status != "ok" and (theirs.attempt, theirs.time.ended) > (ours.attempt, ours.time.ended):
        _keep(store, theirs, draft)
        merged.counts["later attempts"] += 1
    else:
        merged.counts["records as here"] += 1


def _keep(store: Store, theirs: Record, draft: Path) -> None:
    """The arrays first: a record is not to speak of what is not there."""
    store.records.mkdir(parents=True, exist_ok=True)
    if draft.with_suffix(".npz").exists():
        draft.with_suffix(".npz").replace(store.arrays(theirs.run_id))
    draft.replace(store.record(theirs.run_id))


def comparisons(ours: Record, theirs: Record) -> list[Comparison]:
    """Each number of either, here and there."""
    here, there = ({_about(row): row for row in each.metrics} for each in (ours, theirs))
    return [_compared(about, here.get(about), there.get(about)) for about in dict.fromkeys((*here, *there))]


def _compared(about: str, one: MetricRow | None, other: MetricRow | None) -> Comparison:
    values = [row and row.value for row in (one, other)]
    unit = (one or other).unit  # type: ignore[union-attr]
    tolerance = TOLERANCE.get(unit, _RELATIVE * max(abs(value or 0) for value in values))
    return Comparison(about, values[0], values[1], tolerance)


def _about(row: MetricRow) -> str:
    where = "".join(f" {name}={value}" for name, value in sorted(row.where.items()))
    return f"{row.analysis} {row.metric}/{row.revision}{where}"


def _document(record: Record) -> dict[str, Any]:
    return record.model_dump(mode="json", by_alias=True)


def _is_sound(path: Path) -> bool:
    try:
        sound(path)
    except NtkbenchError:
        return False
    return True


def _object(store: Store, stage: str, path: Path, merged: Merged) -> None:
    if not _KEY.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
        raise _Strange("not an object")
    if store.has(stage, path.name):
        return
    if stage == "checkpoint" and store.has("training", path.name.partition("@")[0]):
        return
    with disk.writing(store.root), store.draft(stage, path.name) as draft:
        for name in ("arrays.npz", "manifest.json"):
            _copy(path / name, draft / name, _OBJECT_LIMIT)
        if why := damage(draft, stage, path.name):
            raise _Strange(f"damaged: {why}")
    merged.counts[f"{stage} objects"] += 1


@contextmanager
def _ordinary(path: Path, limit: int) -> Iterator[BinaryIO]:
    """An ordinary file: no link, no pipe, nothing larger than what a store holds."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise _Strange(f"{path.name} cannot be read, or is a link: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
            raise _Strange(f"{path.name} is no ordinary file, or larger than {limit} bytes")
        yield file


def _copy(source: Path, target: Path, limit: int) -> None:
    with _ordinary(source, limit) as file, target.open("xb") as copy:
        copyfileobj(file, copy, 2**20)
        disk.flush(copy)


def _shown(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.6g}"
