"""What the runs of a sweep share: data, kernels, and examples crafted on kernels.

Each is made once, kept in the store, and remembered while it may be asked for again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ntkbench.analyses.craft import Crafted, Threat, craft
from ntkbench.analyses.subject import Subject
from ntkbench.bench import build, identity, sizes, spec, stages
from ntkbench.bench.store import Store
from ntkbench.data.dataset import Dataset, Split
from ntkbench.ntk import algorithms, features, gram, network, regression
from ntkbench.ntk.empirical import TRACE
from ntkbench.ntk.network import Network, Predictor

T = TypeVar("T")
Arrays = dict[str, np.ndarray]

_LOOKED_AT, _LOOKED_AT_INIT = 1000, 100
"""training examples on which the rates of learning are looked at: those of an infinite kernel, and of one at init"""
_REMEMBERED = 8
"""A sweep asks for the same few things again and again, and then never more."""


@dataclass(frozen=True)
class Made:
    """Something a stage gave: under which key, and whether it was there already."""

    value: Any
    key: str = ""
    cached: bool = False


@dataclass
class Laboratory:
    """A store, the folders of the data sets, and the memory that a tile may take."""

    store: Store
    roots: tuple[Path, ...]
    tile_bytes: float
    _memory: dict[str, Any] = field(default_factory=dict)

    def halved(self) -> "Laboratory":
        """One with half the memory for a tile. Both begin with nothing in mind, which leaves room."""
        self._memory.clear()
        return Laboratory(self.store, self.roots, self.tile_bytes / 2)

    def share(self, cell: spec.Cell, stage: stages.Shared, name: str) -> None:
        """Have in the store what runs have in common: an infinite kernel by its id, or what an attack makes on one."""
        if stage == "kernel":
            self._decomposed(cell, name)
        else:
            threat = build.threat(cell, name)
            source = self.regression(cell, threat.source).value
            self.crafted(cell, threat, self.subject(cell, threat.source, source, cell.numerics.kernel))

    def data(self, cell: spec.Cell) -> Dataset:
        return self._remember(stages.data_key(cell), lambda: build.examples(cell.data, self.roots))

    def regression(self, cell: spec.Cell, kernel_id: str) -> Made:
        """The predictor of an infinite kernel."""
        words = cell.kernels[kernel_id]

        def predictor() -> Made:
            made = self._decomposed(cell, kernel_id)
            kernel, X, spectrum, Y = made.value
            alpha = build.coefficients(spectrum, words, Y)
            return replace(
                made, value=regression.predictor(kernel, X, alpha.astype(X.dtype), tile_bytes=self.tile_bytes)
            )

        name = f"{stages.kernel_key(cell, kernel_id)} {words.time} {words.ridge}"
        known = name in self._memory
        made = self._remember(name, predictor)
        return replace(made, cached=known or made.cached)

    def eigensystem(self, cell: spec.Cell, kernel_id: str) -> Made:
        """Of an infinite kernel. Eigenvectors are large, and not remembered."""
        made = self._decomposed(cell, kernel_id)
        regression.require_regular(made.value[2])
        return replace(made, value=features.InfiniteEigensystem.of(*made.value))

    def rates(self, cell: spec.Cell, initial: Network) -> np.ndarray:
        """Return the eigenvalues of the network's kernel on the training examples: the rates at which it learns them.

        They are those of the infinite kernel, on at most `_LOOKED_AT` examples, where the network has one that compares
        matched positions alone; else those of the kernel at init, the mean over its outputs, on `_LOOKED_AT_INIT`. The
        eigenvalues of m examples out of n are scaled by n / m.
        """
        data = self.data(cell)
        n, words = len(data.train), spec.InfiniteKernel(kind="infinite")

        def eigenvalues(kernel: Array) -> np.ndarray:
            K = gram.matrix(np.asarray(kernel))
            return np.linalg.eigvalsh(K)[::-1] * (n / len(K))

        def infinite() -> np.ndarray:
            kernel = build.infinite_kernel(cell, words, build.outputs(data))
            X = jnp.asarray(data.train.unit("float64")[:_LOOKED_AT])
            return eigenvalues(gram.gram(kernel, X, tile_bytes=self.tile_bytes))

        if sizes.has_cheap_limit(cell):
            name = f"{stages.data_key(cell)} {identity.canonical(cell.architecture)} {cell.width}"
            return self._remember(name, infinite)  # which every seed and every kernel of a sweep asks for
        net = network.cast(initial, "float64")
        X = jnp.asarray(data.train.unit("float64")[:_LOOKED_AT_INIT])
        return eigenvalues(algorithms.ntk(net, X, layout=TRACE, tile_bytes=self.tile_bytes))

    def _decomposed(self, cell: spec.Cell, kernel_id: str) -> Made:
        """An infinite kernel, the training examples, its spectrum on them, and their targets."""
        words = cell.kernels[kernel_id]
        assert isinstance(words, spec.InfiniteKernel)
        data, key = self.data(cell), stages.kernel_key(cell, kernel_id)
        kernel = build.infinite_kernel(cell, words, build.outputs(data))
        X = jnp.asarray(data.train.unit(cell.numerics.kernel))

        def decomposed() -> Arrays:
            K = gram.gram(kernel, X, tile_bytes=self.tile_bytes)
            found = regression.Spectrum.of(gram.matrix(np.asarray(K)))
            build.require_sound(found, kernel_id, cell.numerics.kernel)  # else it would be kept
            return {name: np.asarray(getattr(found, name)) for name in ("eigenvalues", "eigenvectors")}

        arrays, cached = self._stored("kernel", key, decomposed)
        spectrum = regression.Spectrum(
            **{name: jnp.asarray(array) for name, array in arrays.items()}, precision=regression.round_off(X.dtype)
        )
        build.require_sound(spectrum, kernel_id, cell.numerics.kernel)  # an older one may have been kept
        Y = build.targets(cell.data, data.train.labels, build.outputs(data))
        return Made((kernel, X, spectrum, Y), key, cached)

    def subject(
        self, cell: spec.Cell, name: str, predictor: Predictor, dtype: str, examples: Split | None = None
    ) -> Subject:
        """A predictor with the test set, or other examples, in its precision."""
        data = self.data(cell)
        examples = examples or data.test
        batch = build.batch_size(len(examples), build.example_bytes(cell, name, len(data.train)), self.tile_bytes)
        if isinstance(predictor, regression.KernelPredictor):  # no more pairs at once than are worth having
            batch = min(batch, max(1, predictor.rows // len(data.train)))
        return Subject(name, predictor, jnp.asarray(examples.unit(dtype)), jnp.asarray(examples.labels), batch)

    def crafted(self, cell: spec.Cell, threat: Threat, source: Subject) -> Made:
        """What is made on an infinite kernel serves every network, so it is kept; the rest is used once.

        So is what is made on a kernel at the time of one network: `cell` is the one that was asked for, in which such a
        kernel has no time of its own.
        """

        def make() -> Arrays:
            made = craft(threat, source, key=build.attack_key(cell, threat.id))
            return {name: np.asarray(array) for name, array in vars(made).items()}

        if not stages.is_shared(cell.kernels.get(threat.source)):
            return Made(Crafted(**make()))
        key = stages.craft_key(cell, threat.id)
        known = key in self._memory
        arrays, cached = self._remember(key, lambda: self._stored("craft", key, make))
        return Made(Crafted(**arrays), key, known or cached)

    def _remember(self, key: str, make: Callable[[], T]) -> T:
        if key not in self._memory:
            made = make()
            while len(self._memory) >= _REMEMBERED:
                self._memory.pop(next(iter(self._memory)))
            self._memory[key] = made
        return self._memory[key]

    def _stored(self, stage: str, key: str, make: Callable[[], Arrays]) -> tuple[Arrays, bool]:
        """Loaded, or made under the key's lock: of two processes, one waits for what the other makes."""
        with self.store.lock(f"{stage}-{key}"):
            if (stored := self.store.load(stage, key)) is not None:
                return stored.arrays, True
            arrays = make()
            self.store.save(stage, key, arrays)
            return arrays, False
