"""Hold all that a process must know to execute units of a plan: a `Job`, which can be sent to another process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ntkbench.spec.cell import RunOptions
from ntkbench.store.programs import Programs
from ntkbench.store.store import Store

Executor = Literal["local", "ray"]
"""where units are executed: in processes of this machine, or by Ray"""


@dataclass(frozen=True)
class Options:
    """The user's choices of how to run a plan; none of them changes a result."""

    retry: bool = True
    """whether runs that ended badly are tried again; interrupted runs always are"""
    smoke: bool = False
    """whether the spec's `smoke` section was applied; kept in records"""
    overrides: tuple[str, ...] = ()
    """assignments of `--set`; kept in records"""
    executor: Executor = "local"
    workers: int | None = None
    """processes on this machine; None: one for each accelerator, or this process alone if there is none"""
    address: str | None = None
    """address of a Ray cluster; None: one is started on this machine, for as long as the command runs"""
    force: bool = False
    """whether to begin although the estimate is far above the memory of the machine"""
    programs: Programs | None = None
    """compiled programs that processes share and leave to the next; None: JAX decides"""


@dataclass(frozen=True)
class Job:
    """The store, the data folders and the options with which units are executed."""

    store: Store
    roots: tuple[Path, ...]
    """folders in which data sets are looked for"""
    run: RunOptions
    options: Options
    needed_bytes: int | float
    """estimated peak memory of the largest step"""
    advice: str = ""
    """what to change in the spec so that less memory is needed; empty if unknown"""
    given: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """predictors that architectures of the kind `given` stand for, by their SHA-256; they stay in this process"""
