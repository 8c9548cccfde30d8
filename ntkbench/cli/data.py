"""Commands about data sets: fetch."""

import sys
from pathlib import Path

import click

from ntkbench.cli.options import FOLDER
from ntkbench.data import fetch as downloads


@click.group()
def data() -> None:
    """Bring data sets to this machine."""


@data.command()
@click.argument("name")
@click.option(
    "--data-dir", type=FOLDER, envvar="NTKBENCH_DATA", help="Folder to download to. Default: the user's cache folder."
)
def fetch(name: str, data_dir: Path | None) -> None:
    """Download a data set from its official address and verify its checksum."""
    click.echo(downloads.fetch(name, data_dir, progress=sys.stderr.isatty()))
