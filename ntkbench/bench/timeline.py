"""The time line of a training: moments are exact numbers of epochs since its start, and fall on steps.

A training that is linearized has two stretches, and counts the steps of each from 0. The first is a training of
its own, shared by all that are linearized later.
"""

from fractions import Fraction

from ntkbench.bench.blueprint import operations
from ntkbench.bench.regimes import Trained, explicit
from ntkbench.bench.spec import Cell


def steps(cell: Cell) -> int:
    """Of an epoch."""
    assert isinstance(cell.training, Trained)
    whole, left = divmod(cell.data.n_train, cell.training.batch_size or cell.data.n_train)
    return whole + (left > 0 and not drops_last(cell))


def drops_last(cell: Cell) -> bool:
    """Whether an epoch leaves out the example that would be a batch of its own: batch normalization needs two."""
    assert isinstance(cell.training, Trained)
    alone = cell.data.n_train % (cell.training.batch_size or cell.data.n_train) == 1
    return alone and "batch_norm" in operations(cell.architecture)


def first(cell: Cell) -> int:
    """The epoch at which the cell's last stretch begins."""
    assert isinstance(cell.training, Trained)
    return cell.training.linearize_at or 0


def length(cell: Cell) -> int:
    """Epochs of the cell's last stretch."""
    assert isinstance(cell.training, Trained)
    return cell.training.epochs - first(cell)


def beginning(cell: Cell) -> Cell | None:
    """The cell of the first of two stretches."""
    if first(cell) == 0:
        return None
    update = {"epochs": first(cell), "linearize_at": None, "centered": False, "until": None}
    return cell.model_copy(update={"training": explicit(cell.training).model_copy(update=update)})


def place(cell: Cell, moment: Fraction) -> tuple[Cell, int]:
    """The cell in whose last stretch a moment falls, and after how many of its steps.

    The end of the first of two stretches is its own: there stands the network, not yet linearized.
    """
    earlier = beginning(cell)
    if earlier is not None and moment <= first(cell):
        return place(earlier, moment)
    return cell, round((moment - first(cell)) * steps(cell))
