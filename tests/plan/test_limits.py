from typing import Any

import pytest

from ntkbench.plan import limits, networks
from ntkbench.plan.limits import ComparedPositions
from ntkbench.plan.shapes import LayerError
from ntkbench.run.build.networks import stateless
from tests.examples.networks import FINITE, NETWORKS, network

CONV, RELU, NORM, POOL, GAP = ({"op": op} for op in ("conv", "relu", "layer_norm", "avg_pool", "gap"))


def of(*words: Any) -> Any:
    return networks.layers(network({"kind": "layers", "layers": list(words)}))


def added(*branches: list[Any]) -> dict[str, Any]:
    return {"op": "residual", "branches": list(branches)}


@pytest.mark.parametrize("name", [*NETWORKS, *FINITE])
def test_positions_are_those_of_the_recipe(name: str):
    words = network((NETWORKS | FINITE)[name])
    assert int(limits.positions(networks.layers(words))) == int(stateless(words, 4, 1).positions)


def test_positions():
    assert limits.positions(of({"op": "flatten"}, {"op": "dense"})) is ComparedPositions.NONE
    assert limits.positions(of(CONV, RELU, {"op": "flatten"}, {"op": "dense"})) is ComparedPositions.MATCHED
    assert limits.positions(of(CONV, GAP, {"op": "dense"})) is ComparedPositions.ALL
    assert limits.positions(of(CONV, added([], [POOL]), {"op": "flatten"})) is ComparedPositions.ALL


def test_entries_of_a_covariance():
    assert [limits.entries((3, 5, 7), needs) for needs in ComparedPositions] == [1, 15, 225]
    assert limits.entries(("7x",), ComparedPositions.ALL) == 1


@pytest.mark.parametrize("name", NETWORKS)
def test_limits_that_are_known(name: str):
    assert limits.check(networks.layers(network(NETWORKS[name])))


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ([RELU, CONV], (0,)),
        ([CONV, RELU, RELU], (2,)),
        ([CONV, RELU, POOL, RELU], (3,)),
        ([CONV, RELU, NORM], (2,)),
        ([CONV, added([], [RELU]), CONV], (1,)),
        ([CONV, added([], [NORM]), CONV], (1,)),
        ([CONV, added([CONV, RELU], [CONV, RELU]), CONV], (1,)),
        ([CONV, added([], [CONV, RELU]), RELU], (2,)),
        ([CONV, added([], [added([], [CONV])]), CONV], (1,)),
        ([CONV, added([], [CONV, RELU, RELU])], (1, "branches", 1, 2)),
        ([CONV, {"op": "max_pool"}, CONV], (1,)),
        ([CONV, added([], [{"op": "batch_norm"}, CONV])], (1, "branches", 1, 0)),
    ],
)
def test_limits_that_are_not(words: list[Any], path: tuple[Any, ...]):
    with pytest.raises(LayerError) as fault:
        limits.check(of(*words))
    assert fault.value.path == path


@pytest.mark.parametrize(
    "words",
    [
        [CONV, POOL, RELU],
        [CONV, NORM, NORM, RELU],
        [CONV, RELU, added([], [CONV]), CONV, RELU],
        [CONV, added([], [CONV, RELU]), CONV, RELU],
        [CONV, added([CONV], [RELU, CONV], []), RELU],
        [CONV, added([], [added([CONV], [RELU, CONV]), RELU, CONV]), RELU],
    ],
)
def test_what_is_allowed(words: list[Any]):
    limits.check(of(*words))
