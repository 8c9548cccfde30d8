"""The command `plan`."""

from collections.abc import Sequence
from pathlib import Path

import click

from ntkbench.cli.options import _choices, _data_dir, _part, _spec, _store, _tell
from ntkbench.data.places import absent
from ntkbench.plan.read import narrowed, read
from ntkbench.status.forecast import cost_forecast
from ntkbench.store.folder import StoreFolder


@click.command()
@_spec
@_part
@_store
@_data_dir
def plan(
    spec: str, overrides: Sequence[str], smoke: bool, where: Sequence[str], store: Path, data_dir: Path | None
) -> None:
    """Show what `run` would do: runs, what is there already, time and memory. Nothing is executed."""
    planned = narrowed(read(spec, overrides, smoke), _choices(where, "--where"))
    click.echo(cost_forecast(planned, StoreFolder(store)))
    for line in absent(planned.datasets, data_dir):
        _tell(line)
