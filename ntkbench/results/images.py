"""Images of a run for other libraries: which attack at which budget, and the arrays of the file.

`ntkbench images` asks `chosen`, makes the images or finds them in the store, and writes `arrays` and `outcomes`. Of a
run whose training images are poisoned it can write these, `poisoned_arrays`.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from ntkbench.data.dataset import Dataset, Split
from ntkbench.errors import UsageError
from ntkbench.plan.runs import Run
from ntkbench.plan.selections import attacks_shown, targets
from ntkbench.plan.sizes import inputs
from ntkbench.store.arrays import column, read_samples
from ntkbench.store.comparison import run_of
from ntkbench.store.record import Record
from ntkbench.text import did_you_mean


@dataclass(frozen=True)
class AttackOfRun:
    """One attack of a run at one of its budgets."""

    run: Run
    attack: str
    eps: str
    place: int
    """position of the budget among those of the attack"""


def chosen(record: Record, attack: str | None, eps: str | None) -> AttackOfRun:
    """Return an attack and a budget of a run; where one is None, the only one that there is.

    Raise UsageError if the run has no such attack or budget, or several and none is named; NtkbenchError if the run
    uses a kind that is not installed here.
    """
    run = run_of(record)
    cell = run.cell
    name = _one(attack, list(cell.attacks), f"run {run.id}", "attack", attack)
    budgets = list(map(str, cell.attacks[name].eps))
    budget = _one(_exact(eps), budgets, f"the attack {name}", "eps", eps)
    return AttackOfRun(run, name, budget, budgets.index(budget))


def _exact(eps: str | None) -> str | None:
    """Return a budget as records write it: 8/255 for 16/510; what is no number as it is."""
    try:
        return None if eps is None else str(Fraction(eps))
    except (ValueError, ZeroDivisionError):
        return eps


def _one(word: str | None, known: list[str], whose: str, option: str, said: str | None) -> str:
    """Return `word` if it is known, or the only word known if it is None; raise UsageError otherwise."""
    if word is None and len(known) == 1:
        return known[0]
    listed = ", ".join(known) or "none"
    if word is None:
        raise UsageError(f"{whose} has {len(known)} of --{option}; name one of {listed}")
    if word not in known:
        raise UsageError(f"{whose} has no {option} {said}{did_you_mean(word, known) or f'; it has {listed}'}")
    return word


def arrays(of: AttackOfRun, test: Split, classes: tuple[str, ...], images: np.ndarray) -> dict[str, np.ndarray]:
    """Return the arrays of the file: attacked images (n, h, w, c), those that they were made of, and what they are."""
    attack = of.run.cell.attacks[of.attack]
    return {
        "x_adv": images,
        "x_clean": test.unit(images.dtype),
        "y": test.labels,
        "index": test.index,
        "class_names": np.array(classes),
        "norm": np.array(attack.norm),
        "eps": np.array(attack.eps[of.place].on(inputs(of.run.cell)).radius),
    }


def poisoned_run(record: Record) -> Run:
    """Return a record's run; UsageError if its training images are clean, NtkbenchError as `chosen`."""
    run = run_of(record)
    if run.cell.data.poison is None:
        raise UsageError(f"the training images of run {run.id} are clean: its spec has no data.poison")
    return run


def poisoned_arrays(clean: Dataset, poisoned: Dataset) -> dict[str, np.ndarray]:
    """Return the arrays of a data set in an npz file (`kind: npz`) with the poisoned training images and the clean
    test images, with `x_clean`, the training images before, and `index`, their places in the original data set."""
    return {
        "x_train": poisoned.train.unit(),
        "y_train": poisoned.train.labels,
        "x_test": poisoned.test.unit(),
        "y_test": poisoned.test.labels,
        "class_names": np.array(poisoned.classes),
        "x_clean": clean.train.unit(),
        "index": clean.train.index,
    }


def outcomes(of: AttackOfRun, record: Record, folder: Path) -> dict[str, np.ndarray]:
    """Return which predictor judged these images in the run, and whether it was right on clean and on attacked ones.

    Return nothing if none did, or the record kept no outcomes in `folder`.
    """
    if record.samples is None:
        return {}
    for name, analysis in of.run.cell.analyses.items():
        columns = {"correct_clean": column(name, "clean"), "correct_adv": column(name, f"{of.attack}@{of.eps}")}
        if of.attack in attacks_shown(of.run.cell, analysis) and set(columns.values()) <= set(record.samples.columns):
            samples = read_samples(folder, record)
            found = {key: samples[each] for key, each in columns.items()}
            (target,) = targets(of.run.cell, analysis)
            return {"target": np.array(target), **found}
    return {}
