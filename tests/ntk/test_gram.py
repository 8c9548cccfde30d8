"""Tiles: the same numbers whatever their size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import architectures, gram, infinite, jacobian, network, structured
from tests.conftest import EXACT

X = jax.random.uniform(jax.random.key(0), (11, 3, 2, 1))


def kernels():
    recipe = architectures.fc(7, 3, depth=2, b_std=0.1)
    net = network.initialize(recipe, X.shape[1:], key=jax.random.key(1), dtype=jnp.float64)
    return {
        "infinite": infinite.InfiniteKernel(recipe),
        "jacobian": jacobian.JacobianKernel(net),
        "structured": structured.StructuredKernel(net),
    }


@pytest.mark.parametrize("name", ["infinite", pytest.param("jacobian", marks=pytest.mark.slow), "structured"])
@pytest.mark.parametrize("rows", [pytest.param(1, marks=pytest.mark.slow), 3, pytest.param(5, marks=pytest.mark.slow)])
def test_tiles_do_not_matter(name, rows):
    k = kernels()[name]
    whole = np.asarray(gram.gram(k, X))
    tile_bytes = next(b for b in 2.0 ** np.arange(1, 40) if k.pairs(X.shape[1:], X.dtype, float(b)) >= rows**2)
    np.testing.assert_allclose(gram.gram(k, X, tile_bytes=float(tile_bytes)), whole, rtol=EXACT)
    across = gram.gram(k, X, X[:4], tile_bytes=float(tile_bytes))
    off = ~np.eye(11, 4, dtype=bool)
    np.testing.assert_allclose(
        across.transpose(0, 2, 1, 3)[off], whole[:, :, :4].transpose(0, 2, 1, 3)[off], rtol=EXACT
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_matrix_on_the_host_is_the_same_by_blocks_and_may_be_overwritten(dtype):
    """11 rows in blocks of 4: the last block overlaps the one before."""
    k, inputs = kernels()["infinite"], X.astype(dtype)
    whole = gram.matrix(np.asarray(gram.gram(k, inputs), np.float64))
    found = gram.on_host(k, inputs, rows=4)
    assert (found.dtype, found.flags.writeable, found.flags.c_contiguous) == (np.float64, True, True)
    np.testing.assert_allclose(found, whole, rtol=EXACT if dtype == np.float64 else 1e-6)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(gram.on_host(k, inputs), whole)


@pytest.mark.parametrize(
    "name", ["infinite", *(pytest.param(k, marks=pytest.mark.slow) for k in ("jacobian", "structured"))]
)
def test_symmetric_and_positive(name):
    K = gram.matrix(np.asarray(gram.gram(kernels()[name], X)))
    np.testing.assert_array_equal(K, K.T)
    values = np.linalg.eigvalsh(K)
    assert values[0] > -1e-12 * values[-1]


def test_outputs_stand_beside_their_example():
    k = kernels()["jacobian"]
    K = np.asarray(gram.gram(k, X))
    assert K.shape == (11, 3, 11, 3)
    np.testing.assert_array_equal(gram.matrix(K)[3 * 2 + 1, 3 * 5 + 2], K[2, 1, 5, 2])
    assert np.shares_memory(gram.matrix(K), K)
