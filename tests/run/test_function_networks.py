"""Networks of other packages, of whose layers nothing is known: everything but a limit works on them."""

from pathlib import Path
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntkbench.errors import NtkbenchError, UsageError
from ntkbench.ntk import network
from ntkbench.plan import sizes
from ntkbench.plan.cost.estimate import stages
from ntkbench.plan.timeline import moments_needed
from ntkbench.run.build.networks import initial, stateless
from ntkbench.run.group import train
from ntkbench.run.measure import measurements
from ntkbench.run.predictors import Predictors
from ntkbench.run.shared import SharedStages
from ntkbench.spec.architectures import FC, ExtensionNetwork
from ntkbench.spec.cell import Cell
from ntkbench.store.groups import groups
from ntkbench.store.store import Store

OURS = FC(kind="fc", parameterization="standard")


class Unknown(ExtensionNetwork, FC):  # pyright: ignore[reportIncompatibleVariableOverride]
    """A network by the name of its functions in this module; an FC for the check of types alone, as it is installed by
    no package."""

    kind: Literal["unknown"] = "unknown"  # pyright: ignore[reportIncompatibleVariableOverride]
    functions: str = "like_fc"

    builder: ClassVar[str] = "tests.run.test_function_networks:build"


def build(words: Unknown, outputs: int) -> Any:
    return globals()[words.functions](outputs)


def like_fc(outputs: int) -> Any:
    """The functions of a network that ntkbench has, with a whole number among its weights."""

    def init(key, shape, width):
        recipe = stateless(OURS, width, outputs)
        return {"steps": jnp.zeros((), int), "net": network.initialize(recipe, shape, key=key)}

    return init, lambda weights, x: weights["net"](x) + 0 * weights["steps"]


def too_many(outputs: int) -> Any:
    return (lambda key, shape, width: jnp.ones(3)), lambda weights, x: weights * x.sum()


def not_finite(outputs: int) -> Any:
    return (lambda key, shape, width: jnp.full(1, jnp.nan)), lambda weights, x: weights * x.sum()


def without_width(outputs: int) -> Any:
    def init(key, shape, width):
        assert width is None
        return jax.random.normal(key, (outputs, *shape))

    return init, lambda weights, x: jnp.sum(weights * x[None], (1, 2, 3))


def cell(architecture: Any, **sections: Any) -> Cell:
    """A cell with much of what can be asked of a network."""
    whole = Cell.model_validate(
        {
            "data": {"dataset": {"kind": "two_gaussians", "dim": 8}, "n_train": 12, "n_test": 8},
            "architecture": {"kind": "fc"},
            "width": 32,
            "training": {"mode": "standard", "epochs": 4, "batch_size": 6},
            "kernels": {"own": {"kind": "empirical", "at": "final"}},
            "attacks": {
                "pgd": {"kind": "pgd", "eps": "8/255", "steps": 2},
                "kernel": {"kind": "fgsm", "source": "own", "eps": "8/255"},
            },
            "analyses": {
                "transfer": {"kind": "transfer", "attack": "kernel", "ceiling": "pgd"},
                "features": {"kind": "eigenspace", "target": "own", "attack": "kernel", "features": 2},
                "drift": {"kind": "drift", "probe": {"n": 4}, "snapshots": [0, 2, 4], "top": [2]},
            },
            **sections,
        }
    )
    return whole.model_copy(update={"architecture": architecture})


def numbers(folder: Path, of: Cell) -> dict[tuple, float | None]:
    """All numbers of a run, by what they are about."""
    shared = SharedStages(Store(folder), (), 1e8)
    group = train(shared, of, (1,), moments_needed(of), every=50, tick=lambda what: None)
    found = measurements(Predictors(shared, of, group.of(1)))
    return {
        (name, scalar.metric, *sorted(scalar.where.items())): scalar.value
        for name, measurement in found.items()
        for scalar in measurement.scalars
    }


TRAININGS: dict[str, dict[str, Any]] = {
    "standard": {},
    "adversarial, linearized later": {
        "mode": "adversarial",
        "attack": {"kind": "fgsm", "eps": "1/10"},
        "optimizer": {"kind": "adam"},
        "linearize_at": 2,
    },
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if "adversarial" in name else ()) for name in TRAININGS]
)
def test_a_network_of_functions_has_the_numbers_of_the_same_network_of_layers(name: str, tmp_path: Path):
    training = {"mode": "standard", "epochs": 4, "batch_size": 6, **TRAININGS[name]}
    ours, theirs = (numbers(tmp_path / str(each.kind), cell(each, training=training)) for each in (OURS, Unknown()))
    assert ours.keys() == theirs.keys()
    assert len(ours) > 40
    for key, value in ours.items():
        assert theirs[key] == (None if value is None else pytest.approx(value, rel=1e-4, abs=1e-5)), key


def test_seeds_draw_networks_and_train_one_by_one(tmp_path: Path):
    of = cell(Unknown())
    shared = SharedStages(Store(tmp_path), (), 1e8)
    several = shared.networks(of, (0, 1))
    alone = shared.networks(of, (1,))
    leaves = [jax.tree.leaves(each.weights) for each in (several, alone)]
    for two, one in zip(*leaves, strict=True):
        assert two.dtype == jnp.float32
        np.testing.assert_array_equal(two[1:], one)
        assert not np.array_equal(two[0], two[1])
    assert groups(shared.store, of, {0, 1, 2}) == [(0,), (1,), (2,)]


def test_its_width_may_be_its_own_affair(tmp_path: Path):
    of = cell(Unknown(functions="without_width")).model_copy(update={"width": None})
    assert of.has_network
    assert SharedStages(Store(tmp_path), (), 1e8).networks(of, (0,)).weights.shape == (1, 1, 1, 1, 8)


def test_a_plan_knows_no_size_of_it_and_no_limit():
    of = cell(Unknown())
    assert not sizes.has_cheap_limit(of)
    assert {stage.name for stage in stages(of, 1e8)} >= {"kernel.own", "analysis.drift"}


def test_functions_that_are_none_are_refused(tmp_path: Path):
    shared = SharedStages(Store(tmp_path), (), 1e8)
    with pytest.raises(UsageError, match=r"shape \(3,\), and this task asks for \(1,\): two classes have one output"):
        shared.networks(cell(Unknown(functions="too_many")), (0,))
    with pytest.raises(UsageError, match=r"weights at .* are not finite"):
        shared.networks(cell(Unknown(functions="not_finite")), (0,))

    class Absent(Unknown):
        builder: ClassVar[str] = "tests.run.nowhere:build"

    with pytest.raises(NtkbenchError, match=r"unknown: its builder tests\.run\.nowhere:build cannot be loaded"):
        initial(cell(Absent()), (0,), shared.data(cell(Unknown())).train, {}, ())
