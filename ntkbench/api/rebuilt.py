"""Build the predictors of a run again, from the store as far as it has them, and compute with them.

    of = predictors(planned, run, shared(planned, store, roots, {}))
    train, test = kernel(of, "limit")

JAX has to be configured before this module is imported (`run.settings.configured`).
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkbench.analyses.crafting import brought_into
from ntkbench.analyses.evaluator import Evaluator
from ntkbench.api.images import Images, PoisonedImages
from ntkbench.errors import UsageError
from ntkbench.labels import same_label
from ntkbench.ntk import attacks, gram
from ntkbench.ntk import features as eigen
from ntkbench.ntk.losses import predict
from ntkbench.ntk.network import Trainable
from ntkbench.plan import memory
from ntkbench.plan.runs import Plan, Run
from ntkbench.plan.runs import key as units_key
from ntkbench.plan.selections import shown_to
from ntkbench.run import environment
from ntkbench.run.build.poison import clean as without_poison
from ntkbench.run.predictors import Predictors, of_earlier_run
from ntkbench.run.shared import SharedStages
from ntkbench.spec.attacks import SELF
from ntkbench.spec.cell import Cell
from ntkbench.store.store import Store


def shared(planned: Plan, store: Store, roots: tuple[Path, ...], given: Mapping[str, Trainable]) -> SharedStages:
    """Return what the runs of a plan share, with the networks that were given; UsageError if JAX finds no device."""
    environment.require_device()
    tile_bytes = memory.tile_bytes(planned.header.run.tile_bytes, environment.accelerator_bytes())
    return SharedStages(store, roots, tile_bytes, given)


def predictors(planned: Plan, run: Run, shared: SharedStages) -> Predictors:
    """Return the predictors of a run; its network is trained only if the store does not have it.

    It is then trained together with the seeds with which the run would be.
    """
    key = units_key(run)
    together = {each.seed for each in planned.runs if units_key(each) == key}
    return of_earlier_run(shared, run, together, int(planned.header.run.checkpoint_every))


def images(of: Predictors, attack: str, eps: str | Fraction | float | None, target: str | None) -> Images:
    """Return the test images before and after an attack, and what the target predicts; UsageError for a budget that
    the attack does not have."""
    name = target or _shown_to(of.cell, attack)
    if name == SELF and not of.cell.has_network:
        raise UsageError(f"this cell has no network; name a kernel as target: {', '.join(of.cell.kernels)}")
    judge = of.evaluator(name)
    threat, crafted = of.attacked(attack, judge)
    budgets = tuple(budget.label for budget in threat.budgets)
    at = len(budgets) - 1 if eps is None else _position(str(eps), budgets, attack)
    adversarial = brought_into(threat, crafted, judge)[at]
    data = of.shared.data(of.cell)
    return Images(
        attack,
        budgets[at],
        name,
        np.asarray(judge.X),
        np.asarray(adversarial),
        np.asarray(data.test.labels),
        _predicted(judge, judge.X),
        _predicted(judge, adversarial),
        data.classes,
    )


def poisoned(shared: SharedStages, cell: Cell) -> PoisonedImages:
    """Return the training images before and after they were poisoned; UsageError if they are clean."""
    poison = cell.data.poison
    if poison is None:
        raise UsageError("the training images are clean: this cell has no data.poison")
    clean, data = shared.data(without_poison(cell)).train, shared.data(cell)
    return PoisonedImages(poison.kind, poison.eps.label, clean.unit(), data.train.unit(), clean.labels, data.classes)


def _shown_to(cell: Cell, attack: str) -> str:
    """Return the target of the first analysis that shows the attack to one; else the network, or the first kernel."""
    return next(shown_to(cell, attack), SELF if cell.has_network else next(iter(cell.kernels), SELF))


def _position(eps: str, there: Sequence[str], attack: str) -> int:
    for i, each in enumerate(there):
        if same_label(eps, each):
            return i
    raise UsageError(f"{attack} has no eps {eps}; it has {', '.join(there)}")


def _predicted(judge: Evaluator, images: Any) -> np.ndarray:
    """Return the class that a predictor gives to each image."""
    found = attacks.outputs(judge.predictor, jnp.asarray(images), batch_size=judge.batch_size)
    return np.asarray(jax.vmap(predict)(found))


def kernel(of: Predictors, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a kernel on the training examples, made of its spectrum, and between test and training examples."""
    of_pairs, X, spectrum, _ = of.decomposed(name)
    values, vectors = np.asarray(spectrum.eigenvalues), np.asarray(spectrum.eigenvectors)
    train = (vectors * values) @ vectors.T
    test = gram.gram(of_pairs, _test(of), X, tile_bytes=of.shared.tile_bytes)
    return (train + train.T) / 2, gram.matrix(np.asarray(test))


def features(of: Predictors, name: str, indices: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values, input gradients and eigenvalues of features; UsageError for one that the kernel does not have."""
    system = of.eigensystem(name)
    every = system.spectrum.eigenvalues
    if not indices or not all(0 <= i < every.size for i in indices):
        raise UsageError(f"the features of {name} are 0 to {every.size - 1}; asked for are {list(indices)}")
    family = eigen.family(system, eigen.spans(every, np.array([[i, i + 1] for i in indices])))
    X, labels = _test(of), jnp.asarray(of.split("test").labels)
    found = eigen.values(family, X), eigen.gradients(family, X, labels), every[np.array(indices)]
    return np.asarray(found[0]), np.asarray(found[1]), np.asarray(found[2])


def _test(of: Predictors) -> jax.Array:
    """Return the test examples in the precision of kernels."""
    return jnp.asarray(of.split("test").unit(of.cell.numerics.kernel))
