"""What a store knows of the runs of a plan."""

import warnings
from collections import Counter
from collections.abc import Iterable

from ntkbench.bench import record
from ntkbench.bench.plan import Plan, Run
from ntkbench.bench.record import Record, Status
from ntkbench.bench.store import Store, StoreWarning
from ntkbench.errors import NtkbenchError


def find(store: Store, run: Run) -> Record | None:
    """The run's record; None where there is none that can be read."""
    path = store.record(run.id)
    if not path.is_file():
        return None
    try:
        return record.read(path)
    except NtkbenchError as error:
        warnings.warn(f"{error}; the run counts as not done", StoreWarning, stacklevel=2)
        return None


def records(store: Store, runs: Iterable[Run]) -> list[Record]:
    """Those there are."""
    return [found for run in runs if (found := find(store, run)) is not None]


def is_pending(store: Store, run: Run, retry: bool = True) -> bool:
    """Whether the run is still to be done. Interrupted ones always are, others that are not ok with `retry`."""
    found = find(store, run)
    return found is None or found.status == "interrupted" or (retry and found.status != "ok")


def attempts(store: Store, run: Run) -> int:
    """How often the run was tried."""
    found = find(store, run)
    return 0 if found is None else found.attempt


def statuses(store: Store, plan: Plan) -> Counter[Status]:
    """How many runs of the plan ended how."""
    return Counter(found.status for found in records(store, plan.runs))
