"""The command `run`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from ntkbench.cli.options import (
    EXECUTORS,
    FOLDER,
    _choices,
    _compile_cache,
    _data_dir,
    _engine,
    _part,
    _programs,
    _spec,
    _store,
)
from ntkbench.data.places import search_roots
from ntkbench.errors import UsageError
from ntkbench.plan.cost import remaining
from ntkbench.plan.cost.tiles import TiledMatrix, of_others
from ntkbench.plan.read import narrowed, read
from ntkbench.plan.runs import Shard
from ntkbench.reference.listing import listing
from ntkbench.results import show
from ntkbench.results.terminal import is_terminal
from ntkbench.run.interrupt import interruptible
from ntkbench.run.job import Options
from ntkbench.run.progress import progress
from ntkbench.run.tracking.tracked import TRACKERS, Tracked, opened
from ntkbench.store import groups, lookup
from ntkbench.store.store import Store


def _list_specs(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """End the command with the list of the shipped specs, where that is `wanted`."""
    if wanted:
        click.echo(listing("specs"))
        context.exit()


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
@click.option(
    "--list", is_flag=True, is_eager=True, expose_value=False, callback=_list_specs,
    help="List the specs that come with ntkbench, and exit. Their names stand for files: `ntkbench run quickstart`.",
)  # fmt: skip
@click.option(
    "--log", metavar="TOOL", type=click.Choice(TRACKERS),
    help="Log finished runs with tensorboard, wandb or mlflow, which `pip install 'ntkbench[TOOL]'` adds.",
)  # fmt: skip
@click.option("--log-dir", type=FOLDER, help="Folder of the logs, with one folder for each tool. Default: STORE/logs.")
@_compile_cache
@click.option("-q", "--quiet", is_flag=True, help="Show no progress: warnings, and the table at the end.")
def run(
    spec: str, overrides: Sequence[str], smoke: bool, where: Sequence[str], store: Path, data_dir: Path | None,
    retry: bool, executor: Any, workers: int | None, address: str | None, force: bool, shard: str | None,
    log: Any, log_dir: Path | None, no_cache: bool, quiet: bool,
) -> int:  # fmt: skip
    """Execute a spec and write one record per run. The same command again resumes; finished runs are not repeated.

    Ctrl-C stops after recording what is in progress, a second Ctrl-C stops at once; finished runs are never lost.
    """
    if executor == "local" and address:
        raise UsageError("--address is that of a Ray cluster: add --executor ray")
    if executor == "ray" and workers:
        raise UsageError(
            "--workers is for --executor local; what a Ray cluster runs at once follows from run.resources"
        )
    if log_dir and not log:
        raise UsageError("--log-dir is the folder of the logs: add --log tensorboard")
    # Before JAX is imported, so that mistakes show at once.
    planned, kept = narrowed(read(spec, overrides, smoke), _choices(where, "--where")), Store(store)
    helps: Sequence[TiledMatrix] = ()
    if shard:
        part = Shard.parse(shard)
        helps = of_others(planned, part, groups.cached(planned.runs, kept))
        planned = part.part(planned)
        if not planned.runs and not helps:
            click.echo(f"no run of the plan belongs to part {shard}")
            return 0
    logs = (log_dir or store / "logs") / log if log else None
    write = opened(log, logs) if logs else None
    engine = _engine()
    options = Options(retry, smoke, tuple(overrides), executor, workers, address, force, _programs(no_cache))
    console = Console(stderr=True, quiet=quiet)
    seen = console.is_terminal
    watcher = progress(console, remaining.expected(planned, groups.cached(planned.runs, kept)) if seen else None)
    if logs and write:
        watcher = Tracked(watcher, write, logs, kept, planned.runs)
    try:
        with interruptible():
            ended = engine.execute(planned, kept, search_roots(data_dir), options, watcher, helps=helps)
    finally:
        watcher.close()
    if not planned.runs:
        click.echo(
            f"no run of the plan belongs to part {shard}; it helped other parts with {len(helps)} of their kernels"
        )
        return 0
    records = lookup.records(kept, planned.runs)
    if any(record.metrics for record in records):
        click.echo(show.show(records, planned=planned.runs, form="terminal" if is_terminal() else "md"))
    else:
        click.echo("no results; `ntkbench status` shows why")
    return 0 if ended["ok"] == len(planned.runs) else 1
