"""What is ascended where a spec leaves it open."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from ntkbench.ntk import attacks, losses
from ntkbench.plan.keys import craft_key, training_key
from ntkbench.run.build import training as build_training
from ntkbench.run.build.attacks import attack
from ntkbench.spec.attacks import LossAscent
from ntkbench.spec.cell import Cell
from ntkbench.spec.identity import resolved, run_id, with_auto_losses

TWO, THREE = ["bag", "coat"], ["bag", "coat", "dress"]
STANDARD = {"mode": "standard", "epochs": 2}
ADVERSARIAL = {**STANDARD, "mode": "adversarial", "attack": {"kind": "fgsm", "eps": "8/255"}}


def cell(classes: list[str] | None, training: dict[str, Any], loss: str | None = None, **data: Any) -> Cell:
    said = {} if loss is None else {"loss": loss}
    return Cell.model_validate(
        {
            "data": {"dataset": "fashion_mnist", "classes": classes, "n_train": 30, "n_test": 30, **data},
            "architecture": {"kind": "fc"},
            "width": 8,
            "training": training,
            "kernels": {"limit": {"kind": "infinite"}, "first": {"kind": "empirical"}},
            "attacks": {
                "ntk": {"kind": "fgsm", "source": "limit", "eps": "8/255", **said},
                "empirical": {"kind": "apgd", "source": "first", "eps": "8/255", **said},
                "own": {"kind": "pgd", "eps": "8/255", **said},
                "noise": {"kind": "random_sign", "eps": "8/255"},
            },
            "analyses": {"clean": {"kind": "accuracy", "attacks": ["own", "ntk", "empirical", "noise"]}},
        }
    )


def chosen(of: Cell) -> list[str]:
    return [attack.loss for attack in with_auto_losses(of).attacks.values() if isinstance(attack, LossAscent)]


@pytest.mark.parametrize(
    ("classes", "training", "expected"),
    [
        (TWO, STANDARD, ["cross_entropy"] * 3),
        (THREE, STANDARD, ["margin"] * 3),
        (None, STANDARD, ["margin"] * 3),
        (THREE, {**STANDARD, "loss": "cross_entropy"}, ["margin", "margin", "cross_entropy"]),
        (THREE, {"mode": "none"}, ["margin", "margin", "cross_entropy"]),
        (THREE, {**STANDARD, "mode": "linearized"}, ["margin"] * 3),
    ],
)
def test_the_margin_where_several_classes_were_fitted_with_squared_loss(classes, training, expected):
    of = cell(classes, training)
    assert chosen(of) == expected
    stored = resolved(of)["attacks"]
    assert [stored[name]["loss"] for name in ("ntk", "empirical", "own")] == expected, "records say what was ascended"
    said = of.model_copy(update={"attacks": with_auto_losses(of).attacks})
    assert run_id(said, 0) == run_id(of, 0)
    assert craft_key(said, "ntk") == craft_key(of, "ntk")


def test_in_a_transfer_matrix_the_loss_suits_each_source():
    of = cell(THREE, {**STANDARD, "loss": "cross_entropy"})
    grid = {"grid": {"kind": "transfer_matrix", "attack": "own"}}
    of = Cell.model_validate({**of.model_dump(mode="json"), "analyses": grid})
    losses = {source: getattr(of.attack(of.attack_on("own", source)), "loss", "") for source in of.predictors}
    assert losses == {"self": "cross_entropy", "limit": "margin", "first": "margin"}
    again = Cell.model_validate(resolved(of))
    assert again.attack("own:limit") == of.attack("own:limit"), "a record says enough to make it again"
    assert run_id(again, 0) == run_id(of, 0)
    said = of.model_copy(update={"attacks": {**of.attacks, "own": of.attack("own")}})
    assert run_id(said, 0) != run_id(of, 0), "one loss for all sources is another experiment"


@pytest.mark.parametrize("kind", ["fab", "autoattack"])
def test_attacks_with_losses_of_their_own_have_none_to_choose(kind: str):
    of = cell(THREE, {**STANDARD, "loss": "cross_entropy"})
    grid = {"grid": {"kind": "transfer_matrix", "attack": "own"}}
    words = {"own": {"kind": kind, "eps": "8/255"}}
    of = Cell.model_validate({**of.model_dump(mode="json"), "attacks": words, "analyses": grid})
    assert "loss" not in resolved(of)["attacks"]["own"]
    sources = {source: getattr(of.attack(of.attack_on("own", source)), "source", "") for source in of.predictors}
    assert sources == {source: source for source in of.predictors}, "a matrix makes it on each source"


def test_of_two_classes_all_ids_are_those_of_cross_entropy():
    for training in (STANDARD, ADVERSARIAL, {"mode": "none"}):
        assert run_id(cell(TWO, training), 0) == run_id(cell(TWO, training, "cross_entropy"), 0)
    drawn: dict[str, Any] = {"dataset": {"kind": "two_gaussians"}}
    assert run_id(cell(None, STANDARD, None, **drawn), 0) == run_id(cell(None, STANDARD, "cross_entropy", **drawn), 0)


def test_what_is_said_is_ascended():
    assert chosen(cell(THREE, STANDARD, "cross_entropy")) == ["cross_entropy"] * 3
    assert run_id(cell(THREE, STANDARD, "cross_entropy"), 0) != run_id(cell(THREE, STANDARD), 0)


@pytest.mark.parametrize(
    ("classes", "loss", "expected"),
    [(THREE, "mse", "margin"), (THREE, "cross_entropy", "cross_entropy"), (TWO, "mse", "cross_entropy")],
)
def test_the_attack_inside_a_training_follows_its_loss(classes, loss, expected):
    auto = cell(classes, {**ADVERSARIAL, "loss": loss})
    said = cell(classes, {**ADVERSARIAL, "loss": loss, "attack": {**ADVERSARIAL["attack"], "loss": expected}})
    assert resolved(auto)["training"]["attack"]["loss"] == expected
    assert (run_id(auto, 0), training_key(auto)) == (run_id(said, 0), training_key(said))


def test_the_numbers_are_made_with_it():
    outputs, label = jnp.array([0.2, 0.5, 0.1]), jnp.array(0)
    for classes, expected in ((THREE, losses.margin), (TWO, losses.cross_entropy)):
        objective = attack(cell(classes, STANDARD), "ntk").objective
        assert objective is not None
        assert objective.loss is expected
        inner = build_training.inner(cell(classes, ADVERSARIAL), jax.random.split(jax.random.key(0), 2))
        assert inner is not None
        assert isinstance(inner.attack, attacks.FGSM)
        assert inner.attack.objective.loss is expected
    assert float(losses.margin(outputs, label)) == pytest.approx(0.3)
