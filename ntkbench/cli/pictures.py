"""Commands about pictures and images: plot, images, report."""

from collections.abc import Sequence
from pathlib import Path

import click

from ntkbench import files
from ntkbench.cli.options import (
    FILE,
    FOLDER,
    PICTURES,
    _compile_cache,
    _data_dir,
    _engine,
    _programs,
    _spec,
    _specs,
    _store,
)
from ntkbench.data.places import search_roots
from ntkbench.data.user.images import write
from ntkbench.errors import UsageError
from ntkbench.plan.read import read
from ntkbench.results import diff as differences
from ntkbench.results import images as saved
from ntkbench.results import report as page
from ntkbench.results.plots import plot as plots
from ntkbench.results.plots import style
from ntkbench.results.plots.images import pairs
from ntkbench.run.settings import keep_programs
from ntkbench.store.record import Record
from ntkbench.store.store import Store


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
    if not specs and (overrides or smoke):
        raise UsageError("--set and --smoke change a spec: name one")
    planned, kept = [read(spec, overrides, smoke) for spec in specs], Store(store)

    results = [plots.results_of_plan(each, kept) for each in planned] or plots.results_of_store(kept)
    written = plots.plot(results, kept.records, output, form=form, analyses=analyses, budgets=budgets)
    click.echo("\n".join(map(str, written)))


@click.command()
@click.argument("run", metavar="RUN")
@_store
@_data_dir
@click.option("--attack", metavar="ID", help="Which attack of the run. Default: the only one.")
@click.option("--eps", metavar="BUDGET", help="Which budget, e.g. --eps 8/255. Default: the only one.")
@click.option("-o", "--output", type=FILE, default=Path("adv.npz"), show_default=True, help="The file.")
@click.option("--poisoned", is_flag=True, help="Write the poisoned training images in place of adversarial ones.")
@click.option(
    "--picture",
    type=FILE,
    metavar="FILE",
    help="Also draw some of the images, clean and moved, with what is predicted of them, as png, pdf or svg.",
)
@_compile_cache
def images(
    run: str, store: Path, data_dir: Path | None, attack: str | None, eps: str | None, output: Path, poisoned: bool,
    picture: Path | None, no_cache: bool,
) -> None:  # fmt: skip
    """Write a run's adversarial images for other libraries, with the clean ones, labels and outcomes, as an npz file.

    RUN is an id, the beginning of one, or the file of a record. Images on infinite kernels are in the store; others are
    made again, for which the network is trained if it is not in the store. `kind: images` judges such a file. With
    --poisoned the file is a data set (`kind: npz`) of poisoned training images and clean test images.
    """
    kept = Store(store)
    record = differences.find(run, kept)
    if picture and picture.suffix[1:] not in PICTURES:
        raise UsageError(f"--picture {picture}: no picture is written so; name it .{', .'.join(PICTURES)}")
    if poisoned:
        _write_poisoned(record, kept, data_dir, attack or eps, output, picture)
        return
    asked = saved.chosen(record, attack, eps)
    engine = _engine()
    keep_programs(_programs(no_cache))
    made = engine.attacked(asked.run, asked.attack, kept, search_roots(data_dir))
    test, classes = made.data.test, made.data.classes
    found = saved.arrays(asked, test, classes, made.crafted.images[asked.place])
    found |= saved.outcomes(asked, record, Path(run).parent if run.endswith(".json") else kept.records)
    write(output, found)
    how = f"from the store ({made.key})" if made.key else "made again: the store does not keep them"
    click.echo(f"{output}: {len(test)} images of {asked.attack} at {asked.eps}, {how}")
    if picture:
        style.save(pairs.of_file(found), picture)
        click.echo(f"{picture}: the first of them, those that were turned before others")


def _write_poisoned(
    record: Record, kept: Store, data_dir: Path | None, attacked: str | None, output: Path, picture: Path | None
) -> None:
    """Write the data set that a run was trained on; UsageError if its images are clean, or an attack is named."""
    if attacked:
        raise UsageError("--poisoned writes training images, which no attack made; leave out --attack and --eps")
    run = saved.poisoned_run(record)
    found = _engine().poisoned(run, kept, search_roots(data_dir))
    arrays = saved.poisoned_arrays(found.clean, found.poisoned)
    write(output, arrays)
    click.echo(f"{output}: {len(found.poisoned.train)} poisoned training images, and the test images")
    if picture:
        style.save(pairs.of_data_set(arrays), picture)
        click.echo(f"{picture}: the first training images")


@click.command()
@_spec
@_store
@click.option("-o", "--output", type=FILE, default=Path("report.html"), show_default=True, help="File of the page.")
def report(spec: str, overrides: Sequence[str], smoke: bool, store: Path, output: Path) -> None:
    """Write the results of a spec as one HTML page: numbers, pictures, failed runs and failed checks."""
    planned = read(spec, overrides, smoke)

    options = [part for override in overrides for part in ("--set", override)] + ["--smoke"] * smoke
    files.write(output, page.report(planned, Store(store), options).encode())
    click.echo(output)
