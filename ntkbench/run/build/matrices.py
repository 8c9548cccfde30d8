"""Compute the matrix of an infinite kernel: at once in memory, or in tiles that the store keeps.

K = KernelMatrix(kernel, X, tile_bytes, kept)      # `kept`: its tiles, or None where it is computed at once
K.fill()                                           # before the lock of what is made of it: others may help
alpha = K.solved(words, Y, name, dtype, factor_key)
"""

from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Array, Float

from ntkbench.errors import NumericsError
from ntkbench.ntk import gram, regression, sharded, tiled
from ntkbench.ntk.gram import Kernel
from ntkbench.ntk.sharded import Matrix
from ntkbench.plan import memory
from ntkbench.plan.cost.kernels import MATRICES
from ntkbench.plan.runs import Shard
from ntkbench.render import size
from ntkbench.run.build import kernels
from ntkbench.run.build.tiles import StoredTiles
from ntkbench.spec.kernels import InfiniteKernel


@dataclass(frozen=True)
class KernelMatrix:
    """Theta(X, X) of an infinite kernel; `kept`: its tiles in the store, None if it is computed at once."""

    kernel: Kernel
    X: Float[Array, "n ..."]
    tile_bytes: float
    kept: StoredTiles | None

    def fill(self, part: Shard | None = None) -> None:
        """Compute the tiles that are missing, or those of a part, together with other processes that do so."""
        if self.kept:
            self.kept.fill(part)

    def discard(self) -> None:
        """Remove the tiles from the store."""
        if self.kept:
            self.kept.discard()

    def entries(self) -> np.ndarray:
        """Return the matrix in the precision of the kernel, for a spectrum."""
        if self.kept:
            return tiled.whole(replace(self.kept.tiles, get=self.kept.read), np.dtype(self.X.dtype))
        return gram.matrix(np.asarray(gram.gram(self.kernel, self.X, tile_bytes=self.tile_bytes)))

    def to_factor(self) -> Matrix:
        """Return the matrix for a solve, in the host's memory as float64 numbers or in that of the accelerators."""
        if self.kept:
            return tiled.whole(replace(self.kept.tiles, get=self.kept.read), np.dtype(np.float64))
        if jax.default_backend() == "cpu":
            return gram.on_host(self.kernel, self.X, tile_bytes=self.tile_bytes)
        if len(jax.local_devices()) > 1:
            return sharded.gram(self.kernel, self.X, tile_bytes=self.tile_bytes)
        return gram.gram(self.kernel, self.X, tile_bytes=self.tile_bytes).reshape(len(self.X), len(self.X))

    def solved(self, words: InfiniteKernel, Y: np.ndarray, name: str, factor_key: str) -> np.ndarray:
        """Return alpha = (K + ridge)^-1 Y; NumericsError where the kernel is singular, or too large to tell.

        The tiles of the factor of a matrix that is larger than memory are kept under `factor_key` until it is solved.
        """
        dtype = str(self.X.dtype)
        if self.kept is None or 8 * len(self.X) ** 2 <= memory.matrix_bytes():
            return kernels.solved(self.to_factor(), words, Y, name, dtype)
        factor = replace(self.kept, stage="factor", key=f"{factor_key}@{self.kept.rows}", _held={})

        def kept_by_store(make: tiled.Get) -> tiled.Tiles:
            factor.make = make
            return factor.tiles

        try:
            alpha = regression.solve_in_tiles(
                self.kept.tiles, kept_by_store, Y, float(words.ridge), regression.round_off(dtype)
            )
        finally:
            self.kept.release()
            factor.release()
        factor.discard()
        if alpha is None:
            raise NumericsError(_undecided(name, len(self.X), dtype))
        return kernels.require_finite(alpha, "the coefficients of the regression", kernels.SCALE)


def _undecided(name: str, n: int, dtype: str) -> str:
    """Return a message on a kernel that may be singular, and too large for the spectrum that would tell."""
    single = dtype == "float32"
    return (
        f"kernel {name}: the kernel may be singular{' in float32' if single else ''}: one of its {n} eigenvalues may "
        f"be below round-off, or the matrix is not finite. All eigenvalues would tell, but take "
        f"{size(MATRICES * 8 * n**2)} of memory. "
        + ("Compute it with numerics.kernel: float64" if single else "Remove duplicate examples")
        + ", set a ridge, or use fewer training examples"
    )
