"""The command `plan`."""

from collections.abc import Sequence
from pathlib import Path

import click

from ntkbench.cli.options import _choices, _data_dir, _part, _spec, _store, _tell
from ntkbench.plan.read import narrowed, read
from ntkbench.status.forecast import check_resources, forecast
from ntkbench.status.missing import absent
from ntkbench.store.folder import StoreFolder


@click.command()
@_spec
@_part
@_store
@_data_dir
@click.option(
    "--force", is_flag=True, help="Accept an estimated memory or disk space that far exceeds what is available here."
)
def plan(
    spec: str, overrides: Sequence[str], smoke: bool, where: Sequence[str], store: Path, data_dir: Path | None,
    force: bool,
) -> None:  # fmt: skip
    """Show what `run` would do: runs, cached stages, estimated time and memory. Nothing is executed."""
    planned, kept = narrowed(read(spec, overrides, smoke), _choices(where, "--where")), StoreFolder(store)
    found = forecast(planned, kept)
    click.echo(found)
    for line in absent(planned, data_dir):
        _tell(line)
    check_resources(found, force=force)
