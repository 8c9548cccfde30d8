"""Every reference kernel, from the layers that its own description lists."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.ntk import gram, infinite
from ntkbench.ntk.activations import Erf, LayerNorm, ReLU
from ntkbench.ntk.convolution import AvgPool, Conv, GlobalAvgPool
from ntkbench.ntk.layers import Dense, Flatten, Sequential, Sum
from tests.conftest import EXACT, ORACLES

COINCIDENT = 1e-7
"""relative; the reference's own error where two patches are the same"""
QUICK = ("fc2_erf", "fc2_relu_standard", "conv1_relu", "conv2_gap", "conv2_relu_stride2_same")
KERNELS = sorted(p.stem for p in ORACLES.glob("*.json") if json.loads(p.read_text())["kind"] == "infinite_kernel")


def layer(words):
    """A layer from its description in a reference's JSON."""
    match words["op"]:
        case "dense":
            return Dense(words.get("width", 1), words["W_std"], words["b_std"], words.get("parameterization", "ntk"))
        case "conv":
            window, stride = tuple(words["filter"]), tuple(words["strides"])
            return Conv(1, window, stride, words["padding"], words["W_std"], words["b_std"])
        case "avgpool":
            return AvgPool(tuple(words["window"]), tuple(words["strides"]), words["padding"])
        case "residual":
            return Sum((recipe(words["main"]), recipe(words["shortcut"])))
        case op:
            return {"flatten": Flatten, "gap": GlobalAvgPool, "relu": ReLU, "erf": Erf, "layernorm": LayerNorm}[op]()


def recipe(layers):
    return Sequential(tuple(map(layer, layers)))


@pytest.mark.parametrize("name", [k if k in QUICK else pytest.param(k, marks=pytest.mark.slow) for k in KERNELS])
def test_kernel(oracle, name):
    o = oracle(name)
    built = recipe(json.loads((ORACLES / f"{name}.json").read_text())["layers"])
    X1, X2 = jnp.asarray(o["x1"]), jnp.asarray(o["x2"])
    k = infinite.InfiniteKernel(built)
    same, other = (np.asarray(gram.gram(k, X1, Y))[:, 0, :, 0] for Y in (None, X2))
    np.testing.assert_allclose(other, o["ntk12"], rtol=EXACT)
    off = ~np.eye(len(X1), dtype=bool)
    np.testing.assert_allclose(same[off], o["ntk11"][off], rtol=EXACT)
    np.testing.assert_allclose(np.diag(same), np.diag(o["ntk11"]), rtol=COINCIDENT)
    nngp = np.asarray(gram.gram(infinite.InfiniteKernel(built, "nngp"), X1[:2], X2))[:, 0, :, 0]
    np.testing.assert_allclose(nngp, o["nngp12"][:2], rtol=EXACT)


def test_gradient_of_a_convolutional_kernel(oracle):
    o = oracle("grad_conv2")
    k = infinite.InfiniteKernel(recipe(json.loads((ORACLES / "grad_conv2.json").read_text())["layers"]))
    one, two = jnp.asarray(o["x_test"][0]), jnp.asarray(o["x_train"][0])

    @jax.jit
    @jax.grad
    def gradient(x):
        return k.tile(*(gram.examples(k, v[None], 1) for v in (x, two)))[0, 0, 0, 0]

    np.testing.assert_allclose(gradient(one), o["jac_k_first"][0], rtol=1e-9, atol=1e-12)
