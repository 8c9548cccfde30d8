"""Commands that say where a plan is: status, explain."""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from ntkbench.cli.options import _choices, _pairs, _part, _spec, _specs, _store
from ntkbench.errors import UsageError
from ntkbench.plan.read import narrowed, read
from ntkbench.status import explain as origins
from ntkbench.status import watch
from ntkbench.status.contents import contents
from ntkbench.store.folder import StoreFolder


@click.command()
@click.argument("spec", required=False)
@_specs
@_part
@_store
@click.option("--watch", "live", is_flag=True, help="Repeat until every run has ended.")
@click.option("--every", type=click.FloatRange(0.1), default=2, show_default=True, help="Seconds between two updates.")
def status(
    spec: str | None, overrides: Sequence[str], smoke: bool, where: Sequence[str], store: Path, live: bool, every: float
) -> int:
    """Show progress, speed, estimated end and failures of the runs of a spec; without a spec, what a store has.

    It reads the store, so that it works from any terminal while other processes execute the runs. --watch exits with
    0 if all runs are ok, otherwise with 1.
    """
    if spec is None:
        if overrides or smoke or where or live:
            raise UsageError("--set, --smoke, --where and --watch are about a spec: name one")
        click.echo(contents(StoreFolder(store)))
        return 0
    planned, kept = narrowed(read(spec, overrides, smoke), _choices(where, "--where")), StoreFolder(store)
    if not live:
        click.echo(watch.status(planned, kept))
        return 0
    try:
        return 0 if watch.watch(planned, kept, Console(), every) else 1
    except KeyboardInterrupt:  # ends the watching alone, not the runs
        return 130


@click.command()
@_spec
@_store
@click.option("--where", multiple=True, metavar="AXIS=LABEL", help="Cell of the matrix to explain. Default: the first.")
def explain(spec: str, overrides: Sequence[str], smoke: bool, store: Path, where: Sequence[str]) -> None:
    """Show where each value of a spec comes from, and why its runs are done or still to be done."""
    click.echo(origins.explain(spec, overrides, smoke, StoreFolder(store), _pairs(where, "--where")))
