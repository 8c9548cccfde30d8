"""Weights out of a run and back into another one; networks of others as networks of ours."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

import ntkbench as nb
from ntkbench.cli.main import cli
from ntkbench.errors import DataError, UsageError
from ntkbench.plan.read import read
from ntkbench.run.shared import SharedStages
from ntkbench.run.worker import check_inputs
from ntkbench.store.store import Store
from tests.conftest import ITERATIVE
from tests.examples import tiny

ATTACKS = """
kernels: {own: {kind: empirical, at: %s}}
attacks:
  pgd: {kind: pgd, eps: 8/255, steps: 3}
  kernel: {kind: fgsm, source: own, eps: 8/255}
analyses:
  clean: {kind: accuracy, attacks: [pgd, kernel]}
"""
HEAD = tiny.SPEC.partition("kernels:")[0].replace("width: 8", "width: 24")
TRAINED = HEAD + ATTACKS % "final"
PRETRAINED = HEAD.replace("{mode: standard, epochs: 3}", "{mode: pretrained, weights: net.safetensors}")
PRETRAINED += ATTACKS % "init"


def weights(store: Store, folder: Path, *arguments: str) -> str:
    words = ["weights", *arguments, "--store", str(store.root), "-o", str(folder / "net.safetensors")]
    told = CliRunner().invoke(cli, words)
    if told.exception and not isinstance(told.exception, SystemExit):
        raise told.exception
    return told.output.strip().replace(f"{folder}/", "")


def numbers(results: nb.Results) -> dict[tuple, float | None]:
    (found,) = results.records
    assert found.status == "ok", found.error
    rows = (row for row in found.metrics if row.analysis != "training")
    return {(row.analysis, row.metric, *sorted(row.where.items())): row.value for row in rows}


def ran(folder: Path, text: str, store: Path) -> nb.Results:
    return nb.run(tiny.spec(folder, text), store=store, progress=None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, nb.Results]:
    """A run, and the folder with its weights as a file."""
    folder = tmp_path_factory.mktemp("trained")
    found = ran(folder, TRAINED, folder / "runs")
    run = found.planned.runs[0]
    assert weights(found.store, folder, run.id[:9]) == "net.safetensors: 193 weights in 4 arrays"
    return folder, found


def test_the_weights_of_a_run_give_its_numbers_back(trained, tmp_path: Path):
    folder, ours = trained
    arrays = load_file(folder / "net.safetensors")
    assert {name: array.shape for name, array in arrays.items()} == {
        "1.weight": (24, 6),
        "1.bias": (24,),
        "3.weight": (1, 24),
        "3.bias": (1,),
    }
    theirs = ran(folder, PRETRAINED, tmp_path)
    assert numbers(ours) == numbers(theirs)
    codes = {check.code for check in theirs.records[0].checks}
    assert "source_and_target_at_equal_time" not in codes, "nobody knows for how long it was trained"
    for one, other in zip(ours.kernel("own"), theirs.kernel("own"), strict=True):
        np.testing.assert_array_equal(one, other)
    run = theirs.planned.runs[0].id
    with pytest.raises(DataError, match=r"net\.safetensors with the content \w+ is not on this machine"):
        weights(theirs.store, tmp_path, run)
    told = weights(theirs.store, tmp_path, run, "--data-dir", str(folder))
    assert told == "net.safetensors: 193 weights in 4 arrays"
    again = load_file(tmp_path / "net.safetensors")
    assert all(np.array_equal(again[name], array) for name, array in arrays.items())


def test_weights_at_other_moments(trained, tmp_path: Path):
    folder, found = trained
    (run,) = found.planned.runs
    weights(found.store, tmp_path, run.id, "--at", "init")
    initial = load_file(tmp_path / "net.safetensors")
    assert not np.array_equal(initial["1.weight"], load_file(folder / "net.safetensors")["1.weight"])
    np.testing.assert_array_equal(initial["1.weight"], found.network(at="init").weights[1][0])
    with pytest.raises(UsageError, match=r"did not keep its network at epoch 2; it kept 0, 3"):
        weights(found.store, tmp_path, run.id, "--at", "2")
    with pytest.raises(UsageError, match="'last' is no moment of a training: write init, final or an epoch"):
        weights(found.store, tmp_path, run.id, "--at", "last")


def test_a_first_order_model_is_no_network_with_other_weights(tmp_path: Path):
    planned = tiny.planned(tmp_path, "training.linearize_at=1", text=TRAINED)
    store = Store(tmp_path / "runs")
    tiny.run(planned, store)
    with pytest.raises(UsageError, match="trains a first-order model from epoch 1 on"):
        weights(store, tmp_path, planned.runs[0].id)
    weights(store, tmp_path, planned.runs[0].id, "--at", "init")


def test_inputs_are_standardized_inside_the_network_and_budgets_are_not(trained, tmp_path: Path):
    """(x - m) / s before a dense layer is that layer with W / s and b - W m / s."""
    folder, _ = trained
    arrays, mean, std = load_file(folder / "net.safetensors"), 0.4, 0.25
    scale = 2**0.5 / 6**0.5
    shift = arrays["1.weight"].sum(axis=1) * scale * mean / std / 0.1
    folded = {**arrays, "1.weight": arrays["1.weight"] / std, "1.bias": arrays["1.bias"] - shift}
    save_file({name: array.astype(np.float32) for name, array in folded.items()}, tmp_path / "folded.safetensors")
    save_file(arrays, tmp_path / "net.safetensors")
    inside = PRETRAINED.replace("net.safetensors", f"net.safetensors, inputs: {{mean: {mean}, std: {std}}}")
    standardized = ran(tmp_path, inside, tmp_path / "runs")
    by_hand = ran(tmp_path, PRETRAINED.replace("net.", "folded."), tmp_path / "runs")
    one, other = (each.images("pgd") for each in (standardized, by_hand))
    np.testing.assert_allclose(one.adversarial, other.adversarial, atol=1e-5)
    assert np.abs(one.adversarial - one.clean).max() <= 8 / 255 + ITERATIVE
    x = jnp.asarray(one.clean[0])
    np.testing.assert_allclose(standardized.network()(x), by_hand.network()(x), rtol=1e-4, atol=1e-5)
    ours, theirs = (
        {key: value for key, value in numbers(each).items() if ("attack", "kernel") not in key}
        for each in (standardized, by_hand)
    )
    assert ours == pytest.approx(theirs, abs=ITERATIVE), "the kernel is another one, as derivatives by W / s are others"


def test_a_file_that_changes_after_the_plan_is_refused_before_a_run(trained, tmp_path: Path):
    folder, _ = trained
    arrays = load_file(folder / "net.safetensors")
    save_file(arrays, tmp_path / "net.safetensors")
    planned = read(tiny.spec(tmp_path, PRETRAINED))
    save_file({**arrays, "1.bias": arrays["1.bias"] + 1}, tmp_path / "net.safetensors")
    shared = SharedStages(Store(tmp_path / "runs"), (), 1e8)
    with pytest.raises(DataError, match="it has changed"):
        check_inputs(shared, [planned.runs[0].cell])
    assert not list((tmp_path).glob("runs/records/*"))
