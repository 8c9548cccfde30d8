"""The command about weights of networks: weights."""

from pathlib import Path

import click

from ntkbench.cli.options import FILE, _data_dir, _engine, _store
from ntkbench.data.places import search_roots
from ntkbench.data.user.weights import write
from ntkbench.results import diff as differences
from ntkbench.store.comparison import run_of
from ntkbench.store.store import Store


@click.command()
@click.argument("run", metavar="RUN")
@_store
@_data_dir
@click.option("--at", default="final", show_default=True, help="init, final, or an epoch that the run kept.")
@click.option("-o", "--output", type=FILE, default=Path("net.safetensors"), show_default=True, help="The file.")
def weights(run: str, store: Path, data_dir: Path | None, at: str, output: Path) -> None:
    """Write the weights of a run's network as a safetensors file, in which every array has a name.

    RUN is an id, the beginning of one, or the file of a record. The network is trained again if it is not in the store.
    `training: {mode: pretrained, weights: FILE}` takes such a file.
    """
    kept = Store(store)
    asked = run_of(differences.find(run, kept))
    found = _engine().weights(asked, at, kept, search_roots(data_dir))
    write(output, found)
    click.echo(f"{output}: {sum(array.size for array in found.values())} weights in {len(found)} arrays")
