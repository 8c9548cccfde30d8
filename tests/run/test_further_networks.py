"""Networks beside the run's own: as sources and targets, trained once, with seeds of their own."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from ntkbench.api import rebuilt
from ntkbench.plan.read import read
from ntkbench.plan.runs import Plan, units
from ntkbench.run.build import networks as build_networks
from ntkbench.run.predictors import Predictors
from ntkbench.run.shared import SharedStages
from ntkbench.spec.cell import Cell
from ntkbench.spec.training import Pretrained
from ntkbench.store import arrays, lookup
from ntkbench.store.groups import cached, objects
from ntkbench.store.record import Record
from ntkbench.store.store import Store
from tests.examples import tiny

SPEC = """
ntkbench: 1
name: two
data: {dataset: {kind: two_gaussians, dim: 6}, n_train: 12, n_test: 40}
architecture: {kind: fc, depth: 1}
width: 8
training: {mode: standard, epochs: 3}
networks: {other: {width: 12}}
attacks:
  ours: {kind: fgsm, source: self, eps: [0.1, 0.3]}
  theirs: {kind: fgsm, source: other, eps: [0.1, 0.3]}
analyses:
  to_self: {kind: transfer, attack: theirs, ceiling: ours}
  to_other: {kind: transfer, attack: ours, target: other}
"""


def executed(folder: Path, text: str = SPEC) -> tuple[Plan, Store]:
    planned, store = tiny.planned(folder, text=text), Store(folder / "runs")
    told = tiny.run(planned, store)
    assert {status for _, status in told.lines} == {"ok"}, told.notes
    return planned, store


def predictors(planned: Plan, store: Store) -> Predictors:
    shared = SharedStages(store, (), 1e8)
    return rebuilt.predictors(planned, planned.runs[0], shared)


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> tuple[Plan, Store, Record, Predictors]:
    planned, store = executed(tmp_path_factory.mktemp("two"))
    (record,) = lookup.records(store, planned.runs)
    return planned, store, record, predictors(planned, store)


def signs(f, X: np.ndarray, labels: np.ndarray, eps: np.float32) -> np.ndarray:
    """FGSM by hand on a network with one output, which is positive for the second class."""
    steps = []
    for x, label in zip(X, labels, strict=True):
        slope = np.asarray(jax.grad(lambda image: f(image).sum())(jnp.asarray(x)))
        steps.append(x - eps * np.sign(slope) * (1 if label == 1 else -1))
    return np.clip(np.stack(steps), 0, 1)


def right(f, X: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.array([bool(np.asarray(f(jnp.asarray(x))).item() > 0) == bool(y) for x, y in zip(X, labels, strict=True)])


@pytest.mark.parametrize(("analysis", "attack"), [("to_self", "theirs"), ("to_other", "ours")])
def test_both_directions_are_those_of_a_loop_written_by_hand(done, analysis: str, attack: str):
    _, store, record, of = done
    ours, theirs = of.trained(), of.others["other"].trained
    source, target = (theirs, ours) if attack == "theirs" else (ours, theirs)
    test = of.split("test")
    X, labels = np.asarray(test.unit("float32")), np.asarray(test.labels)
    clean = right(target, X, labels)
    kept = arrays.read_samples(store.records, record)
    np.testing.assert_array_equal(kept[f"{analysis}.clean"], clean)
    for eps in (0.1, 0.3):
        robust = right(target, signs(source, X, labels, np.float32(eps)), labels)
        (label,) = {row.where["eps"] for row in record.metrics if row.where.get("eps") in ("1/10", "3/10")} & {
            {0.1: "1/10", 0.3: "3/10"}[eps]
        }
        np.testing.assert_array_equal(kept[f"{analysis}.{attack}@{label}"], robust)
        (rate,) = (
            row
            for row in record.metrics
            if (row.analysis, row.metric) == (analysis, "transfer_rate")
            and (row.where["attack"], row.where["eps"], row.where["denominator"]) == (attack, label, "target_correct")
        )
        assert (rate.k, rate.n) == (int(np.sum(clean & ~robust)), int(clean.sum()))
        assert rate.where["source"] == ("other" if attack == "theirs" else "self")
        assert rate.where["target"] == ("self" if attack == "theirs" else "other")


def test_the_two_networks_start_apart_unless_the_spec_says_so(tmp_path: Path):
    text = SPEC.replace("{width: 12}", "{training: {mode: none}}")

    def same(text: str) -> bool:
        cell = tiny.planned(tmp_path, text=text).runs[0].cell
        own, other = (
            build_networks.networks(cell.as_own(name), (cell.seed_of(name, 3),), (6,), 1) for name in ("self", "other")
        )
        return all(
            np.array_equal(a, b)
            for a, b in zip(jax.tree.leaves(own.weights), jax.tree.leaves(other.weights), strict=True)
        )

    assert not same(text)
    assert same(text.replace("{training:", "{seed_offset: 0, training:"))
    assert not same(text.replace("{training:", "{seed_offset: 1, training:"))


def test_its_training_is_a_stage_of_its_own_that_is_not_repeated(done):
    planned, store, record, _ = done
    run = planned.runs[0]
    seed = run.cell.seed_of("other", run.seed)
    stage = record.stages["network.other"]
    assert (stage.cached, stage.facts["seeds"]) == (False, [seed])
    assert store.has("training", stage.key)
    there = {key: known for kind, key, known in objects(run.cell, [run.seed], store) if kind == "training"}
    assert there == {f"{stage.key.partition('-')[0]} {seed}": True, f"{record.stages['training'].key[:13]} 0": True}
    assert cached(planned.runs, store) == {key.partition(" ")[0] for key in there}
    store.record(run.id).unlink()
    told = tiny.run(planned, store)
    assert told.lines == [(run.id, "ok")], told.notes
    (again,) = lookup.records(store, planned.runs)
    assert [again.stages[name].cached for name in ("training", "network.other")] == [True, True]
    assert again.metrics == record.metrics


def told(record: Record, target: str) -> dict[str, tuple[float | None, int | None]]:
    """What the record says of a network's training."""
    rows = (row for row in record.metrics if (row.analysis, row.where.get("target")) == ("training", target))
    return {row.metric: (row.value, row.n) for row in rows}


def test_it_is_said_how_far_each_network_was_trained(tmp_path: Path):
    """The same numbers as of the runs whose own network is the further one, with its seed."""
    text = SPEC.replace(
        "other: {width: 12}", "other: {width: 12, seed_offset: 0, training: {mode: standard, epochs: 5}}"
    )
    text = text.replace(
        "attacks:", "kernels: {ntk: {kind: infinite, time: 2}}\nattacks:\n  ntk: {kind: fgsm, source: ntk, eps: 0.1}"
    )
    text += "  ntk_to_other: {kind: transfer, attack: ntk, target: other}\n"
    planned, store = executed(tmp_path, text)
    (record,) = lookup.records(store, planned.runs)
    own = SPEC.partition("networks:")[0].replace("width: 8", "width: 12").replace("epochs: 3", "epochs: 5")
    own += "analyses: {clean: {kind: accuracy, target: self}}\n"
    (single,) = lookup.records(store, executed(tmp_path, own)[0].runs)
    assert told(record, "other") == told(single, "self")
    assert told(record, "self")["epochs_trained"] == (3, None)
    assert told(record, "other")["epochs_trained"] == (5, None)
    flow_time = told(record, "other")["flow_time"][0]
    (check,) = (each for each in record.checks if each.code == "source_and_target_at_equal_time")
    assert check.detail["network"] == "other"
    assert flow_time is not None
    assert check.detail["flow_time"] == flow_time
    assert check.ok == (1 <= flow_time <= 4)


def test_a_further_network_that_does_not_reach_its_loss_is_told(tmp_path: Path):
    text = SPEC.replace(
        "other: {width: 12}", "other: {width: 12, training: {mode: standard, epochs: 2, until: {loss: 1e-9}}}"
    )
    planned, store = executed(tmp_path, text)
    (record,) = lookup.records(store, planned.runs)
    (check,) = (each for each in record.checks if each.code == "loss_reached")
    assert (check.ok, check.detail["network"]) == (False, "other")


def test_weights_of_a_file_are_a_source_too(done, tmp_path: Path):
    _, _, record, of = done
    group = of.others["other"]
    named = build_networks.leaves(of.cell.as_own("other"), group.trained)
    save_file({name: np.asarray(leaf) for name, leaf in named.items()}, tmp_path / "net.safetensors")
    pretrained = "{width: 12, training: {mode: pretrained, weights: net.safetensors}}"
    planned, store = executed(tmp_path, SPEC.replace("{width: 12}", pretrained))
    (found,) = lookup.records(store, planned.runs)
    trained = [row for row in record.metrics if (row.analysis, row.where.get("target")) == ("training", "other")]
    assert len(trained) == 6, "loss, accuracy, residual, epochs, flow time, learned features"
    assert list(found.metrics) == [row for row in record.metrics if row not in trained], "no training is known"
    assert found.stages["network.other"].key == "", "nothing is trained, so nothing is kept"
    words = Cell.model_validate(found.spec.resolved).networks["other"].training
    assert isinstance(words, Pretrained)
    assert words.weights == "net.safetensors"
    assert words.sha256 is not None


def test_networks_alone_need_no_network_of_the_run(tmp_path: Path):
    text = SPEC.replace("width: 8\n", "").replace("source: self", "source: second").replace("{other: {width: 12}}", "")
    text = text.replace("networks: ", "networks: {other: {width: 12}, second: {width: 12}}\nseeds: 2")
    text = text.replace("kind: transfer, attack: theirs", "kind: transfer, target: second, attack: theirs")
    planned, store = executed(tmp_path, text)
    (unit,) = units([(run, 0) for run in planned.runs])
    assert len(unit.runs) == 2
    for record in lookup.records(store, planned.runs):
        assert {name for name in record.stages if name.startswith(("network", "training"))} == {
            "network.other",
            "network.second",
        }
        together = [planned.runs[0].cell.seed_of("other", seed) for seed in (0, 1)]
        assert record.stages["network.other"].facts["seeds"] == together, "the seeds train together"


def test_equal_settings_share_a_training(tmp_path: Path):
    text = SPEC.replace("{width: 12}", "{width: 12, seed_offset: 1}") + "matrix: {width: [8, 12]}\n"
    planned = read(tiny.spec(tmp_path, text))
    keys = [
        [key for kind, key, _ in objects(run.cell, [0], Store(tmp_path)) if kind == "training"] for run in planned.runs
    ]
    assert [len(of) for of in keys] == [2, 2]
    (own, other) = keys[1]
    assert own.partition(" ")[0] == other.partition(" ")[0] == keys[0][1].partition(" ")[0]
    assert (own[-1], other[-1]) == ("0", "1")


def test_what_a_network_makes_in_float32_respects_the_ball_on_a_kernel_in_float64(tmp_path: Path):
    text = SPEC.replace("networks: {other: {width: 12}}", "kernels: {other: {kind: infinite}}")
    planned, store = executed(tmp_path, text)
    (record,) = lookup.records(store, planned.runs)
    assert record.spec.resolved["numerics"] == {"kernel": "float64", "network": "float32"}
    checks = [check for check in record.checks if (check.analysis, check.code) == ("to_other", "ball_respected")]
    assert checks
    assert all(check.ok for check in checks)
