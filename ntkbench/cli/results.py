"""Commands that write results as tables: show, export, diff."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ntkbench import files
from ntkbench.cli.options import FILE, FORMS, TABLES, _pairs, _spec, _store
from ntkbench.errors import UsageError
from ntkbench.plan.read import read
from ntkbench.results import diff as differences
from ntkbench.results import export as exports
from ntkbench.results import frame
from ntkbench.results import show as tables
from ntkbench.store import lookup
from ntkbench.store.folder import StoreFolder
from ntkbench.store.store import Store


@click.command()
@_spec
@_store
@click.option("--metric", "metrics", multiple=True, help="Which metrics. Default: transfer_rate, or all there are.")
@click.option("--where", multiple=True, metavar="NAME=VALUE", help="Only these, e.g. --where eps=8/255.")
@click.option("--rows", multiple=True, metavar="AXIS", help="Axes down the side.")
@click.option("--column", metavar="AXIS", help="The axis across.")
@click.option("--format", "form", type=click.Choice(FORMS), default="md", show_default=True)
@click.option("--digits", type=click.IntRange(0, 15), default=2, show_default=True)
def show(
    spec: str, overrides: Sequence[str], smoke: bool, store: Path, metrics: Sequence[str], where: Sequence[str],
    rows: Sequence[str], column: str | None, form: Any, digits: int,
) -> None:  # fmt: skip
    """Show the results of a spec: mean ± sd (n) over seeds, along any axes."""
    planned = read(spec, overrides, smoke)
    table = tables.show(
        lookup.records(StoreFolder(store), planned.runs), metrics=metrics, where=_pairs(where, "--where"), rows=rows,
        column=column, form=form, planned=planned.runs, digits=digits,
    )  # fmt: skip
    click.echo(table)


@click.command()
@click.argument("specs", nargs=-1)
@click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Override a field.")
@click.option("--smoke", is_flag=True, help="Apply the spec's `smoke` section.")
@_store
@click.option("--metric", "metrics", multiple=True, help="Which metrics. Default: all there are.")
@click.option(
    "--format", "form", type=click.Choice(TABLES), help="Default: by the file's name (.gz is compressed), or csv."
)
@click.option("-o", "--output", type=FILE, help="A file instead of the screen.")
def export(
    specs: Sequence[str], overrides: Sequence[str], smoke: bool, store: Path, metrics: Sequence[str], form: Any,
    output: Path | None,
) -> None:  # fmt: skip
    """Write the numbers of specs, or of everything in a store, one row each, with all digits and provenance."""
    if not specs and (overrides or smoke):
        raise UsageError("--set and --smoke change a spec: name one")
    form, gzipped = exports.format_of(output, form)
    if output is None and form == "parquet":
        raise UsageError("a Parquet file is no text for a screen; name a file with -o FILE")
    rows = exports.select_metrics(frame.records(store, *specs, overrides=overrides, smoke=smoke), metrics)
    content = exports.export(rows, form, gzipped)
    if output is None:
        click.echo(content, nl=False)
    else:
        files.write(output, content)


@click.command()
@click.argument("one", metavar="RUN")
@click.argument("other", metavar="RUN")
@_store
def diff(one: str, other: str, store: Path) -> None:
    """Show how two runs differ: config, software, device, execution, numbers.

    RUN is an id, the beginning of one, or the file of a record.
    """
    click.echo(differences.diff(*(differences.find(name, Store(store)) for name in (one, other))))
