"""Run specs from Python, with the executor, the store and the records of the command line.

results = run("specs/quickstart.yaml", store="runs", where={"width": 64})
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from rich.console import Console

from ntkbench.api.experiment import Labels, Source, load, part
from ntkbench.api.results import Results
from ntkbench.data.places import search_roots
from ntkbench.plan.cost import remaining
from ntkbench.plan.runs import Plan
from ntkbench.run import progress as run_progress
from ntkbench.run.job import Options
from ntkbench.run.settings import configured
from ntkbench.store import groups
from ntkbench.store.store import Store

Progress = bool | Callable[[str], None] | None
"""True: a bar on a terminal, lines elsewhere; a function: it is called with each line; False or None: nothing"""


def run(
    spec: Source,
    store: str | PathLike[str] = "runs",
    where: Labels | None = None,
    seeds: Sequence[int] | None = None,
    progress: Progress = True,
    data_dir: str | PathLike[str] | None = None,
    retry: bool = True,
    workers: int | None = None,
    force: bool = False,
) -> Results:
    """Execute a spec, and return its results. The same call again resumes, and repeats nothing that is done.

    Runs, records and the store are those of `ntkbench run`. JAX is configured for the call as they need it, and given
    back as it was. A warning tells how many runs are not ok; their records say why.

    Args:
        spec: what `load` returns or takes.
        store: the folder of records and cached stages.
        where: only these cells of the matrix, such as `{"width": [64, 512]}`.
        seeds: only these seeds of the spec.
        progress: True shows a bar on a terminal and lines in a notebook; a function is called with each line.
        data_dir: the folder of data sets, searched before the usual ones.
        retry: whether runs are tried again that ended badly; interrupted ones always are.
        workers: processes of this machine; by default one for each accelerator, or this one.
        force: whether to begin also what takes far more memory than there is.

    Raises:
        SpecError: the spec has mistakes.
        UsageError: there is no such cell or seed, or JAX computes here in a way that cannot be changed.
        DataError: a data set is missing.
    """
    found = load(spec)
    planned = part(found.planned, where, seeds)
    roots = search_roots(None if data_dir is None else Path(data_dir))
    options = Options(retry, found.smoke, found.overrides, "local", workers, None, force)
    with configured():
        return executed(planned, Store(Path(store)), roots, options, progress)


def executed(
    planned: Plan,
    store: Store,
    roots: tuple[Path, ...],
    options: Options | None = None,
    progress: Progress = True,
    given: Mapping[str, Any] | None = None,
) -> Results:
    """Execute a plan, and return its results; JAX is configured already.

    `given`: predictors that architectures of the kind `given` stand for, by their SHA-256.
    """
    from ntkbench.run.execute import execute

    watcher = watching(progress, planned, store)
    try:
        ended = execute(planned, store, roots, options or Options(), watcher, given)
    finally:
        watcher.close()
    if bad := len(planned.runs) - ended["ok"]:
        warnings.warn(f"{bad} of {len(planned.runs)} runs are not ok; results.runs tells why", stacklevel=3)
    return Results(planned, store, roots, given or {})


def watching(progress: Progress, planned: Plan, store: Store) -> run_progress.PlanProgress:
    """Return who shows how the runs go."""
    if callable(progress):
        return run_progress.Lines(progress)
    if not progress:
        return run_progress.Lines(lambda _: None)
    console = Console(stderr=True)
    expected = remaining.expected(planned, groups.cached(planned.runs, store)) if console.is_terminal else None
    return run_progress.progress(console, expected)
