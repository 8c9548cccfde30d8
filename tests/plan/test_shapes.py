from typing import Any

import jax
import numpy as np
import pytest

from ntkbench.plan import networks, shapes
from ntkbench.plan.shapes import LayerError, WidthAndOutputs, steps
from ntkbench.run.build.networks import stateless
from ntkbench.spec.cell import Cell
from tests.examples.cells import cell, changed
from tests.examples.networks import FINITE, NETWORKS, network


def of(path: str, value: object) -> Cell:
    return Cell.model_validate(changed(path, value))


def layers(*words: dict[str, Any]) -> Any:
    return networks.layers(network({"kind": "layers", "layers": list(words)}))


def last(shape: shapes.Shape, *words: dict[str, Any], width: int | None = 5) -> shapes.Shape:
    *_, step = steps(layers(*words), shape, WidthAndOutputs(width, 3))
    return step.after


def test_sizes_of_data():
    assert shapes.image(cell().data) == (28, 28, 1)
    assert shapes.outputs(cell().data) == 3
    assert shapes.outputs(of("data.classes", ["bag", "coat"]).data) == 1
    assert shapes.outputs(of("data.classes", None).data) == 10
    synthetic = of("data", {"dataset": {"kind": "two_gaussians", "dim": 7}, "n_train": 9, "n_test": 9}).data
    assert (shapes.image(synthetic), shapes.outputs(synthetic)) == ((1, 1, 7), 1)


@pytest.mark.parametrize("shape", [(8, 8, 3), pytest.param((12, 8, 1), marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [*NETWORKS, *FINITE])
def test_each_layer_gives_what_jax_says(name: str, shape: tuple[int, ...]):
    """The numbers of weights, too, layer by layer."""
    words = network((NETWORKS | FINITE)[name])
    walk = list(steps(networks.layers(words), shape, WidthAndOutputs(4, 10)))
    found: list[tuple[int, ...]] = []

    def draw(key: jax.Array) -> Any:
        weights, out = stateless(words, 4, 10).init(shape, key=key, dtype=np.float32)
        found.append(out)
        return weights

    weights = jax.eval_shape(draw, jax.random.key(0))
    assert found == [walk[-1].after]
    ours = [step.after[-1] for step in walk if hasattr(step.layer, "W_std")]
    assert [
        leaf.shape[-1] if leaf.ndim != 2 else leaf.shape[0] for leaf in jax.tree.leaves(weights) if leaf.ndim > 1
    ] == ours


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("window", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", ["SAME", "VALID", "CIRCULAR", "CENTERED"])
def test_positions_of_convolutions_and_pools(size: int, window: int, stride: int, padding: str):
    word = {"window": [window, 1], "stride": [stride, 1], "padding": padding}
    expected = -(-size // stride) if padding != "VALID" else (size - window) // stride + 1
    for op in ("conv",) if padding == "CENTERED" else ("conv", "avg_pool"):
        if expected < 1:
            with pytest.raises(LayerError, match="do not fit"):
                last((size, 1, 2), {"op": op, **word}, {"op": "relu"})
        else:
            assert last((size, 1, 2), {"op": op, **word}, {"op": "relu"})[:2] == (expected, 1)


def test_pools_lie_side_by_side_unless_told_otherwise():
    assert last((9, 9, 2), {"op": "max_pool", "window": 3}, {"op": "relu"}) == (3, 3, 2)
    assert last((9, 9, 2), {"op": "max_pool", "window": 3, "stride": 1}, {"op": "relu"}) == (7, 7, 2)


def test_without_a_width_layers_keep_their_multiples_of_it():
    two = {"op": "conv", "width": "2x"}
    assert last((4, 4, 1), two, {"op": "flatten"}, {"op": "relu"}, width=None) == ("32x",)
    assert last((4, 4, 1), two, {"op": "residual", "branches": [[], [two]]}, width=None) == (4, 4, "2x")
    with pytest.raises(LayerError, match="2x channels and an image of 4 x 4 with 1x channels"):
        last((4, 4, 1), two, {"op": "residual", "branches": [[], [{"op": "conv"}]]}, width=None)


def test_a_fault_within_a_branch_has_the_path_of_its_layer():
    with pytest.raises(LayerError) as fault:
        last((4, 4, 1), {"op": "residual", "branches": [[], [{"op": "gap"}, {"op": "conv"}]]})
    assert fault.value.path == (0, "branches", 1, 1)


def test_pools_that_leave_positions_out():
    pool = layers({"op": "avg_pool"})[0]
    assert not shapes.untiled(pool, (4, 6, 1))
    assert shapes.untiled(pool, (4, 7, 1))
