import json
from fractions import Fraction
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from ntkbench.errors import NtkbenchError
from ntkbench.plan.keys import training_key
from ntkbench.plan.read import read
from ntkbench.spec.cell import Cell
from ntkbench.spec.identity import canonical, digest, resolved, run_id, run_ids, with_auto_losses
from tests.examples.cells import FULL, OTHER, cell, changed, leaves, other

ONE_VALUE_ONLY = {"kind", "mode"}
WITHOUT_EFFECT = {"kernels.limit.width", "analyses.drift.target"}
"""a width has no meaning for the NTK parameterization, and drift is that of the network: a spec is refused"""


def test_every_field_has_another_value_below():
    fields = {path for path in leaves(cell()) if path.rpartition(".")[2] not in ONE_VALUE_ONLY}
    assert fields - WITHOUT_EFFECT == set(OTHER)


@pytest.mark.parametrize("path", OTHER)
def test_every_field_changes_the_id(path: str):
    assert run_id(other(path), 0) != run_id(cell(), 0)


def test_all_these_ids_differ():
    ids = {run_id(other(path), 0) for path in OTHER}
    assert len(ids) == len(OTHER)


def test_the_seed_and_the_ids_of_sections_change_the_id():
    assert run_id(cell(), 0) != run_id(cell(), 1)
    assert run_id(cell(), 0) != run_id(cell(analyses={"other": FULL["analyses"]["clean"]}), 0)
    assert run_ids(cell(), (3, 5)) == (run_id(cell(), 3), run_id(cell(), 5))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("attacks.ntk.eps", ["16/510"]),
        ("attacks.ntk.eps", Fraction(8, 255)),
        ("data.classes", [7, 8, 4]),
        ("data.classes", ["7", "bag", 4]),
        ("data.dataset", {"kind": "named", "name": "fashion_mnist"}),
        ("training", {"mode": "linearized", "epochs": 20}),
        ("kernels.limit.architecture", {"kind": "fc", "depth": 2, "b_std": Fraction(1, 10)}),
        ("kernels.standard.width", 64),
        ("kernels.limit.time", "inf"),
        ("kernels.limit.ridge", -0.0),
        ("architecture.W_std", 2**0.5),
        ("numerics", {"network": "float32"}),
        ("analyses.clean.attacks", "own"),
        ("analyses.eigen.groups", 3),
        ("analyses.agree.top", [100, 50, 20, 10, 5, 1]),
        ("kernels.first.at", 0),
    ],
)
def test_notation_and_spelled_out_defaults_leave_no_trace(path: str, value: object):
    assert run_id(Cell.model_validate(changed(path, value)), 0) == run_id(cell(), 0)


ADVERSARIAL = {
    "mode": "adversarial",
    "optimizer": {"kind": "sgd", "schedule": {"kind": "warmup_cosine", "warm_up": 2}},
    "epochs": 20,
    "attack": {"kind": "pgd", "eps": "8/255"},
}
IN_ADVERSARIAL: dict[str, Any] = {
    "attack.eps": "4/255",
    "attack.norm": "l2",
    "attack.loss": "cross_entropy",
    "attack.steps": 11,
    "attack.step_size": "2/255",
    "attack.start": "uniform",
    "attack": {"kind": "fgsm", "eps": "8/255"},
    "warm_up": 1,
    "optimizer.schedule.warm_up": 3,
    "optimizer.schedule.epochs": 10,
    "optimizer.schedule.end": 0.1,
    "optimizer.schedule": {"kind": "exponential", "factor": 0.5},
}


def adversarial(path: str = "", value: Any = None) -> Cell:
    return cell(training=changed(path, value, ADVERSARIAL) if path else ADVERSARIAL)


def test_every_field_of_an_adversarial_training_changes_ids_and_keys():
    cells = [adversarial(), *(adversarial(path, value) for path, value in IN_ADVERSARIAL.items())]
    assert len({run_id(of, 0) for of in cells}) == len({training_key(of) for of in cells}) == len(cells)


def test_what_goes_without_saying_of_a_training_leaves_no_trace():
    said = adversarial("optimizer.schedule.epochs", 20)
    assert (run_id(said, 0), training_key(said)) == (run_id(adversarial(), 0), training_key(adversarial()))
    first = {**FULL["kernels"], "first": {"kind": "empirical", "at": "final"}}
    last = {**FULL["kernels"], "first": {"kind": "empirical", "at": 20}}
    assert run_id(cell(kernels=first), 0) == run_id(cell(kernels=last), 0)
    half = cell(kernels={**FULL["kernels"], "first": {"kind": "empirical", "at": "1/2"}})
    assert run_id(half, 0) == run_id(cell(kernels={**FULL["kernels"], "first": {"kind": "empirical", "at": 0.5}}), 0)
    assert training_key(half) == training_key(cell()), "who looks back changes nothing"
    assert Cell.model_validate(json.loads(json.dumps(resolved(half)))) == with_auto_losses(half)


def test_all_classes_by_null_or_by_name():
    def of(classes: object) -> str:
        return run_id(Cell.model_validate(changed("data.classes", classes)), 0)

    assert of(None) == of(list(range(10)))


EQUAL = """ntkbench: 1
name: one
data: {dataset: mnist, classes: [zero, one], n_train: 50, n_test: 20}
architecture: {kind: fc, W_std: 1.5, b_std: 0.1}
width: 32
training: {mode: standard, epochs: 5, optimizer: {kind: sgd, learning_rate: 0.1}}
attacks: {own: {kind: fgsm, eps: 8/255}}
analyses: {robust: {kind: accuracy, attacks: [own]}}
"""
SAME = """name: another
title: the same, written otherwise
tags: [x]
analyses: {robust: {attacks: own, target: self, kind: accuracy}}
attacks: {own: {eps: ["16/510"], kind: fgsm, norm: linf, source: self}}
architecture: {b_std: 1e-1, W_std: 3/2, kind: fc, depth: 1, parameterization: ntk}
data: {n_test: 20, n_train: 50, classes: [0, "1"], dataset: {kind: named, name: mnist}, seed: 0}
kernels: {}
training: {epochs: 500, mode: standard, optimizer: {learning_rate: 1/10, kind: sgd}}
matrix: {size: {only: {training.epochs: 5, width: 32}}}
run: {tile_bytes: 1MB}
track: some-track@2
ntkbench: 1
"""


def test_the_same_experiment_in_another_file_has_the_same_id(tmp_path):
    ids = []
    for name, text in (("one", EQUAL), ("two", SAME)):
        (tmp_path / name).write_text(text)
        ids.append([run.id for run in read(str(tmp_path / name)).runs])
    assert ids[0] == ids[1]


@pytest.mark.parametrize("path", [None, *OTHER])
def test_what_a_record_stores_is_read_back(path: str | None):
    before = other(path) if path else cell()
    stored = json.loads(json.dumps(resolved(before), allow_nan=False))
    after = Cell.model_validate(stored)
    assert after == with_auto_losses(before)
    assert run_id(after, 3) == run_id(before, 3)


def test_golden_ids():
    """A change of these makes every record that exists an orphan."""
    said = {name: {**FULL["attacks"][name], "loss": "cross_entropy"} for name in ("ntk", "own")}
    attacks = {**FULL["attacks"], **said}
    first = cell(attacks=attacks, analyses={name: FULL["analyses"][name] for name in ("clean", "transfer")})
    assert run_id(first, 0) == "rwt42yksvm9js"
    assert run_id(first, 1) == "rvd49js5bh24m"
    assert digest("x", {"b": [1, 0.5, None], "a": Fraction(8, 255)}) == "xn48fvf4t1sc3"


APGD = {"kind": "apgd", "eps": "8/255"}


@pytest.mark.parametrize(
    "other",
    [
        {"kind": "pgd"},
        {"loss": "dlr"},
        {"steps": 99},
        {"start": "zero"},
        {"restarts": 2},
        {"targeted": 2},
        {"seed": 1},
    ],
)
def test_every_field_of_an_adaptive_attack_counts(other: dict[str, object]):
    one, two = (cell(attacks={**FULL["attacks"], "own": words}) for words in (APGD, {**APGD, **other}))
    assert run_id(one, 0) != run_id(two, 0)


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        *(("fab", each) for each in ({"steps": 99}, {"restarts": 2}, {"targeted": 2}, {"seed": 1}, {"norm": "l2"})),
        *(("autoattack", each) for each in ({"steps": 99}, {"queries": 4999}, {"targeted": 2}, {"seed": 1})),
    ],
)
def test_every_field_of_a_search_and_of_the_standard_set_counts(kind: str, other: dict[str, object]):
    words = {"kind": kind, "eps": "8/255"}
    one, two = (cell(attacks={**FULL["attacks"], "own": each}) for each in (words, {**words, **other}))
    assert run_id(one, 0) != run_id(two, 0)


class Old(BaseModel):
    kind: Literal["toy"] = "toy"
    steps: int = 3


class New(Old):
    restarts: int = Field(default=5, json_schema_extra={"as_before": 1})
    budget: Fraction = Field(default=Fraction(0), json_schema_extra={"as_before": "0"})


def test_a_field_added_later_is_left_out_at_the_value_that_means_as_before():
    assert canonical(New(restarts=1)) == canonical(Old())
    assert digest("r", New(restarts=1)) == digest("r", Old())
    assert canonical(New()) == {"kind": "toy", "restarts": 5, "steps": 3}
    assert canonical(New(restarts=1, budget=Fraction(1, 2))) == {"budget": "1/2", "kind": "toy", "steps": 3}


def test_canonical_values():
    value = {"b": (float("inf"), -float("inf"), -0.0), "a": Fraction(4, 2), "3": True}
    assert canonical(value) == {"3": True, "a": "2", "b": ["inf", "-inf", 0.0]}
    assert str(canonical(-0.0)) == "0.0"


@given(st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False) | st.none() | st.text()))
def test_digests_are_short_and_blind_to_order(value: dict[str, object]):
    key = digest("k", value)
    assert len(key) == 13
    assert set(key[1:]) <= set("0123456789abcdefghjkmnpqrstvwxyz")
    assert key == digest("k", dict(reversed(value.items())))


@pytest.mark.parametrize("eps", ["1/1" + "0" * 290, "1e-300", "5e-324"])
def test_budgets_of_any_size_read_back(eps: str):
    attack = {"kind": "random_sign", "eps": [eps if "/" in eps else float(eps)]}
    of = Cell.model_validate({**resolved(cell()), "attacks": {"a": attack}, "analyses": {"b": {"kind": "accuracy"}}})
    again = Cell.model_validate(json.loads(json.dumps(resolved(of))))
    assert run_id(again, 0) == run_id(of, 0)


def test_classes_that_are_not_there_are_a_mistake_that_is_told():
    data = {"dataset": "fashion_mnist_mini", "classes": [7, 99], "n_train": 10, "n_test": 10}
    of = Cell.model_validate({**resolved(cell()), "data": data})
    with pytest.raises(NtkbenchError, match=r"data\.classes: fashion_mnist_mini has no class 99"):
        run_id(of, 0)


def test_further_networks_count_field_by_field_and_leave_no_trace_where_there_are_none():
    assert "networks" not in resolved(cell())
    assert run_id(cell(networks={}), 0) == run_id(cell(), 0)
    words = ({}, {"width": 65}, {"architecture": {"kind": "fc"}}, {"training": {"mode": "none"}}, {"seed_offset": 1})
    cells = [cell(networks={"other": each}) for each in words]
    assert len({run_id(of, 0) for of in (cell(), *cells)}) == 1 + len(words)
    assert run_id(cell(networks={"another": {}}), 0) != run_id(cells[0], 0)
    own = {name: FULL[name] for name in ("architecture", "width", "training")}
    offset = cells[0].networks["other"].offset("other")
    assert run_id(cell(networks={"other": {**own, "seed_offset": offset}}), 0) == run_id(cells[0], 0)
    again = Cell.model_validate(json.loads(json.dumps(resolved(cells[1]))))
    assert run_id(again, 0) == run_id(cells[1], 0)


def test_a_further_network_has_the_key_of_the_same_network_as_the_runs_own():
    of = cell(networks={"other": {"width": 65, "architecture": {"kind": "fc", "depth": 3}}})
    same = cell(width=65, architecture={"kind": "fc", "depth": 3})
    assert training_key(of.as_own("other")) == training_key(same) != training_key(of)


def test_the_loss_of_an_attack_suits_the_training_of_its_source():
    trained = {"mode": "standard", "loss": "cross_entropy", "epochs": 2}
    attacks = {name: {"kind": "fgsm", "source": name, "eps": "8/255"} for name in ("self", "limit", "other")}
    of = with_auto_losses(cell(networks={"other": {"training": trained}}, attacks=attacks, analyses=FULL["analyses"]))
    losses = {name: getattr(attack, "loss", None) for name, attack in of.attacks.items()}
    assert losses == {"self": "margin", "limit": "margin", "other": "cross_entropy"}
