"""Networks with the weights of a file: found, identified, compared with the network, and refused at their line."""

import hashlib
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from ntkbench.data.user.weights import WeightsFile
from ntkbench.errors import DataError, SpecError
from ntkbench.plan import sizes, user_files
from ntkbench.plan.check import check
from ntkbench.plan.keys import training_key
from ntkbench.plan.read import read
from ntkbench.plan.runs import Run
from ntkbench.run.build.networks import leaves, networks, unstack
from ntkbench.spec.cell import Cell
from ntkbench.spec.identity import resolved, run_id
from ntkbench.spec.training import Pretrained
from tests.examples.networks import FINITE, NETWORKS, NORMALIZED

SPEC = """ntkbench: 1
name: theirs
data: {dataset: {kind: two_gaussians, dim: 6}, n_train: 12, n_test: 10}
architecture: {kind: fc, depth: 1, parameterization: standard}
width: 4
training: {mode: pretrained, weights: net.safetensors}
kernels: {own: {kind: empirical}}
analyses: {clean: {kind: accuracy}}
"""


def write(path: Path, **changes: Any) -> None:
    """The weights of the network of SPEC."""
    draw = np.random.default_rng(0).normal
    shapes = {"1.weight": (4, 6), "1.bias": (4,), "3.weight": (1, 4), "3.bias": (1,)}
    arrays = {name: draw(size=shape).astype(np.float32) for name, shape in shapes.items()}
    save_file({name: array for name, array in {**arrays, **changes}.items() if array is not None}, path)


@pytest.fixture
def spec(tmp_path) -> Path:
    write(tmp_path / "net.safetensors")
    (tmp_path / "theirs.yaml").write_text(SPEC)
    return tmp_path / "theirs.yaml"


def one(spec: Path, *overrides: str) -> Run:
    (run,) = read(spec, overrides).runs
    return run


def told(spec: Path, *overrides: str) -> list[str]:
    with pytest.raises(SpecError) as error:
        read(spec, overrides)
    return str(error.value).replace(f"{spec.parent}/", "").splitlines()


WORDS = {**NETWORKS, **FINITE, "normalized": NORMALIZED}


@pytest.mark.parametrize("name", WORDS)
def test_names_and_shapes_are_known_without_the_network(name: str):
    image = {"dataset": "cifar10", "classes": [0, 1, 2], "n_train": 12, "n_test": 10}
    sections = {"data": image, "architecture": WORDS[name], "width": 2, "analyses": {"clean": {"kind": "accuracy"}}}
    cell = Cell.model_validate(sections)
    drawn = jax.eval_shape(lambda: unstack(networks(cell, (0,), (32, 32, 3), 3), 0))
    assert {name: leaf.shape for name, leaf in leaves(cell, drawn).items()} == sizes.leaves(cell)


def test_the_content_counts_and_the_path_does_not(spec, tmp_path):
    before = one(spec)
    assert isinstance(before.cell.training, Pretrained)
    assert before.cell.training.sha256 == hashlib.sha256((tmp_path / "net.safetensors").read_bytes()).hexdigest()
    shutil.copy(tmp_path / "net.safetensors", tmp_path / "copy.safetensors")
    copied = one(spec, f"training.weights={tmp_path}/copy.safetensors")
    assert (copied.id, training_key(copied.cell)) == (before.id, training_key(before.cell))
    standardized = one(spec, "training.inputs={mean: 0.5, std: 1/4}")
    write(tmp_path / "net.safetensors", **{"3.bias": np.ones(1, np.float32)})
    changed = one(spec)
    assert len({before.id, standardized.id, changed.id}) == 3
    assert len({training_key(each.cell) for each in (before, standardized, changed)}) == 3


def test_records_have_the_digest_and_no_folder(spec, tmp_path):
    run = one(spec)
    value = resolved(run.cell)
    assert value["training"]["weights"] == "net.safetensors"
    again = Cell.model_validate(value)
    assert run_id(again, 0) == run.id
    check(again, "a record")
    value["training"] |= {"sha256": None}
    with pytest.raises(SpecError, match=r"training\.sha256: missing: whoever has no file knows it by its digest"):
        check(Cell.model_validate(value), "an entry")


def test_a_run_finds_the_file_in_a_folder_of_data(spec, tmp_path):
    words = Cell.model_validate(resolved(one(spec).cell)).training
    assert isinstance(words, Pretrained)
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError, match=r"net\.safetensors with the content \w+ is not on this machine"):
        user_files.find(words, [tmp_path / "data"])
    assert f"net.safetensors ({words.sha256}) is not at its place" in str(user_files.absent(words))
    shutil.copy(tmp_path / "net.safetensors", tmp_path / "data")
    assert user_files.find(words, [tmp_path / "data"]).load()["1.weight"].shape == (4, 6)
    write(tmp_path / "data" / "net.safetensors", **{"3.bias": np.ones(1, np.float32)})
    with pytest.raises(DataError, match="it has changed"):
        user_files.find(words, [tmp_path / "data"])


def test_a_stated_digest_is_held_to(spec, tmp_path):
    digest = one(spec).cell.training.sha256  # type: ignore[union-attr]
    assert one(spec, f"training.sha256={digest}").id == one(spec).id
    wrong = "0" * 64
    assert told(spec, f"training.sha256='{wrong}'") == [
        f"--set:1:17: training.sha256: net.safetensors has another SHA-256, {digest}; name the file that is meant"
    ]
    (tmp_path / "net.safetensors").unlink()
    assert one(spec, f"training.sha256={digest}").cell.training.sha256 == digest  # type: ignore[union-attr]


def test_arrays_that_are_not_those_of_the_network_are_named(spec, tmp_path):
    file = tmp_path / "net.safetensors"
    place = "theirs.yaml:6:39: training.weights: net.safetensors: "
    write(file, **{"1.weight": np.zeros((6, 4), np.float32), "3.bias": None, "4.bias": np.zeros(1, np.float32)})
    assert told(spec) == [
        f"{place}it lacks 3.bias; it has 4.bias, which the network has not; 1.weight has the shape (6, 4), and in the "
        "network (4, 6)"
    ]
    write(file)
    assert "1.weight has the shape (4, 6), and in the network (5, 6)" in told(spec, "width=5")[0]
    write(file, **{"1.bias": np.array([1, np.nan, 0, 0], np.float32)})
    assert told(spec) == [f"{place}1.bias holds values that are not finite: a network that diverged has no accuracy"]
    write(file, **{"1.bias": np.zeros(4, int)})
    assert told(spec) == [f"{place}1.bias is of the type int64; weights are float16, float32, float64"]


class Bomb:
    """A pickle that would run code."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


def test_nothing_but_whole_safetensors_files_is_read(spec, tmp_path):
    file = tmp_path / "net.safetensors"
    whole = file.read_bytes()
    for size in (0, 3, 50, len(whole) - 1):
        file.write_bytes(whole[:size])
        assert told(spec)[0].startswith(
            "theirs.yaml:6:39: training.weights: net.safetensors: it is no whole safetensors file: "
        )
    file.write_bytes(pickle.dumps(Bomb()))
    assert "looks like a pickle or an archive; weights are read from safetensors files alone" in told(spec)[0]
    file.write_bytes(b"\xff" * 200)
    assert "it is no whole safetensors file" in told(spec)[0]
    header = b'{"1.bias":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    assert told(spec)[0].endswith("numbers of the type BF16 are not read; save them as float32")
    file.unlink()
    assert told(spec)[0].startswith("theirs.yaml:6:39: training.weights: net.safetensors is not there")
    (tmp_path / "net.pt").write_bytes(pickle.dumps(Bomb()))
    (line,) = told(spec, f"training.weights={tmp_path}/net.pt")
    assert line.startswith("--set:1:18: training.weights: net.pt is of a kind that can hold a pickle, which runs code")
    write(file)
    with pytest.raises(DataError, match="has more than 20 bytes"):
        WeightsFile(file, limit=20).load()


def test_what_needs_a_training_is_refused(spec, tmp_path):
    text = SPEC.replace("kind: empirical", "kind: empirical, at: final, time: matched")
    spec.write_text(text.replace("kind: accuracy}", "kind: accuracy}, drift: {kind: drift, probe: {n: 4}}"))
    assert [line.partition("theirs.yaml:")[2] for line in told(spec)] == [
        "7:38: kernels.own.at: nothing is trained (training mode pretrained); write at: init",
        "7:51: kernels.own.time: matched takes the time of the trained network, and training mode is pretrained; write "
        "a number or inf",
        "8:37: analyses.drift: drift follows a network along its training, and nothing is trained (mode pretrained)",
    ]
    spec.write_text(SPEC.replace("weights: net", "linearize_at: 0, weights: net"))
    assert "training.linearize_at: unknown field here" in told(spec)[0]
    spec.write_text(SPEC.replace("width: 4\n", "width: null\n"))
    assert any("training: there is no network to train" in line for line in told(spec))


def test_standardizations_fit_the_channels(spec):
    assert told(spec, "training.inputs={mean: [0, 1], std: [1, 0]}") == [
        "--set:1:41: training.inputs.std[1]: expected a number above 0, found 0"
    ]
    assert told(spec, "training.inputs={mean: [0, 1], std: 1}") == [
        "--set:1:24: training.inputs.mean: 2 numbers for 6 channels; write one for each, or a single one"
    ]


def test_it_is_planned_without_jax(spec):
    code = f"import sys; from ntkbench.plan.read import read; read({str(spec)!r}); print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
