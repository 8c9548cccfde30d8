import pytest

from ntkbench.plan import networks, shapes, sizes
from ntkbench.spec.architectures import FC, Architecture
from ntkbench.spec.cell import Cell
from ntkbench.spec.kernels import InfiniteKernel
from tests.examples.cells import cell, changed

CONVOLUTIONAL = {"kind": "conv", "depth": 2, "window": [3, 2], "W_std": 1.0}


def of(path: str, value: object) -> Cell:
    return Cell.model_validate(changed(path, value))


def walk(architecture: Architecture, shape: shapes.Shape, width: int, outputs: int) -> list[shapes.Step]:
    return list(shapes.steps(networks.layers(architecture), shape, shapes.WidthAndOutputs(width, outputs)))


def test_parameters_of_a_small_network_by_hand():
    assert sizes.parameters(walk(FC(kind="fc", depth=1, b_std=None), (3,), 5, 2)) == 3 * 5 + 5 * 2
    assert sizes.parameters(walk(FC(kind="fc", depth=3), (3,), 5, 2)) == (3 * 5 + 5) + 2 * (5 * 5 + 5) + (5 * 2 + 2)


def test_a_convolution_has_weights_of_its_window_and_outputs_at_every_position():
    first, second, head = (3 * 2 * 1 + 1) * 64, (3 * 2 * 64 + 1) * 64, (784 * 64 + 1) * 3
    network = sizes.network(of("architecture", CONVOLUTIONAL))
    assert sizes.parameters(network) == first + second + head
    assert sizes.activations(network) == 2 * 784 * 64
    assert [sizes.places(step) for step in sizes.weighted(network)] == [784, 784, 1]


def test_the_state_of_a_training_by_hand():
    """What trains together follows from it, and so the last bits of results: these numbers never change."""
    weights = sizes.parameters(sizes.network(cell()))
    kept = 2 * 60 * (784 + 64 + 64)
    assert sizes.state_bytes(cell()) == 4 * (4 * weights + 2 * kept)
    assert sizes.state_bytes(of("training.linearize_at", None)) == 4 * (2 * weights + kept)
    assert sizes.state_bytes(of("training", {"mode": "none"})) == 4 * weights
    assert sizes.state_bytes(of("numerics", {"network": "float64"})) == 2 * sizes.state_bytes(cell())
    words = {"mode": "adversarial", "attack": {"kind": "fgsm", "eps": 0}, "epochs": 20, "batch_size": 10}
    assert sizes.state_bytes(of("training", words)) == 4 * (2 * weights + 2 * 10 * (2 * 784 + 64 + 64))


def test_the_state_of_an_optimizer_by_hand():
    sgd, momentum, adam = (
        sizes.state_bytes(of("training.optimizer", optimizer))
        for optimizer in ({"kind": "sgd"}, {"kind": "sgd", "momentum": 0.9}, {"kind": "adam"})
    )
    size = 4 * sizes.parameters(sizes.network(cell()))
    assert (momentum - sgd, adam - sgd) == (size, 2 * size)


@pytest.mark.parametrize(("head", "entries"), [("flatten", 784), ("gap", 784**2)])
def test_a_row_of_a_limit_keeps_the_pairs_of_positions_that_it_tells_apart(head: str, entries: int):
    asked = of("architecture", CONVOLUTIONAL | {"head": head})
    kernel = asked.kernels["limit"]
    assert isinstance(kernel, InfiniteKernel)
    assert sizes.row_entries(asked, kernel) == 2 * entries + 1
