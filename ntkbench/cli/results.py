"""Commands that write results as tables: show, export, diff."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click

from ntkbench import files
from ntkbench.cli.options import FILE, FORMS, TABLES, _pairs, _spec, _specs, _store
from ntkbench.errors import UsageError
from ntkbench.plan.read import read
from ntkbench.results import diff as differences
from ntkbench.results import export as exports
from ntkbench.results import frame
from ntkbench.results import show as tables
from ntkbench.results.terminal import is_terminal
from ntkbench.store import kept
from ntkbench.store.folder import StoreFolder
from ntkbench.store.store import Store


@click.command()
@_spec
@_store
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="Metric to show; may be repeated. Default: transfer_rate if it was measured, otherwise all metrics.",
)
@click.option(
    "--where",
    multiple=True,
    metavar="NAME=VALUE",
    help="Show only numbers with this label, e.g. --where eps=8/255; may be repeated.",
)
@click.option("--rows", multiple=True, metavar="AXIS", help="Axis whose labels become rows; may be repeated.")
@click.option("--column", metavar="AXIS", help="Axis whose labels become columns.")
@click.option("--format", "form", type=click.Choice(FORMS), help="Default: terminal on a terminal, otherwise md.")
@click.option("--digits", type=click.IntRange(0, 15), default=2, show_default=True)
def show(
    spec: str, overrides: Sequence[str], smoke: bool, store: Path, metrics: Sequence[str], where: Sequence[str],
    rows: Sequence[str], column: str | None, form: Any, digits: int,
) -> None:  # fmt: skip
    """Show the results of a spec: mean ± sd (n) over seeds, along any axes."""
    planned = read(spec, overrides, smoke)
    (records,) = kept.records(StoreFolder(store), planned.runs)
    table = tables.show(
        records, metrics=metrics, where=_pairs(where, "--where"), rows=rows,
        column=column, form=form or _form(), planned=planned.runs, digits=digits,
    )  # fmt: skip
    click.echo(table)


def _form() -> Literal["terminal", "md"]:
    return "terminal" if is_terminal() else "md"


@click.command()
@click.argument("specs", nargs=-1)
@_specs
@_store
@click.option("--metric", "metrics", multiple=True, help="Metric to write; may be repeated. Default: all metrics.")
@click.option(
    "--format",
    "form",
    type=click.Choice(TABLES),
    help="File format. Default: chosen by the name of the output file (.gz compresses it), otherwise csv.",
)
@click.option("-o", "--output", type=FILE, help="Write to this file instead of standard output.")
def export(
    specs: Sequence[str], overrides: Sequence[str], smoke: bool, store: Path, metrics: Sequence[str], form: Any,
    output: Path | None,
) -> None:  # fmt: skip
    """Write the numbers of specs, or of everything in a store, one row per number, with all digits and provenance."""
    if not specs and (overrides or smoke):
        raise UsageError("--set and --smoke change a spec: name one")
    form, gzipped = exports.format_of(output, form)
    if output is None and form in exports.BINARY:
        raise UsageError(f"{form} is no text for a screen; name a file with -o FILE")
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
