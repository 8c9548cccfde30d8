"""The statuses that records give to runs that end without a result."""

import errno

import jax

from ntkbench.bench.record import Status
from ntkbench.errors import DivergedError, StorageError, TimeoutReached

_FOR_MEMORY = ("RESOURCE_EXHAUSTED", "OUT_OF_MEMORY", "out of memory", "Out of memory", "bad_alloc")
"""parts of messages by which XLA, which raises one type for everything, says that memory ran out"""


def status_of(failure: BaseException | None) -> Status:
    """Return the status that a record gives to a run that ended with `failure`; None is `ok`."""
    match failure:
        case None:
            return "ok"
        case KeyboardInterrupt():
            return "interrupted"
        case TimeoutReached():
            return "timeout"
        case DivergedError():
            return "diverged"
        case MemoryError():
            return "oom"
        case OSError(errno=errno.ENOMEM):
            return "oom"
        case jax.errors.JaxRuntimeError() if any(word in str(failure) for word in _FOR_MEMORY):
            return "oom"
    return "failed"


def is_of_the_store(failure: BaseException) -> bool:
    """Return whether a failure is the store's and not the run's.

    Such a failure gets no record and ends the command: the next run could not be written either.
    """
    return isinstance(failure, StorageError)


def message(failure: BaseException) -> str:
    """Return a failure's message, or its type if it has none, in at most 20,000 characters."""
    return (str(failure) or type(failure).__name__)[:20_000]
