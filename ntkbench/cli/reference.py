"""Commands about the program itself: installation, starter spec, listings, schema, reference pages."""

from pathlib import Path

import click

from ntkbench import files
from ntkbench.cli.options import FILE, FOLDER, _data_dir, _store
from ntkbench.reference import pages, starter
from ntkbench.reference.listing import listing
from ntkbench.run.settings import configure
from ntkbench.spec.schema import dumps


@click.command()
@_store
@_data_dir
def doctor(store: Path, data_dir: Path | None) -> int:
    """Check the installation: versions, devices, double precision, data sets, the store.

    Exit code 1 if something is wrong.
    """
    configure()
    from ntkbench.run.doctor import examine

    healthy, report = examine(store, data_dir)
    click.echo(report)
    return 0 if healthy else 1


@click.command()
@click.argument("path", type=FILE, default=Path("experiment.yaml"))
@click.option(
    "--template",
    type=click.Choice(starter.TEMPLATES),
    default=starter.TEMPLATES[0],
    show_default=True,
    help="Analysis that the spec is about.",
)
@click.option("--list", "listed", is_flag=True, help="Write nothing; list the templates and their questions.")
def init(path: Path, template: str, listed: bool) -> None:
    """Write a commented spec to start from. An existing file is never overwritten."""
    if listed:
        click.echo("\n".join(f"{name:<12}{question}" for name, question in starter.questions().items()))
        return
    starter.write(path, template)
    click.echo(f"{path}: edit it, then `ntkbench run {path}`")


@click.command("list")
@click.argument(
    "what", type=click.Choice(["specs", "datasets", "architectures", "kernels", "attacks", "analyses", "metrics"])
)
def list_(what: str) -> None:
    """List the specs that come with ntkbench, or what a spec can name: data sets, architectures, attacks, ..."""
    click.echo(listing(what))


@click.command()
@click.option("-o", "--output", type=FILE, help="Write to this file instead of standard output.")
def schema(output: Path | None) -> None:
    """Print the JSON Schema of specs, for editors."""
    if output is None:
        click.echo(dumps(), nl=False)
    else:
        files.write(output, dumps().encode())


@click.command()
@click.option("-o", "--output", type=FOLDER, default=Path("docs"), show_default=True, help="Folder of the pages.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a page is out of date.")
def reference(output: Path, check: bool) -> None:
    """Write the reference pages: spec.md, metrics.md, cli.md and api.md."""
    commands = click.get_current_context().find_root().command
    assert isinstance(commands, click.Group)
    changed = pages.write(output, commands, check)
    click.echo("\n".join(f"wrote {path}" for path in changed) or "every page is what the program says")
