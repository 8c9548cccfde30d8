"""How a plan is executed: all that a process must know beside its units, so that it can be another process."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ntkbench.bench.spec import RunOptions
from ntkbench.bench.store import Store

Executor = Literal["local", "ray"]


@dataclass(frozen=True)
class Options:
    """How to run; nothing here can change a number."""

    retry: bool = True
    """whether runs that ended badly are tried again; interrupted ones always are"""
    smoke: bool = False
    overrides: tuple[str, ...] = ()
    executor: Executor = "local"
    workers: int | None = None
    """processes on this machine; None: one for each accelerator, and no other than this where there is none"""
    address: str | None = None
    """of a Ray cluster; None: one on this machine, for as long as it takes"""
    force: bool = False
    """whether to begin what is estimated to take far more memory than there is"""


@dataclass(frozen=True)
class Job:
    """Where things are, how to run, and how much memory the largest step is thought to take."""

    store: Store
    roots: tuple[Path, ...]
    run: RunOptions
    options: Options
    needed_bytes: int | float
    advice: str = ""
    """what would take less"""
