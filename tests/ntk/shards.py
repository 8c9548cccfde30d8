"""A program for a process of its own: a matrix by rows on several devices against the same matrix on one.

Its arguments are names of checks, some with a number of rows: `solve:299`.
"""

import sys
from collections.abc import Callable
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding

from ntkbench.errors import NumericsError
from ntkbench.ntk import cholesky, gram, infinite, regression, sharded, sharded_cholesky
from ntkbench.ntk.row_layout import ROWS, RowLayout
from ntkbench.ntk.sharded import ShardedMatrix
from ntkbench.run.build import kernels
from ntkbench.run.build.matrices import KernelMatrix
from ntkbench.spec.kernels import InfiniteKernel
from tests.ntk.spread import RECIPES

SIZES = {"vectors": 299, "rows": 67}
TILE = 2e5
RNG = np.random.default_rng(0)


def placed(K: np.ndarray) -> ShardedMatrix:
    """Share a matrix of the host among all devices."""
    layout = RowLayout.of(len(K), jax.devices())
    whole = np.pad(K, (0, layout.size - len(K)))
    return ShardedMatrix(jax.device_put(whole, NamedSharding(layout.mesh, ROWS)), layout)


def kernel_of(name: str, n: int) -> tuple[infinite.InfiniteKernel, jax.Array]:
    return infinite.InfiniteKernel(RECIPES[name]), jnp.asarray(RNG.random((n, 4, 4, 2)))


def is_shared(K: ShardedMatrix) -> bool:
    size, parts = K.layout.size, K.entries.addressable_shards
    held = {(part.device, part.data.size) for part in parts}
    return held == {(device, size**2 // len(parts)) for device in jax.devices()}


def entries() -> None:
    for name, n in SIZES.items():
        kernel, X = kernel_of(name, n)
        alone = np.asarray(gram.gram(kernel, X, tile_bytes=TILE, devices=jax.devices()[:1]))[:, 0, :, 0]
        K = sharded.gram(kernel, X, tile_bytes=TILE)
        found = np.asarray(K)
        np.testing.assert_allclose(found, alone, rtol=1e-12)
        np.testing.assert_array_equal(found, found.T)
        np.testing.assert_array_equal(found.diagonal(), alone.diagonal())
        np.testing.assert_array_equal(K.diagonal(), alone.diagonal())
        assert is_shared(K)
        assert not np.any(np.asarray(K.entries)[n:])
        for V in (RNG.standard_normal(n), RNG.standard_normal((n, 3))):
            np.testing.assert_allclose(K @ V, alone @ V, rtol=1e-12, atol=1e-12 * n)


def solve(n: int) -> None:
    basis, _ = np.linalg.qr(RNG.standard_normal((n, n)))
    K = (basis * np.geomspace(5, 5e-4, n)) @ basis.T
    K, Y = (K + K.T) / 2, RNG.standard_normal((n, 3))
    for ridge in (0.0, 0.1):
        given = placed(K)
        found = cholesky.solve(given, Y, ridge=ridge, least=1e-12)
        expected = cholesky.solve(K.copy(), Y, ridge=ridge, least=1e-12)
        assert found is not None
        assert expected is not None
        assert is_shared(given)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
    refused(K + np.where(np.arange(n) == 7, np.nan, 0), 0.1)
    refused((basis[:, :-1] * np.geomspace(5, 5e-4, n - 1)) @ basis[:, :-1].T, 0.0)
    refused(K - 0.1 * np.eye(n), 0.01)


def refused(K: np.ndarray, ridge: float) -> None:
    K = np.triu(K) + np.triu(K, 1).T
    given = placed(K)
    assert cholesky.solve(given, np.ones((len(K), 1)), ridge=ridge, least=1e-12) is None
    np.testing.assert_array_equal(given, K, "as it was, for the spectrum")


def kernels_of_a_run() -> None:
    kernel, X = kernel_of("vectors", 150)
    Y, words, matrix = RNG.standard_normal((150, 2)), InfiniteKernel(kind="infinite"), gram.on_host(kernel, X)
    with mock.patch.object(jax, "default_backend", return_value="gpu"):
        K = KernelMatrix(kernel, X, TILE, None).to_factor()
        assert isinstance(K, ShardedMatrix)
        alpha = kernels.solved(K, words, Y, "limit", "float64")
        first = kernels.leading(KernelMatrix(kernel, X, TILE, None).to_factor(), 3, "limit", "float64")
        twice = KernelMatrix(kernel, jnp.concatenate([X, X[:1]]), TILE, None).to_factor()
        with pytest.raises(NumericsError, match="is singular: 1 of its 151 eigenvalues"):
            kernels.solved(twice, words, np.concatenate([Y, Y[:1]]), "limit", "float64")
    spectrum = regression.Spectrum.of(matrix)
    np.testing.assert_allclose(alpha, np.linalg.solve(matrix, Y), rtol=1e-8, atol=1e-8 * np.abs(alpha).max())
    assert first is not None
    np.testing.assert_allclose(first.eigenvalues, spectrum.eigenvalues[:3], rtol=1e-10)


def memory(n: int) -> None:
    """Bytes of one device: arguments, results and temporaries of the compiled program, less what they share.

    Beside the entries, the program for a Gram matrix is allowed a tile, X, and the quantities of examples.
    """
    layout, float64 = RowLayout.of(n, jax.devices()), jnp.float64
    part, bound = n**2 * 8 / len(jax.devices()), 1.2 * n**2 * 8 / len(jax.devices())
    rows = NamedSharding(layout.mesh, ROWS)
    K = jax.ShapeDtypeStruct((layout.size, layout.size), float64, sharding=rows)
    diagonal = jax.ShapeDtypeStruct((layout.size,), float64, sharding=rows)
    Y = jax.ShapeDtypeStruct((layout.size, 10), float64, sharding=rows)
    for name in RECIPES.keys() & SIZES:
        kernel, X = infinite.InfiniteKernel(RECIPES[name]), jax.ShapeDtypeStruct((n, 4, 4, 2), float64)
        one = jax.eval_shape(jax.vmap(kernel.example), X)
        beside = sum(leaf.size * 8 for leaf in jax.tree.leaves((X, one)))
        of_gram = jax.jit(lambda X, kernel=kernel: sharded.entries(kernel, X, layout, TILE))
        assert part <= held(of_gram, X) <= bound + TILE + beside, name
    for program, arguments in (
        (sharded_cholesky.eliminated, (K, jnp.asarray(0.1), layout)),
        (sharded_cholesky.restored, (K, diagonal, layout)),
        (sharded_cholesky.substituted, (K, Y, layout)),
    ):
        assert part <= held(program, *arguments) <= bound, program


def held(program: Any, *arguments: Any) -> int:
    found = program.lower(*arguments).compile().memory_analysis()
    shared = found.alias_size_in_bytes
    print(f"{found.argument_size_in_bytes=} {found.output_size_in_bytes=} {found.temp_size_in_bytes=}", file=sys.stderr)
    return found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes - shared


CHECKS: dict[str, Callable[..., None]] = {
    "entries": entries,
    "solve": solve,
    "kernels": kernels_of_a_run,
    "memory": memory,
}


def main(*names: str) -> None:
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")
    for name in names:
        check, *sizes = name.split(":")
        CHECKS[check](*map(int, sizes))
    print(len(jax.devices()), "devices agree")


if __name__ == "__main__":
    main(*sys.argv[1:])
