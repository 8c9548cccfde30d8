"""What a store knows of the runs of a plan. Where it knows nothing, the answer needs no model of a record."""

import hashlib
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ntkbench.bench.plan import Plan, Run
from ntkbench.bench.store import Store, StoreWarning
from ntkbench.errors import NtkbenchError

if TYPE_CHECKING:
    from ntkbench.bench.record import Record, Status


def find(store: Store, run: Run) -> "Record | None":
    """The run's record; None where there is none that can be read."""
    path = store.record(run.id)
    if not path.is_file():
        return None
    from ntkbench.bench import record

    try:
        return record.read(path)
    except NtkbenchError as error:
        warnings.warn(f"{error}; the run counts as not done", StoreWarning, stacklevel=2)
        return None


def records(store: Store, runs: Iterable[Run]) -> "list[Record]":
    """Those there are."""
    return [found for run in runs if (found := find(store, run)) is not None]


def is_pending(store: Store, run: Run, retry: bool = True) -> bool:
    """Whether the run is still to be done. Interrupted ones always are, others that are not ok with `retry`."""
    found = find(store, run)
    if found is None or found.status == "interrupted":
        return True
    return not _whole(store, found) if found.status == "ok" else retry


def _whole(store: Store, found: "Record") -> bool:
    """Whether the arrays beside the record are those that it speaks of."""
    expected = {note.sha256 for note in (found.samples, *found.series.values()) if note is not None}
    path = store.arrays(found.run_id)
    if not expected or (path.is_file() and expected == {_checksum(path)}):
        return True
    warnings.warn(f"{path} is damaged or gone; the run counts as not done", StoreWarning, stacklevel=3)
    return False


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def attempts(store: Store, run: Run) -> int:
    """How often the run was tried."""
    found = find(store, run)
    return 0 if found is None else found.attempt


def statuses(store: Store, plan: Plan) -> "Counter[Status]":
    """How many runs of the plan ended how."""
    return Counter(found.status for found in records(store, plan.runs))
