"""Commands about the runs of a spec: run, validate, plan, explain, status."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ntkbench.cli.options import (
    EXECUTORS,
    _compile_cache,
    _data_dir,
    _pairs,
    _part,
    _planned,
    _programs,
    _spec,
    _specs,
    _store,
    _summary,
    _tell_absent,
)
from ntkbench.errors import UsageError
from ntkbench.run.settings import configure

# ---- commands ------------------------------------------------------------------------------------


@click.command()
@_spec
@_part
@_store
@_data_dir
@click.option(
    "--retry/--no-retry", default=True, help="Try failed runs again. Interrupted runs are always taken up again."
)
@click.option(
    "--executor", type=click.Choice(EXECUTORS), default="local", show_default=True,
    help="Where runs are executed: processes of this machine, or a Ray cluster.",
)  # fmt: skip
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Number of processes on this machine. Default: one per accelerator, or one.",
)
@click.option(
    "--address",
    help="Address of a running Ray cluster, or `auto`. Default: a cluster is started on this machine for this command.",
)
@click.option("--force", is_flag=True, help="Start even if the estimated memory far exceeds what is available.")
@click.option(
    "--shard",
    metavar="i/n",
    help="Execute the i-th of n parts of the plan, for array jobs. A run stays in its part when cells are added.",
)
@_compile_cache
def run(
    spec: str, overrides: Sequence[str], smoke: bool, where: Sequence[str], store: Path, data_dir: Path | None,
    retry: bool, executor: Any, workers: int | None, address: str | None, force: bool, shard: str | None,
    no_cache: bool,
) -> int:  # fmt: skip
    """Execute a spec and write one record per run. The same command again resumes; finished runs are not repeated.

    Ctrl-C stops after recording what is in progress, a second Ctrl-C stops at once; finished runs are never lost.
    """
    from rich.console import Console

    from ntkbench.data.load import search_roots
    from ntkbench.plan.cost import remaining
    from ntkbench.plan.runs import Shard
    from ntkbench.run.interrupt import interruptible
    from ntkbench.run.job import Options
    from ntkbench.run.progress import progress
    from ntkbench.store import groups, lookup
    from ntkbench.store.store import Store

    if executor == "local" and address:
        raise UsageError("--address is that of a Ray cluster: add --executor ray")
    if executor == "ray" and workers:
        raise UsageError(
            "--workers is for --executor local; what a Ray cluster runs at once follows from run.resources"
        )
    planned = _planned(spec, overrides, smoke, where)  # before JAX is imported, so that mistakes show at once
    if shard:
        planned = Shard.parse(shard).part(planned)
        if not planned.runs:
            click.echo(f"no run of the plan belongs to part {shard}")
            return 0
    configure()
    from ntkbench.run.execute import execute

    kept = Store(store)
    options = Options(retry, smoke, tuple(overrides), executor, workers, address, force, _programs(no_cache))
    console = Console(stderr=True)
    seen = console.is_terminal
    watcher = progress(console, remaining.expected(planned, groups.cached(planned.runs, kept)) if seen else None)
    try:
        with interruptible():
            ended = execute(planned, kept, search_roots(data_dir), options, watcher)
    finally:
        watcher.close()
    click.echo(_summary(planned, lookup.records(kept, planned.runs)))
    return 0 if ended["ok"] == len(planned.runs) else 1


@click.command()
@click.argument("specs", nargs=-1, required=True)
@_specs
@_data_dir
def validate(specs: Sequence[str], overrides: Sequence[str], smoke: bool, data_dir: Path | None) -> None:
    """Check specs and report all errors at once, each with line and column. Missing data sets are reported too."""
    from ntkbench.errors import SpecError
    from ntkbench.plan.read import read

    problems = []
    for spec in specs:
        try:
            planned = read(spec, overrides, smoke)
            click.echo(f"{spec}: {len(planned.runs)} runs")
            _tell_absent(planned, data_dir)
        except SpecError as error:
            problems.extend(error.problems)
    if problems:
        raise SpecError(problems)


@click.command()
@_spec
@_part
@_store
@_data_dir
@click.option("--force", is_flag=True, help="Accept an estimated memory that far exceeds what is available here.")
def plan(
    spec: str, overrides: Sequence[str], smoke: bool, where: Sequence[str], store: Path, data_dir: Path | None,
    force: bool,
) -> None:  # fmt: skip
    """Show what `run` would do: runs, cached stages, estimated time and memory. Nothing is executed."""
    from ntkbench.status.forecast import check_memory, cost_forecast
    from ntkbench.store.store import Store

    planned, kept = _planned(spec, overrides, smoke, where), Store(store)
    click.echo(cost_forecast(planned, kept))
    _tell_absent(planned, data_dir)
    check_memory(planned, kept, force=force)


@click.command()
@_spec
@_store
@click.option("--where", multiple=True, metavar="AXIS=LABEL", help="Cell of the matrix to explain. Default: the first.")
def explain(spec: str, overrides: Sequence[str], smoke: bool, store: Path, where: Sequence[str]) -> None:
    """Show where each value of a spec comes from, and why its runs are done or still to be done."""
    from ntkbench.status.explain import explain
    from ntkbench.store.store import Store

    click.echo(explain(spec, overrides, smoke, Store(store), _pairs(where, "--where")))


@click.command()
@_spec
@_part
@_store
@click.option("--watch", "live", is_flag=True, help="Repeat until every run has ended.")
@click.option("--every", type=click.FloatRange(0.1), default=2, show_default=True, help="Seconds between two updates.")
def status(
    spec: str, overrides: Sequence[str], smoke: bool, where: Sequence[str], store: Path, live: bool, every: float
) -> int:
    """Show progress, speed, estimated end and failures of the runs of a spec.

    It reads the store, so that it works from any terminal while other processes execute the runs. --watch exits with
    0 if all runs are ok, otherwise with 1.
    """
    from rich.console import Console

    from ntkbench.status.watch import status, watch
    from ntkbench.store.store import Store

    planned, kept = _planned(spec, overrides, smoke, where), Store(store)
    if not live:
        click.echo(status(planned, kept))
        return 0
    try:
        return 0 if watch(planned, kept, Console(), every) else 1
    except KeyboardInterrupt:  # ends the watching alone, not the runs
        return 130
