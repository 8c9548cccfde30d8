"""Commands that draw: plot, report."""

from collections.abc import Sequence
from pathlib import Path

import click

from ntkbench import files
from ntkbench.cli.options import FILE, FOLDER, PICTURES, _spec, _store
from ntkbench.errors import UsageError
from ntkbench.plan.read import read
from ntkbench.results import report as page
from ntkbench.results.plots import plot as plots
from ntkbench.store.store import Store


@click.command()
@click.argument("specs", nargs=-1)
@click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Override a field.")
@click.option("--smoke", is_flag=True, help="Apply the spec's `smoke` section.")
@_store
@click.option("-o", "--output", type=FOLDER, default=Path("figures"), show_default=True, help="Folder of the pictures.")
@click.option("--format", "form", type=click.Choice(PICTURES), default="png", show_default=True)
@click.option("--analysis", "analyses", multiple=True, metavar="ID", help="Which analyses. Default: all with pictures.")
@click.option("--eps", "budgets", multiple=True, help="Which budgets, e.g. --eps 8/255. Default: the largest.")
def plot(
    specs: Sequence[str], overrides: Sequence[str], smoke: bool, store: Path, output: Path, form: str,
    analyses: Sequence[str], budgets: Sequence[str],
) -> None:  # fmt: skip
    """Draw the results of specs, or of everything in a store, for a paper. A caption lies beside each picture."""
    if not specs and (overrides or smoke):
        raise UsageError("--set and --smoke change a spec: name one")
    planned, kept = [read(spec, overrides, smoke) for spec in specs], Store(store)

    results = [plots.results_of_plan(each, kept) for each in planned] or plots.results_of_store(kept)
    written = plots.plot(results, kept.records, output, form=form, analyses=analyses, budgets=budgets)
    click.echo("\n".join(map(str, written)))


@click.command()
@_spec
@_store
@click.option("-o", "--output", type=FILE, default=Path("report.html"), show_default=True, help="The page.")
def report(spec: str, overrides: Sequence[str], smoke: bool, store: Path, output: Path) -> None:
    """Write the results of a spec as one page for a browser: numbers, pictures, and what did not go well."""
    planned = read(spec, overrides, smoke)

    options = [part for override in overrides for part in ("--set", override)] + ["--smoke"] * smoke
    files.write(output, page.report(planned, Store(store), options).encode())
    click.echo(output)
