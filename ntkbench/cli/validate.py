"""The command `validate`, in a file of its own, so that mistakes in a spec show at once."""

from collections.abc import Sequence
from pathlib import Path

import click

from ntkbench.cli.options import _data_dir, _tell
from ntkbench.data.places import absent
from ntkbench.errors import SpecError
from ntkbench.plan.read import read


@click.command()
@click.argument("specs", nargs=-1, required=True)
@click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Override a field.")
@click.option("--smoke", is_flag=True, help="Apply the spec's `smoke` section.")
@_data_dir
def validate(specs: Sequence[str], overrides: Sequence[str], smoke: bool, data_dir: Path | None) -> None:
    """Check specs: all errors at once, each with line and column. Data sets that are not here are told, too."""
    problems = []
    for spec in specs:
        try:
            planned = read(spec, overrides, smoke)
            click.echo(f"{spec}: {len(planned.runs)} runs")
            for line in absent(planned.datasets, data_dir):
                _tell(line)
        except SpecError as error:
            problems.extend(error.problems)
    if problems:
        raise SpecError(problems)
