"""Transfer of one attack between every two predictors: each entry is that of `transfer`, and of a loop by hand."""

from pathlib import Path

import numpy as np
import pytest

from ntkbench.boards.outcomes import outcome_string
from ntkbench.plan import memory
from ntkbench.plan.cost.estimate import stages
from ntkbench.plan.keys import craft_key
from ntkbench.plan.runs import Plan
from ntkbench.results.plots import plot, transfer_matrix
from ntkbench.run.predictors import Predictors
from ntkbench.store import arrays, lookup
from ntkbench.store.record import MetricRow, Record
from ntkbench.store.store import Store
from ntkbench.uncertainty import wilson
from tests.run.test_further_networks import executed, predictors, right, signs

SPEC = """
ntkbench: 1
name: grid
data: {dataset: {kind: two_gaussians, dim: 6}, n_train: 12, n_test: 40}
architecture: {kind: fc, depth: 1}
width: 8
training: {mode: standard, epochs: 3}
networks: {other: {width: 12}}
kernels: {limit: {kind: infinite}}
attacks:
  ours: {kind: fgsm, source: self, eps: [0.1, 0.3]}
  theirs: {kind: fgsm, source: other, eps: [0.1, 0.3]}
  ntk: {kind: fgsm, source: limit, eps: [0.1, 0.3]}
  noise: {kind: random_sign, eps: [0.1, 0.3]}
analyses:
  grid: {kind: transfer_matrix, attack: ours, floor: noise}
  part: {kind: transfer_matrix, attack: theirs, sources: other, targets: [limit, self]}
  other_to_self: {kind: transfer, attack: theirs, floor: noise}
  self_to_other: {kind: transfer, attack: ours, target: other}
  limit_to_self: {kind: transfer, attack: ntk}
  self_to_limit: {kind: transfer, attack: ours, target: limit}
  limit_to_other: {kind: transfer, attack: ntk, target: other}
  other_to_limit: {kind: transfer, attack: theirs, target: limit}
  white: {kind: accuracy, attacks: ours}
"""
EVERY = ("self", "limit", "other")


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> tuple[Plan, Store, Record, Predictors]:
    planned, store = executed(tmp_path_factory.mktemp("grid"), SPEC)
    (record,) = lookup.records(store, planned.runs)
    return planned, store, record, predictors(planned, store)


def rows(record: Record, analysis: str, *metrics: str, **where: str) -> dict[tuple, MetricRow]:
    """The rows of an analysis by what they are about, but for the id of the attack."""
    return {
        (row.metric, *(row.where.get(name) for name in ("source", "target", "eps", "denominator"))): row
        for row in record.metrics
        if row.analysis == analysis and row.metric in metrics and where.items() <= row.where.items()
    }


SHARES = ("transfer_rate", "robust_accuracy")


def test_each_entry_is_what_a_transfer_says_of_the_pair(done):
    _, _, record, _ = done
    for source in EVERY:
        for target in EVERY:
            entries = rows(record, "grid", *SHARES, source=source, target=target)
            assert len(entries) == 2 * (1 + 3), "a robust accuracy and three denominators at each budget"
            if source != target:
                known = rows(record, f"{source}_to_{target}", *SHARES, source=source)
                assert {key: (row.value, row.k, row.n, row.ci95) for key, row in entries.items()} == {
                    key: (row.value, row.k, row.n, row.ci95) for key, row in known.items()
                }
    assert {row.where["attack"] for row in rows(record, "grid", *SHARES).values()} == {"ours", "noise"}
    floor = rows(record, "grid", "transfer_rate", source="none", target="self")
    known = rows(record, "other_to_self", "transfer_rate", source="none")
    assert [(row.k, row.n) for row in floor.values()] == [(row.k, row.n) for row in known.values()]
    part = rows(record, "part", *SHARES)
    assert {key[1:3] for key in part} == {("other", "limit"), ("other", "self")}
    grid = rows(record, "grid", *SHARES, source="other")
    assert all((row.k, row.n) == (grid[key].k, grid[key].n) for key, row in part.items())


def test_the_diagonal_is_white_box(done):
    _, _, record, _ = done
    white = rows(record, "white", "robust_accuracy")
    assert {
        key: row.k for key, row in rows(record, "grid", "robust_accuracy", source="self", target="self").items()
    } == {key: row.k for key, row in white.items()}
    accuracies = {row.where["target"]: row.k for row in rows(record, "grid", "accuracy").values()}
    for target in EVERY:
        (same,) = rows(record, f"{'self' if target != 'self' else 'other'}_to_{target}", "accuracy").values()
        assert accuracies[target] == same.k


@pytest.mark.parametrize(("source", "target"), [("self", "other"), ("other", "self"), ("other", "other")])
def test_pairs_of_networks_are_those_of_a_loop_written_by_hand(done, source: str, target: str):
    _, store, record, of = done
    networks = {"self": of.trained(), "other": of.others["other"].trained}
    test = of.split("test")
    X, labels = np.asarray(test.unit("float32")), np.asarray(test.labels)
    clean = right(networks[target], X, labels)
    kept = arrays.read_samples(store.records, record)
    np.testing.assert_array_equal(kept[f"grid.{target}.clean"], clean)
    for eps, label in ((0.1, "1/10"), (0.3, "3/10")):
        robust = right(networks[target], signs(networks[source], X, labels, np.float32(eps)), labels)
        np.testing.assert_array_equal(kept[f"grid.{source}:{target}.ours@{label}"], robust)
        entry = rows(record, "grid", "transfer_rate", source=source, target=target)
        row = entry["transfer_rate", source, target, label, "target_correct"]
        assert (row.k, row.n) == (int(np.sum(clean & ~robust)), int(clean.sum()))


def test_the_outcomes_of_an_entry_can_be_read_back(done):
    planned, store, record, _ = done
    kept, cell = arrays.read_samples(store.records, record), planned.runs[0].cell
    for row in rows(record, "grid", "transfer_rate", "robust_accuracy", "accuracy").values():
        if row.where.get("denominator") != "source_fooled":
            digits = outcome_string(row, kept, cell)
            assert (digits.count("1"), len(digits) - digits.count("-")) == (row.k, row.n)


def test_its_stages_are_priced_and_shared_with_written_attacks(done):
    planned, store, record, _ = done
    cell = planned.runs[0].cell
    assert {stage.name for stage in stages(cell, memory.tile_bytes(None))} <= record.stages.keys()
    assert {"craft.ours", "craft.ours:limit", "craft.ours:other"} <= record.stages.keys()
    assert craft_key(cell, "ours:limit") == craft_key(cell, "ntk") == record.stages["craft.ours:limit"].key
    assert store.has("craft", craft_key(cell, "ours:limit"))
    assert record.stages["craft.ntk"].cached, "the examples of the matrix serve the attack that is written"


def test_the_picture_has_the_numbers_of_the_record(done):
    planned, store, record, _ = done
    results = plot.results_of_plan(planned, store)
    (drawing,) = plot.drawings([results], store.records, ["grid"], ["1/10"])
    axes = drawing.picture.figure.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == [*EVERY]
    assert [text.get_text() for text in axes.get_yticklabels()] == [*EVERY, "noise"]
    entries = rows(record, "grid", "transfer_rate", eps="1/10", denominator="target_correct")
    written = [text.get_text() for text in axes.texts]
    for i, source in enumerate((*EVERY, "none")):
        for j, target in enumerate(EVERY):
            row = entries["transfer_rate", source, target, "1/10", "target_correct"]
            assert np.asarray(axes.images[0].get_array())[i, j] == row.value
            low, high = wilson(row.k or 0, row.n or 0)
            place = 2 * (i * len(EVERY) + j)
            assert written[place : place + 2] == [f"{row.value:.2f}", f"[{low:.2f}, {high:.2f}]"]
            assert transfer_matrix._share([row] * 3) == pytest.approx((row.value, low, high)), "of seeds that agree"
    assert len(axes.patches) == len(EVERY), "white-box attacks are framed"
    assert "ours" in drawing.picture.caption


def test_networks_alone_are_enough_and_all_of_them_are_trained(tmp_path: Path):
    text = (
        SPEC.partition("attacks:")[0]
        .replace("width: 8\n", "")
        .replace("{width: 12}}", "{width: 12}, more: {width: 8}}")
    )
    text += "attacks: {ours: {kind: pgd, steps: 2, start: uniform, source: other, eps: 0.3}}\n"
    text += "analyses: {grid: {kind: transfer_matrix, attack: ours, targets: more}}\n"
    planned, store = executed(tmp_path, text)
    (record,) = lookup.records(store, planned.runs)
    rates = rows(record, "grid", "transfer_rate", denominator="target_correct")
    assert [key[1:3] for key in rates] == [("limit", "more"), ("other", "more"), ("more", "more")]
    assert {"network.other", "network.more"} <= record.stages.keys()


@pytest.mark.parametrize("words", ["kind: fab, steps: 20", "kind: autoattack, steps: 10, queries: 20"])
def test_searches_for_the_nearest_image_run_on_networks_and_on_kernels(tmp_path, words: str):
    """They are made on both and shown to both, and on their own source they are no weaker than one step."""
    pairs = (("self", "limit"), ("limit", "self"))
    attacks = "".join(f"  on_{source}: {{{words}, source: {source}, eps: [0.1, 0.3]}}\n" for source, _ in pairs)
    shown = "".join(
        f"  own_{source}: {{kind: accuracy, target: {source}, attacks: [on_{source}, fgsm_{source}]}}\n"
        f"  {source}_to_{target}: {{kind: transfer, attack: on_{source}, target: {target}}}\n"
        for source, target in pairs
    )
    steps = "".join(f"  fgsm_{source}: {{kind: fgsm, source: {source}, eps: [0.1, 0.3]}}\n" for source, _ in pairs)
    head = SPEC.partition("networks:")[0].replace("epochs: 3", "epochs: 30") + "kernels: {limit: {kind: infinite}}\n"
    planned, store = executed(tmp_path, f"{head}attacks:\n{attacks}{steps}analyses:\n{shown}")
    (record,) = lookup.records(store, planned.runs)
    assert not [each for each in record.checks if not each.ok and each.code != "source_and_target_at_equal_time"]
    for source, target in pairs:
        right = {
            (row.where["attack"], row.where["eps"]): row.k or 0
            for row in record.metrics
            if (row.analysis, row.metric) == (f"own_{source}", "robust_accuracy")
        }
        for eps in ("1/10", "3/10"):
            assert right[f"on_{source}", eps] <= right[f"fgsm_{source}", eps]
        assert {row.where["eps"] for row in rows(record, f"{source}_to_{target}", "transfer_rate").values()} == {
            "1/10",
            "3/10",
        }
