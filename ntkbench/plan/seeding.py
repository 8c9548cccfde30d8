"""Turn a seed of a spec into the experiment that it stands for.

The seeds of a spec repeat an experiment. With `seed_of: run` they draw what the run draws, the network's initial
weights and the order of its batches, on one training set. With `seed_of: data` each also draws a training set of its
own from the same pool, while the test points stay: what varies then is what another training set would have given.
"""

from typing import Literal

from ntkbench.spec.cell import Cell

SeedOf = Literal["run", "data"]


def for_seed(cell: Cell, seed: int, seed_of: SeedOf) -> Cell:
    """Return the cell that is run for a seed of the spec: `cell` itself, or with the training subset of that seed."""
    if seed_of == "run":
        return cell
    data = cell.data.model_copy(update={"seed": seed, "test_seed": test_seed(cell)})
    return cell.model_copy(update={"data": data})


def shared(cell: Cell) -> Cell:
    """Return what `of_seed` was given: the cell without its training subset, the same for all subsets."""
    data = cell.data.model_copy(update={"seed": test_seed(cell), "test_seed": None})
    return cell.model_copy(update={"data": data})


def test_seed(cell: Cell) -> int:
    """Return the seed that draws the cell's test points."""
    return cell.data.seed if cell.data.test_seed is None else cell.data.test_seed
