"""The command `validate`, in a file of its own, so that mistakes in a spec show at once."""

from collections.abc import Sequence
from pathlib import Path

import click

from ntkbench.cli.options import _data_dir, _specs, _tell
from ntkbench.errors import SpecError
from ntkbench.plan.read import read
from ntkbench.status.missing import absent


@click.command()
@click.argument("specs", nargs=-1, required=True)
@_specs
@_data_dir
def validate(specs: Sequence[str], overrides: Sequence[str], smoke: bool, data_dir: Path | None) -> None:
    """Check specs and report all errors at once, each with line and column. Missing data sets are reported too."""
    problems = []
    for spec in specs:
        try:
            planned = read(spec, overrides, smoke)
            click.echo(f"{spec}: {len(planned.runs)} runs")
            for line in absent(planned, data_dir):
                _tell(line)
        except SpecError as error:
            problems.extend(error.problems)
    if problems:
        raise SpecError(problems)
