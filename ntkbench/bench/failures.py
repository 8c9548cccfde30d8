"""What ends a run before it has a result, and what a record calls that."""

import errno

import jax

from ntkbench.bench.record import Status
from ntkbench.errors import DivergedError, StorageError, TimeoutReached

_FOR_MEMORY = ("RESOURCE_EXHAUSTED", "OUT_OF_MEMORY", "out of memory", "Out of memory", "bad_alloc")
"""in the messages of XLA and of what it calls, whose exceptions have no kinds"""


def status_of(failure: BaseException | None) -> Status:
    """What a record calls the end of a run."""
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
    """Whether it says nothing of the run: what cannot be written now cannot be for the next run either."""
    return isinstance(failure, StorageError)


def message(failure: BaseException) -> str:
    """For a record and a line on a screen; never empty."""
    return (str(failure) or type(failure).__name__)[:20_000]
