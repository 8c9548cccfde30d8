"""Commands about the store: its size, garbage, damage, index, and merges."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import click
from rich import progress
from rich.console import Console

from ntkbench.cli.options import FOLDER, STAGES, _store, _tell
from ntkbench.store import index, kept
from ntkbench.store.store import Store
from ntkbench.store.upkeep import audit, garbage, inventory
from ntkbench.store.upkeep import merge as merging

T = TypeVar("T")


@click.group("store")
def store_() -> None:
    """Inspect, clean, check and merge stores, the folders of records and cached stages."""


@store_.command()
@_store
def du(store: Path) -> None:
    """Show the disk space that a store takes, by kind of content."""
    click.echo(inventory.usage(inventory.items(Store(store)), index.summaries(Store(store))))


@store_.command("gc")
@_store
@click.option("--delete", is_flag=True, help="Delete the files. Without this option they are only listed.")
@click.option(
    "--older-than",
    default="7d",
    show_default=True,
    metavar="AGE",
    help="Only files that were not used for this long: 90s, 12h, 30d.",
)
@click.option(
    "--drop",
    multiple=True,
    type=click.Choice(STAGES),
    help="Delete all files of this stage, also those that records name.",
)
@click.option("--keep", multiple=True, type=click.Choice(STAGES), help="Keep all files of this stage.")
def gc_(store: Path, delete: bool, older_than: str, drop: Sequence[str], keep: Sequence[str]) -> None:
    """List, or delete, cached files that no record and no running process uses. Records are never deleted.

    A run that needs one of them later computes it again.
    """
    kept, policy = Store(store), garbage.Policy(garbage.seconds(older_than), drop, keep)
    found = garbage.collectable(kept, inventory.items(kept), index.summaries(kept), policy)
    if delete:
        found = list(garbage.remove(kept, found))
    click.echo(garbage.report(found))
    if garbage.is_in_use(kept):
        click.echo("a run is at work in this store: its objects are left alone until it ends", err=True)
    click.echo("deleted" if delete else "nothing was deleted: add --delete")


@store_.command("verify")
@_store
@click.option(
    "--repair", is_flag=True, help="Move damaged files to the folder `damaged` of the store. Nothing is deleted."
)
def verify_(store: Path, repair: bool) -> int:
    """Verify every cached file and every record of a store: checksums, format, run ids. The exit code is 3 if one is
    damaged."""
    kept = Store(store)
    items = audit.examinable(inventory.items(kept))
    found = [each for item in _track(items, "verify") if (each := audit.examine(kept, item)) is not None]
    moved = [path for each in found for path in audit.quarantine(kept, each)] if repair else []
    click.echo(audit.report(found, len(items), moved))
    return 3 if found else 0


@store_.command()
@_store
def reindex(store: Path) -> None:
    """Read all records again and rebuild the index that `status`, `plan` and `run` use, and delete the columns that
    `show`, `export` and `report` use, which they make again. Never needed in normal use."""
    built, damaged = index.build(Store(store))
    built.save()
    (store / kept.FILE).unlink(missing_ok=True)
    click.echo("\n".join([*(f"warning: {error}" for error in damaged), f"{len(built.entries)} records"]))


@store_.command()
@click.argument("others", nargs=-1, required=True, type=FOLDER, metavar="OTHER...")
@_store
@click.option("--objects/--no-objects", default=True, help="Copy cached stages too, or only records.")
def merge(others: Sequence[Path], store: Path, objects: bool) -> None:
    """Copy the records and cached stages of other stores into this one.

    A run that is in two stores must have the same numbers in both; otherwise the exit code is 3.
    """
    kept, found = Store(store), {}
    for other in others:
        for merged in _track(merging.merge(kept, other, objects=objects), str(other)):
            found[other] = merged
        for line in found[other].skipped:
            _tell(line)
    click.echo(merging.conclude(kept, found))


def _track(items: Iterable[T], what: str) -> Iterable[T]:
    """Yield the items; a terminal shows a progress bar meanwhile."""
    return progress.track(items, what, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
