"""Data sets in a user's own files, from the spec to the run: what counts is what they hold."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ntkbench.errors import DataError, SpecError
from ntkbench.plan import user_files
from ntkbench.plan.check import check
from ntkbench.plan.keys import data_key
from ntkbench.plan.read import read
from ntkbench.plan.runs import Run
from ntkbench.plan.shapes import image, outputs
from ntkbench.run.build.data import examples
from ntkbench.spec.cell import Cell
from ntkbench.spec.data import FileDataset
from ntkbench.spec.identity import resolved, run_id
from ntkbench.status.explain import explain
from ntkbench.store.store import Store

SPEC = """ntkbench: 1
name: mine
data:
  dataset: {kind: npz, path: lab.npz}
  classes: [ant, cow]
  n_train: 8
  n_test: 4
architecture: {kind: fc, depth: 1}
kernels: {ntk: {kind: infinite}}
analyses: {clean: {kind: accuracy, target: ntk}}
"""


def write(path: Path, **changes: Any) -> None:
    labels = np.arange(18) % 3
    images = (np.arange(18 * 20).reshape(18, 4, 5) % 256).astype(np.uint8)
    arrays: Mapping[str, Any] = {"x_train": images[:12], "y_train": labels[:12], "x_test": images[12:]}
    arrays = {**arrays, "y_test": labels[12:], "class_names": np.array(["ant", "bee", "cow"]), **changes}
    path.parent.mkdir(exist_ok=True)
    np.savez(path, allow_pickle=True, **arrays)


@pytest.fixture
def spec(tmp_path) -> Path:
    write(tmp_path / "lab.npz")
    (tmp_path / "mine.yaml").write_text(SPEC)
    return tmp_path / "mine.yaml"


def one(spec: Path, *overrides: str) -> Run:
    (run,) = read(spec, overrides).runs
    return run


def content(cell: Cell) -> str:
    """The digest of its data set."""
    assert isinstance(cell.data.dataset, FileDataset)
    assert cell.data.dataset.content is not None
    return cell.data.dataset.content


def told(spec: Path, *overrides: str) -> str:
    with pytest.raises(SpecError) as error:
        read(spec, overrides)
    assert error.value.exit_code == 2
    return str(error.value).replace(f"{spec.parent}/", "")


def test_all_that_a_plan_asks_is_known(spec):
    data = one(spec).cell.data
    assert (image(data), outputs(data)) == ((4, 5, 1), 1)
    assert outputs(one(spec, "data.classes=null").cell.data) == 3
    assert data.entry is not None
    assert data.entry.train_counts == (4, 4, 4)


def test_the_run_sees_what_the_file_holds(spec):
    found = examples(one(spec, "data.subset=first").cell.data, [])
    assert found.classes == ("ant", "cow")
    assert found.train.images[:, 0, 0, 0].tolist() == [number * 20 % 256 for number in (0, 2, 3, 5, 6, 8, 9, 11)]


def test_the_content_counts_and_the_path_does_not(spec, tmp_path):
    before = one(spec)
    shutil.copy(tmp_path / "lab.npz", tmp_path / "copy.npz")
    copied = one(spec, f"data.dataset.path={tmp_path}/copy.npz")
    assert (copied.id, data_key(copied.cell)) == (before.id, data_key(before.cell))
    images = np.zeros((6, 4, 5), np.uint8)
    write(tmp_path / "lab.npz", x_test=images)
    changed = one(spec)
    images[5, 3, 4] = 1
    write(tmp_path / "lab.npz", x_test=images)
    ids = {before.id, changed.id, one(spec).id}
    assert len(ids) == 3, "one pixel is another experiment"
    assert len({content(before.cell), content(changed.cell)}) == 2


def test_paths_are_relative_to_the_file_that_names_them(spec, tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "more.yaml").write_text("extends: ../mine.yaml\nname: more\n")
    monkeypatch.chdir(tmp_path / "below")
    assert one(Path("more.yaml")).id == one(Path("../mine.yaml")).id == one(spec).id
    write(tmp_path / "below" / "own.npz", x_test=np.zeros((6, 4, 5), np.uint8))
    assert one(Path("more.yaml"), "data.dataset.path=own.npz").id != one(spec).id, "--set: relative to where one is"
    matrix = "matrix: {data.dataset.path: [own.npz, ../lab.npz]}\n"
    (tmp_path / "below" / "both.yaml").write_text(f"extends: ../mine.yaml\n{matrix}")
    assert [run.coordinates["data.dataset.path"] for run in read("both.yaml").runs] == ["own.npz", "../lab.npz"]


def test_a_file_is_looked_into_once(spec, monkeypatch):
    seen: list[object] = []
    digest = user_files.named_digest
    monkeypatch.setattr(user_files, "named_digest", lambda files: seen.append(files) or digest(files))
    spec.write_text(SPEC + "matrix: {architecture.depth: [1, 2, 3, 4]}\nseeds: 3\n")
    assert len(read(spec).runs) == 12
    assert len(seen) == 1


def test_records_have_the_digest_and_no_folder(spec, tmp_path):
    run = one(spec)
    text = json.dumps(resolved(run.cell))
    assert str(tmp_path) not in text
    assert content(run.cell) in text
    again = Cell.model_validate(json.loads(text))
    assert run_id(again, 0) == run.id
    check(again, "a record")


def test_a_cell_without_the_digest_is_refused(spec):
    value = resolved(one(spec).cell)
    value["data"]["dataset"] |= {"content": None}
    with pytest.raises(SpecError, match=r"data\.dataset\.content: missing: whoever has no files knows them by their"):
        check(Cell.model_validate(value), "an entry")


def test_without_the_file_a_cell_is_planned_and_not_run(spec, tmp_path):
    cell = Cell.model_validate(resolved(one(spec).cell))
    known = content(cell)
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError, match=rf"lab\.npz with the content {known} is not on this machine\. It is no pub"):
        examples(cell.data, [tmp_path / "data"])
    write(tmp_path / "data" / "lab.npz", x_test=np.zeros((6, 4, 5), np.uint8))
    with pytest.raises(DataError, match=rf"{known} is not in {tmp_path}/data \(sha256:\w+\): it has changed"):
        examples(cell.data, [tmp_path / "data"])
    shutil.copy(tmp_path / "lab.npz", tmp_path / "data" / "lab.npz")
    assert len(examples(cell.data, [tmp_path / "data"]).train) == 8
    assert "lab.npz (sha256:" in str(user_files.absent(cell.data.dataset))
    assert user_files.absent(one(spec).cell.data.dataset) is None


def test_a_spec_with_the_digest_is_planned_without_the_file(spec, tmp_path):
    whole, run = explain(str(spec), (), False, Store(tmp_path / "runs")), one(spec)
    assert f"{spec}:4:12" in next(line for line in whole.splitlines() if "content:" in line)
    spec.write_text(whole)
    (tmp_path / "lab.npz").unlink()
    assert one(spec).id == run.id
    write(tmp_path / "lab.npz", x_test=np.zeros((6, 4, 5), np.uint8))
    assert "data.dataset.content: lab.npz has another content, sha256:" in told(spec)


def test_a_file_that_changes_after_the_plan_is_refused(spec, tmp_path):
    data = one(spec).cell.data
    write(tmp_path / "lab.npz", x_test=np.zeros((6, 4, 5), np.uint8))
    with pytest.raises(DataError, match="it has changed"):
        examples(data, [])


def test_mistakes_have_their_place(spec, tmp_path):
    write(tmp_path / "lab.npz", x_train=np.full((12, 4, 5), 1.5))
    assert told(spec).startswith("mine.yaml:4:30: data.dataset.path: lab.npz: x_train: image 0 holds 1.5")
    write(tmp_path / "lab.npz", x_train=np.array([None] * 12))
    assert told(spec, "data.n_train=x", "architecture.depth=0").splitlines() == [
        "--set:1:14: data.n_train: expected a whole number from 1 to 10^9, found the text 'x'",
        "--set:2:20: architecture.depth: expected a whole number from 1 to 100, found 0",
        "mine.yaml:4:30: data.dataset.path: lab.npz: x_train.npy is no array of numbers or texts (arrays of objects "
        "are not read)",
    ]
    assert told(spec, "data.dataset.path=labs.npz").startswith("--set:1:19: data.dataset.path: ")


def test_classes_and_counts_are_those_of_the_file(spec):
    spec.write_text(SPEC.replace("cow]", "cat]"))
    assert told(spec) == "mine.yaml:5:18: data.classes[1]: lab.npz has no class cat; did you mean cow?" or told(spec)
    spec.write_text(SPEC.replace("n_test: 4", "n_test: 5"))
    assert told(spec).startswith("mine.yaml:7:11: data.n_test: lab.npz has only 4 test examples of these 2 classes")


def test_specs_of_files_are_planned_without_jax(spec):
    code = f"import sys; from ntkbench.plan.read import read; read({str(spec)!r}); print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


KINDS = {
    "folder": "{kind: folder, path: animals, shape: [4, 5, 3]}",
    "csv": "{kind: csv, train: train.csv, test: test.csv, label: y}",
}


@pytest.fixture
def others(tmp_path) -> Path:
    """The files of a data set of each other kind."""
    from PIL import Image

    for split in ("train", "test"):
        (tmp_path / f"{split}.csv").write_text("x,y,z\n" + "0.5,ant,1\n0.1,cow,0\n" * 6)
        for name in ("ant", "cow"):
            (tmp_path / "animals" / split / name).mkdir(parents=True)
            for number in range(6):
                Image.new("L", (7, 7), 9 * number).save(tmp_path / "animals" / split / name / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_the_other_kinds(others, kind):
    spec = others / "other.yaml"
    spec.write_text(SPEC.replace("{kind: npz, path: lab.npz}", KINDS[kind]))
    run = one(spec)
    found = examples(run.cell.data, [])
    assert found.train.images.shape == (8, *image(run.cell.data))
    assert run_id(Cell.model_validate(resolved(run.cell)), 0) == run.id
    (others / "elsewhere").mkdir()
    for name in ("animals", "train.csv", "test.csv", "other.yaml"):
        (others / name).rename(others / "elsewhere" / name)
    assert one(others / "elsewhere" / "other.yaml").id == run.id
    assert len(examples(Cell.model_validate(resolved(run.cell)).data, [others / "elsewhere"]).test) == 4


def test_an_image_in_another_class_is_another_experiment(others):
    spec = others / "other.yaml"
    spec.write_text(SPEC.replace("{kind: npz, path: lab.npz}", KINDS["folder"]))
    before = one(spec).id
    (others / "animals" / ".hidden").write_text("")
    assert one(spec).id == before
    (others / "animals/test/ant/0.png").rename(others / "animals/test/cow/9.png")
    assert one(spec).id != before
