"""Turn the data section of a spec into examples and regression targets."""

import functools
from collections.abc import Sequence
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ntkbench.data import dataset, load, synthetic
from ntkbench.data.catalog import DatasetInfo, class_numbers, entry
from ntkbench.errors import NumericsError
from ntkbench.ntk import losses
from ntkbench.plan import contents, user_files
from ntkbench.spec import extensions
from ntkbench.spec.data import Data, ExtensionDataset, FileDataset, NamedDataset, SphereTeacher, TwoGaussians


def examples(data: Data, roots: Sequence[Path]) -> dataset.Dataset:
    """Load or draw the training and test examples, all of them clean.

    DataError if a data set is not in `roots`, or is not as known.
    """
    match data.dataset:
        case NamedDataset(name=name):
            return _selected(data, load.load(name, roots), entry(name))
        case TwoGaussians() as s:
            return synthetic.two_gaussians(
                s.dim, s.distance, s.sd, data.n_train, data.n_test, data.seed, data.test_seed
            )
        case SphereTeacher() as s:
            return synthetic.sphere_teacher(s.dim, s.degree, data.n_train, data.n_test, data.seed, data.test_seed)
        case FileDataset() as words:
            known = words.entry
            assert known is not None, "plan.read fills in what files hold"
            return _selected(data, load.verified(user_files.find(words, roots).load(), known, known.name), known)
        case ExtensionDataset() as words:
            build = extensions.builder(words)
            with contents.requiring_declared_files(words, words.builder):
                built = build(words, roots)
            return _selected(data, load.verified(built, words.entry, f"the builder {words.builder}"), words.entry)


def held_out(data: Data, count: int, roots: Sequence[Path]) -> dataset.Split:
    """Return `count` more examples of the pool that the training examples are from, none of which is one of them.

    DataError if the pool has no more so many. A larger training set begins with the smaller one, whatever the data set.
    """
    more = examples(data.model_copy(update={"n_train": data.n_train + count}), roots).train
    return dataset.Split(*(part[data.n_train :] for part in (more.images, more.labels, more.index)))


def _selected(data: Data, whole: dataset.Dataset, known: DatasetInfo) -> dataset.Dataset:
    """Return the classes and the subset of a whole data set that the data section asks for."""
    numbers = class_numbers(known, data.classes)
    return dataset.select(whole, numbers, data.n_train, data.n_test, data.subset, data.seed, data.test_seed)


def outputs(examples: dataset.Dataset) -> int:
    """Return the number of outputs of a network: one a class, a single one for two classes."""
    c = len(examples.classes)
    return 1 if c == 2 else c


def require_classes(examples: dataset.Dataset) -> None:
    """Raise NumericsError if a split has one class alone: the usefulness of features is undefined then."""
    for name, split in (("training", examples.train), ("test", examples.test)):
        found = np.unique(split.labels)
        if len(found) < 2:
            raise NumericsError(
                f"all {len(split)} {name} examples are of one class, {examples.classes[found[0]]}: no feature tells "
                "classes apart there; take more examples, or subset: balanced"
            )


def targets(data: Data, labels: np.ndarray, outputs: int) -> jax.Array:
    """Return the regression targets of integer labels, (n, outputs), float64."""
    return _encoded(jnp.asarray(labels), outputs, data.targets == "centered")


def fitted_targets(data: Data, labels: np.ndarray, outputs: int, loss: str) -> jax.Array:
    """Return what a network that fits its training examples puts out, (n, outputs), float64.

    These are the regression targets for the loss `mse`, and the probabilities of the classes for any other.
    """
    return _encoded(jnp.asarray(labels), outputs, loss == "mse" and data.targets == "centered")


@eqx.filter_jit
def _encoded(labels, outputs, centered):
    encode = functools.partial(losses.encode, c=outputs, centered=centered, dtype=jnp.float64)
    return jax.vmap(encode)(labels)
