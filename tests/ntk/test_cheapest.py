"""Three ways to one kernel, a fourth through BLAS, and an outside reference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import blas, cheapest, gram, linearize
from ntkbench.ntk.activations import LayerNorm, ReLU
from ntkbench.ntk.batch_norm import BatchNorm
from ntkbench.ntk.convolution import AvgPool, Conv, GlobalAvgPool, MaxPool
from ntkbench.ntk.empirical import FULL, TRACE, Layout
from ntkbench.ntk.jacobian import JacobianKernel
from ntkbench.ntk.layers import Dense, Flatten, Layer, Sequential, Sum
from ntkbench.ntk.network import Network, Trainable
from ntkbench.ntk.products import ProductKernel
from ntkbench.ntk.structured import StructuredKernel
from tests.conftest import EXACT, ORACLES
from tests.ntk.predictors import drawn, uniform

SHAPE = (6, 6, 2)
X = uniform(5, *SHAPE)
RELU = ReLU()
BODIES: dict[str, tuple[Layer, ...]] = {
    "dense": (Flatten(), Dense(9, b_std=0.1), RELU, Dense(7, b_std=None, parameterization="standard"), RELU),
    "max pool": (Conv(4, b_std=0.1), RELU, MaxPool(), Conv(5, (2, 2), padding="VALID", b_std=None), RELU, Flatten()),
    "strides": (Conv(4, (3, 2), (2, 1), b_std=0.1), RELU, Conv(5, (3, 3), (2, 2), "CIRCULAR"), AvgPool(), Flatten()),
    "circular": (Conv(6, padding="CIRCULAR", b_std=0.2, parameterization="standard"), RELU, GlobalAvgPool()),
    "residual": (
        Conv(4, b_std=0.1),
        Sum((Sequential(()), Sequential((RELU, Conv(4, b_std=0.1), RELU, Conv(4))))),
        LayerNorm(),
        RELU,
        GlobalAvgPool(),
    ),
    "batch norm": (Conv(4, b_std=0.1), BatchNorm(), RELU, Flatten(), Dense(6), BatchNorm(), RELU),
    "affine": (Conv(4, b_std=0.1), BatchNorm(affine=True), RELU, Flatten(), Dense(6), BatchNorm(affine=True), RELU),
    "few positions": (Conv(30, (3, 3), (4, 4)), RELU, Conv(30, b_std=0.1), RELU, GlobalAvgPool()),
}
LAYOUTS = {"full": FULL, "trace": TRACE, "one output": Layout(1)}


def network(body: str) -> Network:
    return drawn(Sequential((*BODIES[body], Dense(3, b_std=0.1))), SHAPE)


_QUICK = [("dense", "full"), ("batch norm", "full"), ("affine", "full")]
_REST = [(body, layout) for body in BODIES for layout in LAYOUTS if (body, layout) not in _QUICK]


@pytest.mark.parametrize(("body", "layout"), [*_QUICK, *(pytest.param(*p, marks=pytest.mark.slow) for p in _REST)])
def test_all_ways_agree(body, layout):
    net, how = network(body), LAYOUTS[layout]
    expected = np.asarray(gram.gram(JacobianKernel(net, how), X))
    structured = StructuredKernel(net, how)
    found = [
        gram.gram(ProductKernel(net, how), X),
        gram.gram(structured, X),
        blas.gram(structured, X, tile_bytes=5e8),
        blas.gram(structured, X, tile_bytes=float(structured.example_bytes(SHAPE, X.dtype))),
        cheapest.ntk(net, X, layout=how),
    ]
    for K in found:
        np.testing.assert_allclose(K, expected, rtol=EXACT, atol=EXACT * np.abs(expected).max())
    for K in found[1:]:
        np.testing.assert_array_equal(K, K.transpose(2, 3, 0, 1))
    across = gram.gram(structured, X, X[:2])
    np.testing.assert_allclose(across, expected[:, :, :2], rtol=EXACT, atol=EXACT * np.abs(expected).max())


@pytest.mark.parametrize("body", ["dense", pytest.param("max pool", marks=pytest.mark.slow)])
def test_all_ways_agree_in_float32(body):
    net = drawn(Sequential((*BODIES[body], Dense(3, b_std=0.1))), SHAPE, dtype=np.float32)
    X32 = X.astype(jnp.float32)
    exact = np.asarray(cheapest.ntk(network(body), X))
    for kernel in (JacobianKernel(net), ProductKernel(net), StructuredKernel(net)):
        np.testing.assert_allclose(gram.gram(kernel, X32), exact, atol=1e-4 * np.abs(exact).max())
    K = cheapest.ntk(net, X32)
    assert K.dtype == jnp.float32
    np.testing.assert_allclose(K, exact, atol=1e-4 * np.abs(exact).max())


def test_layouts_are_parts_of_the_whole():
    net = network("circular")
    full, trace, one = (np.asarray(cheapest.ntk(net, X, layout=how)) for how in LAYOUTS.values())
    np.testing.assert_allclose(trace[:, 0, :, 0], np.einsum("iaja->ij", full) / 3, rtol=EXACT)
    np.testing.assert_allclose(one[:, 0, :, 0], full[:, 1, :, 1], rtol=EXACT)


@pytest.mark.slow
def test_a_linearized_network_has_the_kernel_of_its_anchor():
    net = network("max pool")
    moved = linearize.Linearized(net, jax.tree.map(lambda w: w + 1.0, net.weights))
    np.testing.assert_allclose(cheapest.ntk(moved, X), cheapest.ntk(net, X), rtol=EXACT)


class Tied(Trainable):
    """A layer that is used twice: it is not made of layers with weights of their own."""

    weights: dict[str, jax.Array]

    def __call__(self, x):
        hidden = jnp.tanh(self.weights["w"] @ x.ravel()[:4])
        return self.weights["v"] @ jnp.tanh(self.weights["w"] @ hidden)


@pytest.mark.slow
def test_shared_weights_are_summed_before_they_are_squared():
    rng = np.random.default_rng(0)
    tied = Tied({"w": jnp.asarray(rng.standard_normal((4, 4))), "v": jnp.asarray(rng.standard_normal((2, 4)))})
    J = jax.vmap(jax.jacfwd(lambda w, x: Tied(w)(x)), (None, 0))(tied.weights, X)
    flat = np.concatenate([np.asarray(leaf).reshape(len(X), 2, -1) for leaf in jax.tree.leaves(J)], axis=2)
    expected = np.einsum("iap,jbp->iajb", flat, flat)
    np.testing.assert_allclose(cheapest.ntk(tied, X), expected, rtol=EXACT)
    np.testing.assert_allclose(gram.gram(ProductKernel(tied), X), expected, rtol=EXACT)


def test_the_fewest_multiplications_win():
    narrow = drawn(Sequential((Flatten(), Dense(3), RELU, Dense(2))), SHAPE)
    assert isinstance(cheapest.best(narrow, X[0], 5), StructuredKernel)
    found = cheapest.costs(network("residual"), X[0], 100)
    assert max(found[StructuredKernel], found[JacobianKernel]) < found[ProductKernel]
    tied = Tied({"w": jnp.ones((4, 4)), "v": jnp.ones((2, 4))})
    assert isinstance(cheapest.best(tied, X[0], 5), JacobianKernel)


@pytest.mark.parametrize("layout", [pytest.param("full", marks=pytest.mark.slow), "trace"])
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(JacobianKernel, marks=pytest.mark.slow),
        pytest.param(ProductKernel, marks=pytest.mark.slow),
        StructuredKernel,
    ],
)
def test_reference(kind, layout):
    """Weights of the reference are (in, out), and ours are (out, in)."""
    given = np.load(ORACLES / "empirical_cnn_avg.npz")
    recipe = Sequential(
        (
            *(Conv(8, parameterization="standard"), RELU, AvgPool()),
            *(Conv(16, parameterization="standard"), RELU, AvgPool(), Flatten()),
            *(Dense(32, parameterization="standard"), RELU, Dense(10, parameterization="standard")),
        )
    )
    pairs = {name: (given[f"{name}_w"], given[f"{name}_b"]) for name in ("conv1", "conv2", "dense1", "dense2")}
    dense = {name: (w.T, b) for name, (w, b) in pairs.items() if name.startswith("dense")}
    weights = (pairs["conv1"], (), (), pairs["conv2"], (), (), (), dense["dense1"], (), dense["dense2"])
    net = Network(recipe, jax.tree.map(jnp.asarray, weights))
    X1, X2 = jnp.asarray(given["x1"]), jnp.asarray(given["x2"])
    np.testing.assert_allclose(jax.jit(lambda X: jax.vmap(net)(X))(X1), given["f1"], rtol=EXACT)
    for number, other in ((11, None), (12, X2)):
        K = np.asarray(gram.gram(kind(net, LAYOUTS[layout]), X1, other)).transpose(0, 2, 1, 3)
        expected = given[f"ntk{number}_{layout}"]
        K = K[:, :, 0, 0] if layout == "trace" else K
        np.testing.assert_allclose(K, expected, rtol=1e-9, atol=EXACT * np.abs(expected).max())
