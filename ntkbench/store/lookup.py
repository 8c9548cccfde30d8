"""Tell which runs of a plan the store has records of, and which are still to be done.

`run`, `plan` and `status` ask it.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeVar

from ntkbench.errors import NtkbenchError
from ntkbench.plan.runs import Plan, Run
from ntkbench.store import record
from ntkbench.store.folder import StoreFolder, StoreWarning
from ntkbench.store.index import Index, RunSummary
from ntkbench.store.record import Record, Status

T = TypeVar("T")


def readable(run_id: str, read: Callable[[str], T]) -> T | None:
    """Return what `read` reads of a run's record; None, with a warning, if the record is damaged."""
    try:
        return read(run_id)
    except NtkbenchError as error:
        warnings.warn(f"{error}; the run counts as not done", StoreWarning, stacklevel=3)
        return None


def find(store: StoreFolder, run: Run) -> Record | None:
    """Return the run's record; None, with a warning if it is damaged, if there is none that can be read."""
    path = store.record(run.id)
    return readable(run.id, lambda _: record.read(path)) if path.is_file() else None


def records(store: StoreFolder, runs: Iterable[Run]) -> list[Record]:
    """Return the records of those runs that have one."""
    return [found for run in runs if (found := find(store, run)) is not None]


def summaries(store: StoreFolder, runs: Iterable[Run], index: Index | None = None) -> dict[str, RunSummary]:
    """Return how runs ended, by id, without those that have no readable record.

    `index`: one that was opened before; otherwise the store's is opened.
    """
    if not store.records.is_dir():
        return {}
    index = index or Index.open(store)
    found = {run.id: end for run in runs if (end := readable(run.id, index.summary)) is not None}
    index.keep()
    return found


def pending(store: StoreFolder, runs: Iterable[Run], retry: bool = True) -> list[Run]:
    """Return the runs that are still to be done.

    These are runs without a readable record, interrupted ones, those whose arrays are damaged, and with `retry` all
    others that are not ok.
    """
    if not store.records.is_dir():
        return list(runs)
    index = Index.open(store)
    found = [run for run in runs if _is_pending(index, run, retry)]
    index.keep()
    return found


def is_pending(store: StoreFolder, run: Run, retry: bool = True) -> bool:
    """Return whether a run is still to be done, as `pending` does, from its record alone and not from the index."""
    if not store.record(run.id).is_file():
        return True
    return _is_pending(Index(store), run, retry)


def _is_pending(index: Index, run: Run, retry: bool) -> bool:
    """Return whether a run is still to be done; warn if its arrays are damaged."""
    end = readable(run.id, index.summary)
    if end is None or end.status == "interrupted":
        return True
    if end.status != "ok":
        return retry
    if not index.arrays_intact(run.id):
        path = index.store.arrays(run.id)
        warnings.warn(f"{path} is damaged or gone; the run counts as not done", StoreWarning, stacklevel=3)
        return True
    return False


def attempts(store: StoreFolder, run: Run) -> int:
    """Return how often the run was tried."""
    found = find(store, run)
    return 0 if found is None else found.attempt


def statuses(store: StoreFolder, plan: Plan) -> Counter[Status]:
    """Return how many of the plan's runs ended with each status; runs without a record are not counted."""
    return Counter(end.status for end in summaries(store, plan.runs).values())
