"""What a store knows of the runs of a plan. Where it knows nothing, the answer needs no model of a record."""

import warnings
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ntkbench.bench.plan import Plan, Run
from ntkbench.bench.store import Store, StoreWarning
from ntkbench.errors import NtkbenchError

if TYPE_CHECKING:
    from ntkbench.bench.index import End, Index
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


def ends(store: Store, runs: Iterable[Run], index: "Index | None" = None) -> "dict[str, End]":
    """How the runs ended, in short, by their ids; without those that have no record that can be read.

    `index`: of an earlier look.
    """
    if not store.records.is_dir():
        return {}
    from ntkbench.bench.index import Index

    index = index or Index.open(store)
    found = {run.id: end for run in runs if (end := _end(index, run)) is not None}
    index.keep()
    return found


def left(store: Store, runs: Iterable[Run], retry: bool = True) -> list[Run]:
    """Those still to be done. Interrupted ones always are, others that are not ok with `retry`."""
    if not store.records.is_dir():
        return list(runs)
    from ntkbench.bench.index import Index

    index = Index.open(store)
    found = [run for run in runs if _is_pending(index, run, retry)]
    index.keep()
    return found


def is_pending(store: Store, run: Run, retry: bool = True) -> bool:
    """Whether the run is still to be done, by nothing but its record."""
    if not store.record(run.id).is_file():
        return True
    from ntkbench.bench.index import Index

    return _is_pending(Index(store), run, retry)


def _is_pending(index: "Index", run: Run, retry: bool) -> bool:
    end = _end(index, run)
    if end is None or end.status == "interrupted":
        return True
    if end.status != "ok":
        return retry
    if not index.is_whole(run.id):
        path = index.store.arrays(run.id)
        warnings.warn(f"{path} is damaged or gone; the run counts as not done", StoreWarning, stacklevel=3)
        return True
    return False


def _end(index: "Index", run: Run) -> "End | None":
    try:
        return index.end(run.id)
    except NtkbenchError as error:
        warnings.warn(f"{error}; the run counts as not done", StoreWarning, stacklevel=3)
        return None


def attempts(store: Store, run: Run) -> int:
    """How often the run was tried."""
    found = find(store, run)
    return 0 if found is None else found.attempt


def statuses(store: Store, plan: Plan) -> "Counter[Status]":
    """How many runs of the plan ended how."""
    return Counter(end.status for end in ends(store, plan.runs).values())
