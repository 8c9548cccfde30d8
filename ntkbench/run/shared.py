"""Compute once what the runs of a sweep share: data, poisoned or not, infinite kernels, and examples crafted on them.

Each is computed once, kept in the store under a key (`keys`), and remembered by the process while the next runs may
need it. The worker owns a `SharedStages`; each run's predictors ask it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ntkbench.analyses.crafting import BudgetedAttack, Crafted, as_crafted, craft
from ntkbench.analyses.evaluator import Evaluator
from ntkbench.data.dataset import Dataset, Split
from ntkbench.ntk import features, given, regression, tiled
from ntkbench.ntk.network import Predictor, Trainable
from ntkbench.plan import keys, sizes, user_files
from ntkbench.plan.cost.kernels import tile_rows
from ntkbench.plan.runs import Shard
from ntkbench.run import environment
from ntkbench.run.build import attacks, kernels, networks, poison, training
from ntkbench.run.build.data import examples, outputs, targets
from ntkbench.run.build.matrices import KernelMatrix
from ntkbench.run.build.tiles import StoredTiles
from ntkbench.spec import identity
from ntkbench.spec.architectures import FunctionNetwork
from ntkbench.spec.attacks import GivenImages
from ntkbench.spec.cell import Cell
from ntkbench.spec.kernels import InfiniteKernel
from ntkbench.store.store import Store

T = TypeVar("T")
Arrays = dict[str, np.ndarray]

_REMEMBERED = 8
"""values that a process remembers; a sweep asks for few things again and again, and then never more"""
_TOGETHER = 64
"""test examples that are compared with all training examples at once, at least: fewer would wait for memory"""


@dataclass(frozen=True)
class StageResult:
    """A value, its key in the store (empty if it is not kept), and whether it was there already."""

    value: Any
    key: str = ""
    cached: bool = False


@dataclass
class SharedStages:
    """Shared computations of one process.

    `roots`: folders of data sets; `tile_bytes`: memory for the tile of a kernel that is computed at once; `given`: the
    predictors that architectures of the kind `given` stand for, by their SHA-256.
    """

    store: Store
    roots: tuple[Path, ...]
    tile_bytes: float
    given: Mapping[str, Trainable] = field(default_factory=dict)
    tell: Callable[[str], None] = lambda what: None
    """receives what is going on in a long stage, and may raise to end it"""
    _memory: dict[str, Any] = field(default_factory=dict)

    def telling(self, tell: Callable[[str], None]) -> "SharedStages":
        """Return these shared stages, with all that they remember, as ones that tell what is going on to `tell`."""
        return replace(self, tell=tell)

    def with_half_tiles(self) -> "SharedStages":
        """Return shared stages with tiles of half the size, and drop what this one remembers to free memory."""
        self._memory.clear()
        return SharedStages(self.store, self.roots, self.tile_bytes / 2, self.given, self.tell)

    def data(self, cell: Cell) -> Dataset:
        """Return the cell's training and test examples, the training images poisoned where the cell says so."""

        def made() -> Dataset:
            if not cell.data.poison:
                return examples(cell.data, self.roots)
            clean, images = self.data(poison.clean(cell)), self.poisoned(cell).value["images"]
            return replace(clean, train=replace(clean.train, images=images))

        return self._remember(keys.data_key(cell), made)

    def poisoned(self, cell: Cell) -> StageResult:
        """Return the arrays of `build.poison.poisoned`, and keep them."""
        key = keys.poison_key(cell)

        def made() -> Arrays:
            return poison.poisoned(cell, self.data(poison.clean(cell)).train, self.roots, self.tile_bytes)

        arrays, cached = self._stored("poison", key, made)
        return StageResult(arrays, key, cached)

    def regression(self, cell: Cell, kernel_id: str) -> StageResult:
        """Return the predictor of an infinite kernel, with its time and ridge."""
        words, (stage, key) = cell.kernels[kernel_id], keys.regression_stage(cell, kernel_id)

        def predictor() -> StageResult:
            K, _ = self._matrix(cell, kernel_id)
            made = (self.solved if stage == "solve" else self._filtered)(cell, kernel_id)
            alpha = made.value.astype(K.X.dtype)
            return replace(made, value=regression.predictor(K.kernel, K.X, alpha, tile_bytes=self.tile_bytes))

        name = f"{key} {words.time} {words.ridge}"  # the key of a solve knows the fit
        known = name in self._memory
        made = self._remember(name, predictor)
        return replace(made, cached=known or made.cached)

    def eigensystem(self, cell: Cell, kernel_id: str, *, whole: bool = True) -> StageResult:
        """Return the eigensystem of an infinite kernel. Raise an error if the kernel is singular.

        `whole`: with all features, or the first that the cell's analyses ask for. Eigenvectors are not remembered.
        """
        made = self.decomposed(cell, kernel_id, whole=whole)
        regression.require_regular(made.value[2])
        return replace(made, value=features.InfiniteEigensystem.of(*made.value))

    def rates(self, cell: Cell, initial: Trainable) -> np.ndarray:
        """Return the rates of learning of a cell's network, see `build.training.rates`."""
        data = self.data(cell)

        def made() -> np.ndarray:
            return training.rates(cell, initial, data.train, outputs(data), self.tile_bytes)

        if not sizes.has_cheap_limit(cell):
            return made()
        name = f"{keys.data_key(cell)} {identity.canonical(cell.architecture)} {cell.width}"
        return self._remember(name, made)  # since every seed and every kernel of a sweep asks for it

    def _matrix(self, cell: Cell, kernel_id: str) -> tuple[KernelMatrix, Array]:
        """Return the matrix of an infinite kernel on the training examples, not computed yet, and their targets."""
        words, data, kept = cell.kernels[kernel_id], self.data(cell), None
        assert isinstance(words, InfiniteKernel)
        kernel = kernels.infinite_kernel(cell, words, outputs(data))
        X = jnp.asarray(data.train.unit(cell.numerics.kernel))
        if rows := tile_rows(cell, words, environment.accelerators_bytes()):
            key = f"{keys.kernel_key(cell, kernel_id)}@{rows}"
            make = partial(tiled.tile, kernel, X, rows, tile_bytes=self.tile_bytes)
            kept = StoredTiles(self.store, "tile", key, len(X), rows, make, kernel_id, self.tell)
        return KernelMatrix(kernel, X, self.tile_bytes, kept), targets(cell.data, data.train.labels, outputs(data))

    def _filtered(self, cell: Cell, kernel_id: str) -> StageResult:
        """Return the coefficients of a regression by the spectrum of its kernel."""
        made = self.decomposed(cell, kernel_id)
        _, _, spectrum, Y = made.value
        return replace(made, value=kernels.coefficients(spectrum, cell.kernels[kernel_id], Y))

    def solved(self, cell: Cell, kernel_id: str) -> StageResult:
        """Return the coefficients of a regression at infinite time, or of another fit, and keep them.

        They come from the spectrum if it is there or another fit asks for it, else from one solve. Raise an error if
        the kernel is singular.
        """
        key, words = keys.solve_key(cell, kernel_id), cell.kernels[kernel_id]
        assert isinstance(words, InfiniteKernel)
        decomposed = bool(words.fit) or self.store.has("kernel", keys.kernel_key(cell, kernel_id))

        def coefficients() -> Arrays:
            if words.fit:
                found, labels = self.decomposed(cell, kernel_id).value, self.data(cell).train.labels
                alpha = kernels.fitted(cell, kernel_id, *found, labels=labels, tile_bytes=self.tile_bytes)
                return {"alpha": np.asarray(alpha)}
            if decomposed:
                return {"alpha": np.asarray(self._filtered(cell, kernel_id).value)}
            return {"alpha": K.solved(words, np.asarray(Y), kernel_id, key)}

        K, Y = self._matrix(cell, kernel_id)
        arrays, cached = self._stored("solve", key, coefficients, *(() if decomposed else (K.fill,)))
        return StageResult(jnp.asarray(arrays["alpha"]), key, cached)

    def decomposed(self, cell: Cell, kernel_id: str, *, whole: bool = True) -> StageResult:
        """Return an infinite kernel, the training examples X, its spectrum on X, and their targets Y.

        `whole`: all of the spectrum, or what the cell's analyses ask for (`plan.cost.spectra`). Raise an error if the
        spectrum is not finite or has no positive eigenvalue; such a one is not stored.
        """
        key, top, dtype = keys.kernel_key(cell, kernel_id), None, cell.numerics.kernel
        if not whole and not self.store.has("kernel", key):
            key, top = keys.spectrum_stage(cell, kernel_id)
        K, Y = self._matrix(cell, kernel_id)

        def decomposed() -> Arrays:
            if top is None:
                found = kernels.decomposed(K.entries(), kernel_id, dtype)
            else:
                alone = kernels.leading(K.to_factor(), top, kernel_id, dtype)
                found = alone or self.eigensystem(cell, kernel_id).value.spectrum
            return {name: np.asarray(getattr(found, name)[..., :top]) for name in ("eigenvalues", "eigenvectors")}

        arrays, cached = self._stored("kernel", key, decomposed, first=K.fill)
        if top is None and not cached:
            K.discard()  # the spectrum stands for them
        return StageResult((K.kernel, K.X, kernels.spectrum(arrays, kernel_id, dtype), Y), key, cached)

    def fill(self, cell: Cell, kernel_id: str, part: Shard | None = None) -> None:
        """Compute the tiles of a kernel matrix that the store lacks, or those of a part, if it is kept in tiles."""
        if not self.store.has("kernel", keys.kernel_key(cell, kernel_id)):  # all eigenpairs stand for the tiles
            self._matrix(cell, kernel_id)[0].fill(part)

    def evaluator(
        self, cell: Cell, name: str, predictor: Predictor, dtype: str, examples: Split | None = None
    ) -> Evaluator:
        """Return a predictor with the test set, or with other examples, in the precision `dtype`."""
        data = self.data(cell)
        examples = examples or data.test
        batch = kernels.batch_size(len(examples), self.example_bytes(cell, name, len(data.train)), self.tile_bytes)
        if isinstance(predictor, regression.KernelPredictor):  # larger tiles of pairs bring no speed
            at_once = predictor.rows // len(data.train)
            batch = min(batch, max(_TOGETHER, at_once) if at_once else 1)
        return Evaluator(name, predictor, jnp.asarray(examples.unit(dtype)), jnp.asarray(examples.labels), batch)

    def networks(self, cell: Cell, seeds: Sequence[int]) -> Trainable:
        """Return the networks of some seeds before their training, stacked along a first axis."""
        return networks.initial(cell, seeds, self.data(cell).train, self.given, self.roots)

    def example_bytes(self, cell: Cell, name: str, rows: int, budgets: int | None = None) -> int:
        """Return the bytes that the gradient at one test example takes, through the predictor of that name.

        `rows`: the number of training examples that a kernel compares with at once; `budgets`: the number of budgets
        that an attack takes together, by default those of the cell's attacks.
        """
        kept = sizes.activations(sizes.network(cell))
        if isinstance(cell.architecture, FunctionNetwork):
            kept = self._remember(f"{keys.training_key(cell)} kept", lambda: self._kept_values(cell))
        return kernels.example_bytes(cell, name, rows, kept, budgets)

    def _kept_values(self, cell: Cell) -> int:
        """Return about how many numbers a backward pass through a network that is a function keeps of an example."""
        drawn = networks.unstack(self.networks(cell, (0,)), 0)
        return given.kept_values(drawn, self.data(cell).test.images.shape[1:], cell.numerics.network)

    def crafted(self, cell: Cell, threat: BudgetedAttack, source: Evaluator) -> StageResult:
        """Return the test examples that an attack makes on `source`.

        Those made on an infinite kernel serve every network and are stored; others are used once. A kernel whose time
        is matched to one network is of the second kind: so `cell` has to be the cell of the spec, where such a kernel
        has no time yet.
        """
        words = cell.attack(threat.id)
        if isinstance(words, GivenImages):
            return StageResult(self.given_images(cell, threat.id))

        def make() -> Arrays:
            made = craft(threat, source, key=attacks.attack_key(cell, threat.id))
            return {name: np.asarray(array) for name, array in vars(made).items()}

        if not keys.is_shared(cell.kernels.get(threat.source)):
            return StageResult(Crafted(**make()))
        key = keys.craft_key(cell, threat.id)
        known = key in self._memory
        arrays, cached = self._remember(key, lambda: self._stored("craft", key, make))
        return StageResult(Crafted(**arrays), key, known or cached)

    def given_images(self, cell: Cell, attack_id: str) -> Crafted:
        """Return the images of an attack that were made elsewhere.

        Raise DataError if their file is not there, or test examples have no image within the budget in it.
        """
        words, threat, test = cell.attacks[attack_id], attacks.attack(cell, attack_id), self.data(cell).test
        assert isinstance(words, GivenImages)

        def read() -> Crafted:
            (radius,) = threat.radii
            images = user_files.find(words, self.roots).load(test, float(radius), words.norm)
            return as_crafted(threat, images, test.unit())

        return self._remember(f"{keys.data_key(cell)} {identity.canonical(words)}", read)

    def _remember(self, key: str, make: Callable[[], T]) -> T:
        """Return the value remembered under `key`, or make it; the oldest value makes room."""
        if key not in self._memory:
            made = make()
            while len(self._memory) >= _REMEMBERED:
                self._memory.pop(next(iter(self._memory)))
            self._memory[key] = made
        return self._memory[key]

    def _stored(
        self, stage: str, key: str, make: Callable[[], Arrays], first: Callable[[], None] = lambda: None
    ) -> tuple[Arrays, bool]:
        """Return a stage's arrays, and whether they were in the store; otherwise make and save them.

        The key's lock makes a second process wait for the first instead of doing the same work; `first` is done before,
        by both.
        """
        if not self.store.has(stage, key):
            first()
        with self.store.lock(f"{stage}-{key}"):
            if (stored := self.store.load(stage, key)) is not None:
                return stored.arrays, True
            arrays = make()
            self.store.save(stage, key, arrays)
            return arrays, False
