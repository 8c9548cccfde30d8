"""Commands about leaderboards: build them, submit to them, verify and compare entries."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from rich.console import Console

from ntkbench.boards import comparand, pages, standings
from ntkbench.boards import compare as comparison
from ntkbench.boards import site as website
from ntkbench.boards import submit as entries
from ntkbench.boards import verify as checks
from ntkbench.boards.tracks import track
from ntkbench.cli.options import (
    FOLDER,
    _compile_cache,
    _data_dir,
    _engine,
    _leaderboards,
    _pairs,
    _programs,
    _spec,
    _store,
)
from ntkbench.data.places import search_roots
from ntkbench.errors import UsageError
from ntkbench.plan.read import read
from ntkbench.results.terminal import is_terminal
from ntkbench.run.job import Options
from ntkbench.run.progress import progress
from ntkbench.store import lookup
from ntkbench.store.store import Store


@click.group()
def leaderboard() -> None:
    """Make the pages of leaderboards from their entries."""


@leaderboard.command()
@_leaderboards
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a table does not agree with its entries.")
def build(folder: Path, check: bool) -> None:
    """Write README.md and table.csv of every leaderboard, and their index, from the entries alone."""
    changed = pages.build(folder, check)
    click.echo("\n".join(f"wrote {path}" for path in changed) or "every table is what its entries give")


@leaderboard.command()
@_leaderboards
@click.option("-o", "--output", type=FOLDER, required=True, help="Folder of the pages.")
def site(folder: Path, output: Path) -> None:
    """Write the leaderboards as a website that can be opened from disk or put on any host."""
    click.echo(website.site(standings.boards(folder), output))


@click.command()
@_spec
@_store
@_data_dir
@_leaderboards
@click.option("--track", "board", help="Leaderboard to submit to. Default: the one that the spec names.")
@click.option("--name", required=True, help="Name of the entry on the leaderboard.")
@click.option(
    "--where",
    multiple=True,
    metavar="AXIS=LABEL",
    help="Select the cells of the matrix that are submitted, e.g. --where width=512.",
)
@click.option("--author", "authors", multiple=True)
@click.option("--link", "links", multiple=True, help="URL of a paper or of code.")
@click.option("--replace", is_flag=True, help="Overwrite an existing entry of that name.")
@click.option("--allow-dirty", is_flag=True, help="Accept runs that were made with uncommitted changes of ntkbench.")
@click.option(
    "--mini/--no-mini", default=True, help="Run the track's small experiments too, with which others check the entry."
)
@_compile_cache
def submit(
    spec: str, overrides: Sequence[str], smoke: bool, store: Path, data_dir: Path | None, folder: Path,
    board: str | None, name: str, where: Sequence[str], authors: Sequence[str], links: Sequence[str], replace: bool,
    allow_dirty: bool, mini: bool, no_cache: bool,
) -> None:  # fmt: skip
    """Make a leaderboard entry from the finished runs of one cell of a spec, or of one cell per target of the track."""
    planned, kept = read(spec, overrides, smoke), Store(store)
    board = board or planned.header.track
    if board is None:
        raise UsageError(f"{spec} names no track: add one, or name it with --track transfer-fashion@2")
    runs, rules = entries.narrowed(planned.runs, _pairs(where, "--where")), track.read(folder / board)
    entry = entries.make(
        rules, runs, lookup.records(kept, runs), kept.records,
        name=name, authors=authors, links=links, allow_dirty=allow_dirty,
    )  # fmt: skip
    entries.free(entry, folder, replace)
    if mini:
        records = _run_again(checks.small(rules, entry), store / "mini", data_dir, no_cache)
        entry = checks.with_mini(entry, rules, records)
    click.echo(entries.next_steps(entries.save(entry, folder, replace), entry))


@click.command()
@click.argument("name", metavar="ENTRY")
@click.option(
    "--seeds",
    multiple=True,
    type=click.IntRange(0),
    help="Seed of the entry to run again, e.g. --seeds 0; may be repeated. Default: its first seed.",
)
@click.option(
    "--draw",
    "lot",
    metavar="TEXT",
    help="Also run one seed that is drawn from this text, so that the entry's author could not know which.",
)
@click.option("--mini", is_flag=True, help="Run the track's small experiments instead.")
@click.option(
    "--store", type=FOLDER, help="Store to run in; runs that it has are not repeated. Default: a temporary folder."
)
@_data_dir
@_leaderboards
@_compile_cache
def verify(
    name: str, seeds: Sequence[int], lot: str | None, mini: bool, store: Path | None, data_dir: Path | None,
    folder: Path, no_cache: bool,
) -> None:  # fmt: skip
    """Run an entry again, compare every number, and record that they agree. ENTRY is a file or TRACK/NAME.

    If a number differs by more than the track allows, nothing is written, and the exit code is 3.
    """
    if mini and (seeds or lot):
        raise UsageError("--mini is a run of its own; leave --seeds and --draw out")
    board, rules, entry = checks.claim(name, folder)
    seeds = [*seeds, checks.drawn(entry, lot)] if lot is not None else seeds
    runs = checks.mini_runs(rules, entry) if mini else checks.seed_runs(rules, entry, seeds)
    with TemporaryDirectory() as new:
        place = store or Path(new)
        records = _run_again(runs, place, data_dir, no_cache)
        reruns = [checks.rerun(rules, entry, record, Store(place).records) for record in records]
    click.echo("\n\n".join(checks.report(rules, entry, each) for each in reruns))
    click.echo(f"\n{checks.conclude(board, rules, entry, reruns)}")


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option(
    "--paired/--unpaired",
    default=True,
    help="Pair the two sides on their common test points, or treat them as independent samples.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="Metric to compare; may be repeated. Default: all metrics that both sides have.",
)
@click.option(
    "--where",
    multiple=True,
    metavar="NAME=VALUE",
    help="Show only numbers with this label, e.g. --where eps=8/255; may be repeated.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "plain", "md"]),
    help="Default: terminal on a terminal, otherwise plain.",
)
@_store
@_leaderboards
def compare(
    a: str, b: str, paired: bool, metrics: Sequence[str], where: Sequence[str], form: Any, store: Path, folder: Path
) -> None:
    """Compare two entries or two cells of specs: for each number that both have, the difference, its interval and p.

    A and B are each the file of an entry, TRACK/NAME, or a cell of a spec, SPEC:AXIS=LABEL,AXIS=LABEL, whose
    records are read from the store.
    """
    sides = [comparand.find(name, folder, Store(store)) for name in (a, b)]
    form = form or ("terminal" if is_terminal() else "plain")
    click.echo(comparison.compare(*sides, paired=paired, metrics=metrics, where=_pairs(where, "--where"), form=form))


def _run_again(runs: Sequence[Any], store: Path, data_dir: Path | None, no_cache: bool) -> Sequence[Any]:
    """Return the records of these runs; those that the store lacks are executed now."""
    engine = _engine()
    options, watcher = Options(programs=_programs(no_cache)), progress(Console(stderr=True))
    try:
        engine.execute(checks.planned(runs), Store(store), search_roots(data_dir), options, watcher)
    finally:
        watcher.close()
    return lookup.records(Store(store), runs)
