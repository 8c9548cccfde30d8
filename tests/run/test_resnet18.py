"""ResNet-18 against a network that is written here from its weights, names and all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.run.build import networks
from ntkbench.spec.cell import Cell
from tests.ntk.predictors import drawn, uniform

SHAPE = (8, 8, 3)
WIDTH = 2


@pytest.fixture(scope="module")
def cell() -> Cell:
    words = {
        "data": {"dataset": "cifar10", "classes": [0, 1, 2], "n_train": 4, "n_test": 4},
        "architecture": {"kind": "resnet18"},
        "width": WIDTH,
        "training": {"mode": "none"},
        "analyses": {"clean": {"kind": "accuracy", "target": "self"}},
        "numerics": {"network": "float64"},
    }
    return Cell.model_validate(words)


def conv(x: np.ndarray, weight: np.ndarray, stride: int) -> np.ndarray:
    """The convolution of one image, its border zeros, as PyTorch has it: padding (k - 1) / 2 on every side."""
    k, _, _, units = weight.shape
    pad = k // 2
    x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    n = (len(x) - k) // stride + 1
    y = np.zeros((n, n, units))
    for i in range(n):
        for j in range(n):
            y[i, j] = np.tensordot(x[i * stride : i * stride + k, j * stride : j * stride + k], weight, 3)
    return y


def by_hand(x: np.ndarray, arrays: dict[str, np.ndarray]) -> np.ndarray:
    def normalized(x: np.ndarray, place: str, at: int, stride: int = 1) -> np.ndarray:
        y = conv(x, arrays[f"{place}{at}.weight"], stride)
        mean, variance, weight, bias = (
            arrays[f"{place}{at + 1}.{name}"] for name in ("mean", "variance", "weight", "bias")
        )
        return (y - mean) / np.sqrt(variance + 1e-5) * weight + bias

    x = np.maximum(normalized(x, "", 0), 0)
    for number in range(8):
        place, stride = f"{3 + 2 * number}.branches.", 2 if number in (2, 4, 6) else 1
        main = np.maximum(normalized(x, f"{place}1.", 0, stride), 0)
        main = normalized(main, f"{place}1.", 3)
        x = np.maximum(main + (normalized(x, f"{place}0.", 0, stride) if stride == 2 else x), 0)
    return arrays["20.weight"] @ x.mean((0, 1)) + arrays["20.bias"]


def test_outputs_are_those_of_the_network_written_by_hand(cell: Cell):
    recipe = networks.stateless(cell.architecture, WIDTH, 3)
    net = drawn(recipe, SHAPE)
    arrays = {name: np.asarray(array) for name, array in networks.leaves(cell, net).items()}
    assert len(arrays) == 62 + 2 * 20  # of PyTorch's, and the statistics of twenty normalizations
    x = uniform(1, *SHAPE)[0]
    found = jax.jit(lambda net, x: net(x))(net, x)
    np.testing.assert_allclose(found, by_hand(np.asarray(x), arrays), rtol=1e-9)


def test_it_begins_with_unit_weights_and_no_shift(cell: Cell):
    drawn = networks.networks(cell, [0], SHAPE, 3)
    arrays = networks.leaves(cell, drawn)
    np.testing.assert_array_equal(arrays["1.weight"], jnp.ones((1, WIDTH)))
    np.testing.assert_array_equal(arrays["1.bias"], jnp.zeros((1, WIDTH)))
    np.testing.assert_array_equal(arrays["20.bias"], jnp.zeros((1, 3)))
