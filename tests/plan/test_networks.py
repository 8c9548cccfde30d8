from typing import Any

import pytest

from ntkbench.plan import networks, shapes, sizes
from ntkbench.spec.layers import Residual, Weighted
from tests.examples.networks import network

CIFAR = (32, 32, 3)


def ops(**words: Any) -> str:
    """What the layers are called."""
    return " ".join(layer.op for layer in networks.layers(network(words)))


def walk(width: int = 32, outputs: int = 10, **words: Any) -> list[shapes.Step]:
    return list(shapes.steps(networks.layers(network(words)), CIFAR, shapes.WidthAndOutputs(width, outputs)))


def test_fully_connected():
    assert ops(kind="fc", depth=2, activation="erf") == "flatten dense erf dense erf dense"


@pytest.mark.parametrize("head", ["flatten", "gap"])
def test_convolutional(head: str):
    assert ops(kind="conv", depth=2, head=head) == f"conv relu conv relu {head} dense"


@pytest.mark.parametrize(("depth", "groups"), [(5, (2, 1, 1)), (7, (2, 2, 2)), (10, (3, 3, 3))])
def test_myrtle_has_its_convolutions_in_three_groups(depth: int, groups: tuple[int, ...]):
    """As the reference implementation of its kernels lists them; a mean over 8 x 8 is what its last three pools are."""
    one, two, three = (" ".join(["conv relu"] * n) for n in groups)
    assert ops(kind="myrtle", depth=depth) == f"{one} avg_pool {two} avg_pool {three} gap dense"
    assert sum(step.layer.op == "conv" for step in walk(kind="myrtle", depth=depth)) == depth - 1


def test_the_large_network_of_the_paper():
    """conv32-conv32-maxpool2-conv64-conv64-conv128-conv128-avgpool2-flatten-dense10"""
    steps = walk(kind="cnn_large")
    convolutions = [step.after[-1] for step in steps if step.layer.op == "conv"]
    assert convolutions == [32, 32, 64, 64, 128, 128]
    two = "conv relu conv relu"
    assert ops(kind="cnn_large") == f"{two} max_pool {two} {two} avg_pool flatten dense"
    assert sizes.parameters(steps) == 368_938


def test_the_small_network_of_the_paper():
    """conv32-avgpool2-conv64-avgpool2-flatten-dense256-dense10"""
    assert ops(kind="cnn_small") == "conv relu avg_pool conv relu avg_pool flatten dense relu dense"
    assert [step.after[-1] for step in walk(kind="cnn_small") if isinstance(step.layer, Weighted)] == [32, 64, 256, 10]
    assert sizes.parameters(walk(kind="cnn_small")) == 1_070_794


def test_stages_of_a_residual_network_halve_the_image_and_double_the_width():
    sums = [step for step in walk(16, kind="resnet", stages=3, blocks=2) if isinstance(step.layer, Residual)]
    assert [step.after for step in sums] == [
        (32, 32, 16),
        (32, 32, 16),
        (16, 16, 32),
        (16, 16, 32),
        (8, 8, 64),
        (8, 8, 64),
    ]
    shortcuts = [[layer.op for layer in step.layer.branches[0]] for step in sums if isinstance(step.layer, Residual)]
    assert shortcuts == [[], [], ["conv"], [], ["conv"], []]
    assert ops(kind="resnet", layer_norm=True, head="flatten") == "conv residual layer_norm relu flatten dense"


def test_resnet_18_has_the_weights_of_pytorch():
    """11,173,962 for ten classes at width 64, of which 512 x 10 + 10 are those of the last layer."""
    steps = walk(64, kind="resnet18")
    assert sizes.parameters(steps) == 11_173_962
    assert sizes.parameters(walk(64, 100, kind="resnet18")) == 11_173_962 + 90 * 513
    sums = [step.after for step in steps if isinstance(step.layer, Residual)]
    assert sums == [(size, size, units) for size, units in ((32, 64), (16, 128), (8, 256), (4, 512)) for _ in range(2)]
    assert ops(kind="resnet18") == "conv batch_norm relu" + " residual relu" * 8 + " gap dense"


def test_layers_take_the_scales_of_the_network_where_they_have_none():
    branches = [[], [{"op": "conv", "b_std": None}]]
    layers = [{"op": "conv", "W_std": 3.0}, {"op": "residual", "branches": branches}, {"op": "gap"}, {"op": "dense"}]
    first, added, _, head = networks.layers(network({"kind": "layers", "layers": layers, "W_std": 2.0, "b_std": 0.5}))
    assert isinstance(added, Residual)
    inner = added.branches[1][0]
    scales = [(layer.W_std, layer.b_std) for layer in (first, inner, head) if isinstance(layer, Weighted)]
    assert scales == [(3.0, 0.5), (2.0, None), (2.0, 0.5)]


def test_only_the_last_layer_has_a_unit_an_output():
    layers = [{"op": "flatten"}, {"op": "dense", "width": 7}, {"op": "dense", "width": "3x"}, {"op": "dense"}]
    assert [step.after[0] for step in walk(5, 4, kind="layers", layers=layers)] == [32 * 32 * 3, 7, 15, 4]
