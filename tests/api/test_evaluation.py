"""Networks of others: measured like one's own, told apart by their weights."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ntkbench as nb
from ntkbench.errors import UsageError
from ntkbench.plan.check import check
from ntkbench.plan.read import read
from ntkbench.spec.cell import Cell
from ntkbench.store.record import Record
from tests.examples import tiny

DATA = {"dataset": {"kind": "two_gaussians", "dim": 6}, "n_train": 12, "n_test": 10}
ATTACKS = {
    "ntk": {"kind": "fgsm", "source": "limit", "eps": ["8/255"]},
    "own": {"kind": "fgsm", "eps": [Fraction(8, 255)]},
    "noise": {"kind": "random_sign", "eps": "8/255"},
    "alone": {"kind": "fgsm", "source": "tangent", "eps": "8/255"},
}
ANALYSES = {
    "transfer": {"kind": "transfer", "attack": "ntk", "ceiling": "own", "floor": "noise"},
    "features": {"kind": "eigenspace", "target": "tangent", "attack": "alone", "features": 2, "truncations": 2},
}
KERNELS = {"limit": {"kind": "infinite", "architecture": {"kind": "fc"}}, "tangent": {"kind": "empirical"}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> nb.Results:
    """Runs of a network by ntkbench itself: two widths, one seed."""
    spec = tiny.SPEC.replace("{kind: infinite}", "{kind: infinite}\n  tangent: {kind: empirical, at: final}")
    spec = spec.replace("analyses:", "  alone: {kind: fgsm, source: tangent, eps: 8/255}\nanalyses:")
    more = "{kind: eigenspace, target: tangent, attack: alone, features: 2, truncations: 2}"
    spec = spec.replace("seeds: 2", f"  features: {more}")
    return nb.run(spec, store=tmp_path_factory.mktemp("trained"), progress=None)


def evaluated(model: Any, store: Path, **changes: Any) -> nb.Results:
    arguments: dict[str, Any] = {"data": DATA, "attacks": ATTACKS, "analyses": ANALYSES, "kernels": KERNELS}
    return nb.evaluate(model, **{**arguments, "name": "mine", "store": store, "progress": None, **changes})


def numbers(record: Record) -> dict[tuple, float | None]:
    """The numbers of a record but those about its training."""
    return {
        (row.analysis, row.metric, *sorted(row.where.items())): row.value
        for row in record.metrics
        if row.analysis != "training"
    }


def test_a_network_that_is_given_back_has_the_numbers_that_it_had(trained: nb.Results, tmp_path: Path):
    network = trained.network()
    found = evaluated(network, tmp_path)
    ((one,), (other,)) = trained.records, found.records
    ours, theirs = numbers(one), numbers(other)
    assert ours.keys() == theirs.keys()
    np.testing.assert_allclose(
        [np.nan if value is None else value for value in theirs.values()],
        [np.nan if value is None else value for value in ours.values()],
        atol=1e-5,
    )
    assert {check.code: check.ok for check in other.checks}.items() <= {
        check.code: check.ok for check in one.checks
    }.items()
    cell = Cell.model_validate(other.spec.resolved)
    assert cell.architecture.kind == "given"
    assert cell.has_network


def test_the_same_weights_are_one_run_and_others_are_another(trained: nb.Results, tmp_path: Path):
    network, told = trained.network(), []
    first = evaluated(network, tmp_path, analyses=None)
    again = evaluated(network, tmp_path, analyses=None, progress=told.append)
    pair = evaluated((lambda net, x: net(x), network), tmp_path, analyses=None)
    batch = evaluated((lambda net, X: jax.vmap(net)(X), network), tmp_path, analyses=None, batched=True)
    assert told == ["1 runs, of which 1 are done"]
    assert {each.planned.runs[0].id for each in (first, again, pair)} == {first.planned.runs[0].id}
    assert batch.planned.runs[0].id != first.planned.runs[0].id, "the program of a batch is another one"
    ours, theirs = (numbers(each.records[0]) for each in (first, batch))
    assert ours == pytest.approx(theirs)
    shifted = jax.tree.map(lambda leaf: leaf * 1.5, network)
    others = [
        evaluated(shifted, tmp_path, analyses=None),
        evaluated(network, tmp_path, analyses=None, version="2"),
        evaluated(network, tmp_path, analyses=None, name="other"),
    ]
    assert len({each.planned.runs[0].id for each in (first, *others)}) == 4
    assert set(first.frame["analysis"]) == {"accuracy"}


def test_images_kernels_and_features_are_those_of_the_network(trained: nb.Results, tmp_path: Path):
    network = trained.network()
    found = evaluated(network, tmp_path)
    one, other = (each.images("own") for each in (trained, found))
    np.testing.assert_allclose(one.adversarial, other.adversarial, atol=1e-6)
    np.testing.assert_array_equal(one.predicted_adversarial, other.predicted_adversarial)
    for ours, theirs in zip(trained.kernel("tangent"), found.kernel("tangent"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        trained.features("tangent", [0]).values, found.features("tangent", [0]).values, rtol=1e-6, atol=1e-9
    )
    np.testing.assert_allclose(found.network()(jnp.asarray(one.clean[0])), network(jnp.asarray(one.clean[0])))


def test_double_precision_stays_double(tmp_path: Path):
    weights = jnp.asarray(np.random.default_rng(0).normal(size=6))
    found = evaluated((lambda w, x: x.ravel() @ w, weights), tmp_path, analyses=None, attacks=None, kernels=None)
    assert found.planned.runs[0].cell.numerics.network == "float64"


def test_what_a_given_network_cannot_do_is_told(trained: nb.Results, tmp_path: Path):
    with pytest.raises(nb.SpecError) as caught:
        evaluated(
            trained.network(),
            tmp_path,
            kernels={"limit": {"kind": "infinite"}, "tangent": {"kind": "empirical", "at": "final"}},
            analyses={**ANALYSES, "drift": {"kind": "drift", "probe": {"n": 4}}},
        )
    told = str(caught.value).splitlines()
    assert told == [
        "evaluate: analyses.drift: drift follows a network along its training, and nothing is trained (mode none)",
        "evaluate: kernels.limit: a given network has no known infinite-width limit; give the kernel an `architecture` "
        "of its own",
        "evaluate: kernels.tangent.at: nothing is trained (training mode none); write at: init",
    ]


def test_a_model_that_means_nothing_is_refused_before_anything_is_run(tmp_path: Path):
    with pytest.raises(UsageError, match="a model is a function of one image that is a PyTree, or a pair"):
        evaluated(3, tmp_path)
    with pytest.raises(UsageError, match="no arrays of floating-point numbers"):
        evaluated(lambda x: x.ravel()[:1], tmp_path)
    assert not (tmp_path / "records").exists()


GIVEN = """
ntkbench: 1
name: given
data: {dataset: {kind: two_gaussians, dim: 6}, n_train: 12, n_test: 10}
architecture: {kind: given, name: mine, version: "1", sha256: %s}
width: 3
training: {mode: standard, epochs: 3}
analyses: {accuracy: {kind: accuracy}}
"""


def test_a_file_cannot_name_one(trained: nb.Results, tmp_path: Path):
    file = tiny.spec(tmp_path, GIVEN % ("0" * 64))
    with pytest.raises(nb.SpecError) as caught:
        read(file)
    assert [line.partition("tiny.yaml:")[2] for line in str(caught.value).splitlines()] == [
        "5:1: architecture: a given network is in the memory of the Python program that calls `ntkbench.evaluate`, and "
        "cannot be run from here; hand it over there, or write another kind",
        "6:8: width: a given network has the width that it was made with; write null",
    ]
    found = evaluated(trained.network(), tmp_path / "runs", analyses=None)
    with pytest.raises(nb.SpecError, match=r"entry:1:.*: architecture: a given network is in the memory"):
        check(found.planned.runs[0].cell, "entry")


def test_changed_code_or_an_array_that_it_closes_over_is_another_network(tmp_path: Path):
    weights = jnp.asarray(np.random.default_rng(0).normal(size=6))

    def closed(shift: float):
        mean = jnp.full(6, shift)
        return lambda w, x: (x.ravel() - mean) @ w

    functions = [
        lambda w, x: x.ravel() @ w,
        lambda w, x: jnp.tanh(x.ravel() @ w),
        lambda w, x: 2 * x.ravel() @ w,
        closed(0.1),
        closed(0.2),
    ]
    store = tmp_path / "one"
    found = [evaluated((function, weights), store, analyses=None, attacks=None, kernels=None) for function in functions]
    ids = [each.records[0].run_id for each in found]
    assert len(set(ids)) == len(functions)
    again = evaluated((closed(0.2), weights), store, analyses=None, attacks=None, kernels=None)
    assert again.records[0].run_id == ids[-1], "the same program, made anew"
