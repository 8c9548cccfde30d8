"""Commands that show results: show, plot, export, diff, images, report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ntkbench.cli.options import (
    FILE,
    FOLDER,
    FORMS,
    PICTURES,
    TABLES,
    _compile_cache,
    _data_dir,
    _pairs,
    _programs,
    _spec,
    _specs,
    _store,
)
from ntkbench.errors import UsageError
from ntkbench.run.settings import configure, keep_programs


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
@click.option("--format", "form", type=click.Choice(FORMS), default="md", show_default=True)
@click.option("--digits", type=click.IntRange(0, 15), default=2, show_default=True)
def show(
    spec: str, overrides: Sequence[str], smoke: bool, store: Path, metrics: Sequence[str], where: Sequence[str],
    rows: Sequence[str], column: str | None, form: Any, digits: int,
) -> None:  # fmt: skip
    """Show the results of a spec: mean ± sd (n) over seeds, along any axes."""
    from ntkbench.plan.read import read
    from ntkbench.results.show import show
    from ntkbench.store import lookup
    from ntkbench.store.store import Store

    planned = read(spec, overrides, smoke)
    table = show(
        lookup.records(Store(store), planned.runs), metrics=metrics, where=_pairs(where, "--where"), rows=rows,
        column=column, form=form, planned=planned.runs, digits=digits,
    )  # fmt: skip
    click.echo(table)


@click.command()
@click.argument("specs", nargs=-1)
@_specs
@_store
@click.option("-o", "--output", type=FOLDER, default=Path("figures"), show_default=True, help="Folder of the pictures.")
@click.option("--format", "form", type=click.Choice(PICTURES), default="png", show_default=True)
@click.option(
    "--analysis",
    "analyses",
    multiple=True,
    metavar="ID",
    help="Analysis to draw; may be repeated. Default: all analyses that have pictures.",
)
@click.option(
    "--eps", "budgets", multiple=True, help="Budget to draw, e.g. --eps 8/255; may be repeated. Default: the largest."
)
def plot(
    specs: Sequence[str], overrides: Sequence[str], smoke: bool, store: Path, output: Path, form: str,
    analyses: Sequence[str], budgets: Sequence[str],
) -> None:  # fmt: skip
    """Draw the results of specs, or of everything in a store, for a paper. A text file beside each picture holds its
    caption."""
    from ntkbench.plan.read import read
    from ntkbench.store.store import Store

    if not specs and (overrides or smoke):
        raise UsageError("--set and --smoke change a spec: name one")
    planned, kept = [read(spec, overrides, smoke) for spec in specs], Store(store)
    from ntkbench.results.plots.plot import (
        plot,  # imports matplotlib: mistakes in specs show before that
        results_of_plan,
        results_of_store,
    )

    results = [results_of_plan(each, kept) for each in planned] or results_of_store(kept)
    written = plot(results, kept.records, output, form=form, analyses=analyses, budgets=budgets)
    click.echo("\n".join(map(str, written)))


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
    from ntkbench import files
    from ntkbench.results import frame
    from ntkbench.results.export import export, format_of, select_metrics

    if not specs and (overrides or smoke):
        raise UsageError("--set and --smoke change a spec: name one")
    form, gzipped = format_of(output, form)
    if output is None and form == "parquet":
        raise UsageError("a Parquet file is no text for a screen; name a file with -o FILE")
    rows = select_metrics(frame.records(store, *specs, overrides=overrides, smoke=smoke), metrics)
    content = export(rows, form, gzipped)
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
    from ntkbench.results.diff import diff, find
    from ntkbench.store.store import Store

    click.echo(diff(*(find(name, Store(store)) for name in (one, other))))


@click.command()
@click.argument("run", metavar="RUN")
@_store
@_data_dir
@click.option("--attack", metavar="ID", help="Which attack of the run. Default: the only one.")
@click.option("--eps", metavar="BUDGET", help="Which budget, e.g. --eps 8/255. Default: the only one.")
@click.option("-o", "--output", type=FILE, default=Path("adv.npz"), show_default=True, help="The file.")
@_compile_cache
def images(
    run: str, store: Path, data_dir: Path | None, attack: str | None, eps: str | None, output: Path, no_cache: bool
) -> None:
    """Write a run's adversarial images for other libraries, with the clean ones, labels and outcomes, as an npz file.

    RUN is an id, the beginning of one, or the file of a record. Images on infinite kernels are in the store; others are
    made again, for which the network is trained if it is not in the store. `kind: images` judges such a file.
    """
    from ntkbench.data.load import search_roots
    from ntkbench.data.user.images import write
    from ntkbench.results.diff import find
    from ntkbench.results.images import arrays, chosen, outcomes
    from ntkbench.store.store import Store

    kept = Store(store)
    record = find(run, kept)
    asked = chosen(record, attack, eps)
    configure()
    from ntkbench.run.execute import attacked

    keep_programs(_programs(no_cache))
    made = attacked(asked.run, asked.attack, kept, search_roots(data_dir))
    test, classes = made.data.test, made.data.classes
    found = arrays(asked, test, classes, made.crafted.images[asked.place])
    write(output, {**found, **outcomes(asked, record, Path(run).parent if run.endswith(".json") else kept.records)})
    how = f"from the store ({made.key})" if made.key else "made again: the store does not keep them"
    click.echo(f"{output}: {len(test)} images of {asked.attack} at {asked.eps}, {how}")


@click.command()
@_spec
@_store
@click.option("-o", "--output", type=FILE, default=Path("report.html"), show_default=True, help="File of the page.")
def report(spec: str, overrides: Sequence[str], smoke: bool, store: Path, output: Path) -> None:
    """Write the results of a spec as one HTML page: numbers, pictures, failed runs and failed checks."""
    from ntkbench import files
    from ntkbench.plan.read import read
    from ntkbench.store.store import Store

    planned = read(spec, overrides, smoke)
    from ntkbench.results.report import report  # imports matplotlib: mistakes in specs show before that

    options = [part for override in overrides for part in ("--set", override)] + ["--smoke"] * smoke
    files.write(output, report(planned, Store(store), options).encode())
    click.echo(output)
