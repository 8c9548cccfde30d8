"""Words become the recipes that they stand for, and their limits are those of their finite networks."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.errors import UsageError
from ntkbench.ntk import architectures, gram, infinite, linearize, network
from ntkbench.ntk.activations import Activation, Deviation, ReLU
from ntkbench.ntk.layers import Sequential, Sum
from ntkbench.run.build.networks import ACTIVATIONS, stateless
from tests.conftest import ORACLES, STATISTICAL
from tests.examples import networks
from tests.examples.networks import FINITE, NETWORKS
from tests.ntk import test_oracles as oracles
from tests.ntk.predictors import drawn, uniform

DESCRIBED = {p.stem: json.loads(p.read_text()) for p in sorted(ORACLES.glob("*.json"))}
KERNELS = {name: words["layers"] for name, words in DESCRIBED.items() if words["kind"] == "infinite_kernel"}
SHORT = ("conv valid",)


def built(words: dict[str, Any], width: int = 4, outputs: int = 3) -> Sequential:
    return stateless(networks.network(words), width, outputs)


@pytest.mark.parametrize("name", [*NETWORKS, *FINITE])
def test_equal_words_are_equal_recipes(name: str):
    words = (NETWORKS | FINITE)[name]
    assert built(words) == built(json.loads(json.dumps(words)))
    assert hash(built(words)) == hash(built(words))
    assert built(words) != built(words, outputs=4)
    assert built(words) != built({**words, "W_std": 1.7})


def test_the_fully_connected_network_is_that_of_the_science():
    fields = {"W_std": 1.5, "b_std": None, "parameterization": "standard"}
    named = architectures.fc(4, 3, depth=2, activation=ReLU(0.3), **fields)
    assert built({"kind": "fc", "depth": 2, "activation": "leaky_relu", "leak": 0.3, **fields}) == named


def words_of(layer: dict[str, Any]) -> dict[str, Any]:
    """A layer of a reference's description, as a spec has it."""
    ours = {"avgpool": "avg_pool", "layernorm": "layer_norm"}
    names = {"filter": "window", "strides": "stride"}
    if layer["op"] == "residual":
        return {"op": "residual", "branches": [[*map(words_of, layer[name])] for name in ("main", "shortcut")]}
    fields = {names.get(key, key): value for key, value in layer.items() if key not in ("parameterization", "s")}
    return {**fields, "op": ours.get(layer["op"], layer["op"])}


@pytest.mark.parametrize("name", KERNELS)
def test_every_reference_can_be_written_layer_by_layer(name: str):
    """The recipe is the one whose kernel `tests/ntk` compares with the reference."""
    layers = KERNELS[name]
    words = {"kind": "layers", "layers": [*map(words_of, layers)]}
    words["layers"][-1].pop("width", None)
    words["parameterization"] = layers[-1].get("parameterization", "ntk")
    assert built(words, 1, layers[-1].get("width", 1)) == oracles.recipe(layers)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fc2_erf", {"kind": "fc", "depth": 2, "activation": "erf"}),
        ("conv2_relu", {"kind": "conv", "depth": 2}),
        ("conv2_relu_stride2_same", {"kind": "conv", "depth": 2, "stride": 2}),
        ("conv2_relu_valid", {"kind": "conv", "depth": 2, "padding": "VALID"}),
        ("conv2_gap", {"kind": "conv", "depth": 2, "head": "gap"}),
        ("myrtle5_8x8", {"kind": "myrtle", "depth": 5}),
        ("myrtle7_8x8", {"kind": "myrtle", "depth": 7}),
        ("resnet_flat", {"kind": "resnet", "head": "flatten"}),
        ("resnet_ln_flat", {"kind": "resnet", "head": "flatten", "layer_norm": True}),
    ],
)
def test_networks_with_a_name_are_the_references(name: str, words: dict[str, Any]):
    described = oracles.recipe(KERNELS[name]).layers
    flipped = tuple(Sum(layer.branches[::-1]) if isinstance(layer, Sum) else layer for layer in described)
    assert built(words, 1, described[-1].width).layers in (described, flipped)  # pyright: ignore


@pytest.mark.parametrize(
    "name", ["cnn_small", pytest.param("cnn_large", marks=pytest.mark.slow), "max_pool", "batch_norm"]
)
def test_finite_networks_have_gradients(name: str):
    """Forward and backward, compiled, several at once: what training, linearizing and attacks ask for."""
    shape = (8, 8, 3)
    predictor = drawn(built(FINITE[name]), shape, dtype=np.float32)
    X = uniform(2, *shape, dtype=np.float32)

    @jax.jit
    def slopes(X: jax.Array) -> tuple[jax.Array, jax.Array]:
        along = jax.vmap(lambda x: linearize.push(predictor, x, jnp.ones_like(x))[1])(X)
        return along, jax.vmap(jax.jacrev(predictor))(X).sum((2, 3, 4))

    forward, backward = map(np.asarray, slopes(X))
    assert forward.shape == (2, 3)
    np.testing.assert_allclose(forward, backward, rtol=1e-3, atol=1e-3 * np.max(np.abs(forward)))
    assert np.all(forward != 0)


def test_the_limit_of_max_pooling_is_refused():
    kernel = infinite.InfiniteKernel(built(FINITE["cnn_large"]))
    with pytest.raises(UsageError, match="max pooling"):
        jax.eval_shape(kernel.example, jax.ShapeDtypeStruct((8, 8, 3), jnp.float32))


@pytest.mark.parametrize("name", [n if n in SHORT else pytest.param(n, marks=pytest.mark.slow) for n in NETWORKS])
def test_the_limit_is_the_mean_of_finite_networks(name: str):
    """Of kernels and of products of outputs, at a width whose bias is below the error of the draws."""
    width, draws, outputs = 128, 64, 8
    made = built(NETWORKS[name], width, outputs)
    X = jax.random.uniform(jax.random.key(1), (2, 4, 4, 2))
    images = X.astype(jnp.float32)  # convolutions are much faster in float32

    def one(key: jax.Array) -> dict[str, jax.Array]:
        def first(weights: Any, x: jax.Array) -> tuple[jax.Array, jax.Array]:
            f = made.apply(weights, x)
            return f[0], f

        weights = network.initialize(made, X.shape[1:], key=key).weights
        slopes, f = jax.vmap(jax.grad(first, has_aux=True), (None, 0))(weights, images)
        J = jnp.concatenate([leaf.reshape(len(X), -1) for leaf in jax.tree.leaves(slopes)], axis=1)
        return {"ntk": J @ J.T, "nngp": f @ f.T / outputs}

    found = jax.jit(lambda keys: jax.lax.map(one, keys))(jax.random.split(jax.random.key(2), draws))
    for kind, values in jax.tree.map(np.asarray, found).items():
        expected = np.asarray(gram.gram(infinite.InfiniteKernel(made, kind), X))[:, 0, :, 0]
        error = (values.mean(0) - expected) / (values.std(0, ddof=1) / draws**0.5)
        assert np.max(np.abs(error)) < STATISTICAL, kind


@pytest.mark.parametrize("name", ["leaky_relu", *ACTIVATIONS])
class TestActivation:
    """E over (u, v) ~ N(0, [[q, K], [K, q']]), by a sum over a fine grid."""

    q1, q2, K = 1.3, 0.6, 0.5

    def activation(self, name: str) -> Activation:
        layer = built({"kind": "fc", "activation": name}).layers[2]
        assert isinstance(layer, Activation)
        return layer

    def grid(self):
        z = np.linspace(-8, 8, 1601)
        density = np.exp(-(z**2) / 2)
        weight = density[:, None] * density / density.sum() ** 2
        u = self.q1**0.5 * z[:, None] + 0 * z
        v = self.K / self.q1**0.5 * z[:, None] + (self.q2 - self.K**2 / self.q1) ** 0.5 * z
        return weight, u, v

    def values(self, activation: Activation, x: np.ndarray):
        f, slope = jax.jvp(activation.function, (jnp.asarray(x),), (jnp.ones(x.shape),))
        return np.asarray(f), np.asarray(slope)

    def test_dual(self, name: str):
        activation = self.activation(name)
        weight, u, v = self.grid()
        (f, df), (g, dg) = self.values(activation, u), self.values(activation, v)
        one, two = (Deviation(jnp.array(q**0.5), jnp.array(q**-0.5)) for q in (self.q1, self.q2))
        values, slopes = activation.dual(jnp.array(self.K), one, two)
        np.testing.assert_allclose(values, np.sum(weight * f * g), rtol=1e-5)
        np.testing.assert_allclose(slopes, np.sum(weight * df * dg), rtol=1e-2)

    def test_moments_are_the_dual_of_equal_units(self, name: str):
        activation = self.activation(name)
        note = Deviation(jnp.array(self.q1**0.5), jnp.array(self.q1**-0.5))
        pair = activation.dual(jnp.array(self.q1), note, note)
        for exact, value in zip(activation.moments(jnp.array(self.q1)), pair, strict=True):
            np.testing.assert_allclose(exact, value, rtol=1e-7)
