"""Runs whose training images are poisoned, from spec to record."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ntkbench.api.results import results
from ntkbench.cli.main import cli
from ntkbench.data.user.arrays import Arrays
from ntkbench.errors import DataError, NumericsError, UsageError
from ntkbench.plan import keys
from ntkbench.run.build import data as build_data
from ntkbench.run.build import poison
from ntkbench.run.shared import SharedStages
from ntkbench.spec.data import Data
from ntkbench.store import arrays, lookup
from ntkbench.store.store import Store
from tests.examples import tiny

EPS = 0.1
SPEC = f"""
ntkbench: 1
name: poisoned
data: {{dataset: {{kind: two_gaussians, dim: 6}}, n_train: 12, n_test: 10}}
architecture: {{kind: fc, depth: 1, b_std: 0.1}}
width: 8
training: {{mode: standard, epochs: 3}}
kernels:
  limit: {{kind: infinite}}
analyses:
  network: {{kind: accuracy}}
  kernel: {{kind: accuracy, target: limit}}
matrix:
  poison:
    none: {{data.poison: null}}
    random: {{data.poison: {{kind: random_sign, eps: {EPS}}}}}
    ntga: {{data.poison: {{kind: ntga, kernel: limit, eps: {EPS}, n_validation: 9, steps: 4, block: 7}}}}
seeds: 2
"""
KINDS = ("none", "random", "ntga")


def planned(folder: Path, *overrides: str):
    return tiny.planned(folder, *overrides, text=SPEC)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("poisoned")
    asked, store = planned(folder), Store(folder / "runs")
    told = tiny.run(asked, store)
    assert {status for _, status in told.lines} == {"ok"}, told.notes
    return asked, store


@pytest.fixture
def data(done):
    """The data of the first run of each kind, as it was fitted to them."""
    asked, store = done
    shared = SharedStages(store, (), 1e6)
    return {run.coordinates["poison"]: shared.data(run.cell) for run in asked.runs}


def test_cells_and_seeds_share_one_object_and_nothing_is_made_twice(done, tmp_path):
    asked, store = done
    poisons = {run.coordinates["poison"]: run.cell for run in asked.runs if run.cell.data.poison}
    assert sorted(store.keys("poison", "p")) == sorted(map(keys.poison_key, poisons.values()))
    rows = [record.stages["poison"] for record in lookup.records(store, asked.runs) if "poison" in record.stages]
    assert [row.cached for row in rows] == [False, False, False, False]  # the seeds of a cell train together
    assert tiny.run(asked, store).lines == []
    wider = planned(tmp_path, "width=9")
    assert {status for _, status in tiny.run(wider, store).lines} == {"ok"}
    again = [record.stages["poison"] for record in lookup.records(store, wider.runs) if "poison" in record.stages]
    assert all(row.cached for row in again)
    assert {row.key for row in again} == {row.key for row in rows}


def test_labels_and_test_images_are_untouched_and_training_images_stay_near(data):
    clean = data["none"]
    for kind in ("random", "ntga"):
        found = data[kind]
        np.testing.assert_array_equal(found.train.labels, clean.train.labels)
        np.testing.assert_array_equal(found.train.index, clean.train.index)
        for name in ("images", "labels", "index"):
            np.testing.assert_array_equal(getattr(found.test, name), getattr(clean.test, name))
        moved = np.abs(found.train.unit() - clean.train.unit())
        assert 0.9 * EPS < moved.max() <= EPS
        assert np.all((found.train.images >= 0) & (found.train.images <= 1))
    assert not np.array_equal(data["random"].train.images, data["ntga"].train.images)


def test_the_control_moves_every_pixel_by_the_budget_or_to_the_edge_of_the_box(data):
    clean, found = data["none"].train.unit(), data["random"].train.images
    whole = np.isclose(np.abs(found - clean), EPS, rtol=1e-12)
    assert np.all(whole | (found == 0) | (found == 1))
    assert 0.2 < np.mean(found > clean) < 0.8


def test_a_record_has_the_course_of_the_loss_and_clean_and_poisoned_accuracy(done):
    asked, store = done
    for run, record in zip(asked.runs, lookup.records(store, asked.runs), strict=True):
        kind = run.coordinates["poison"]
        codes = {check.code: check.ok for check in record.checks if check.analysis == "poison"}
        assert codes == dict.fromkeys(
            {"none": (), "random": ("ball_respected", "box_respected")}.get(
                kind, ("ball_respected", "box_respected", "validation_loss_rose")
            ),
            True,
        )
        assert {(row.analysis, row.metric) for row in record.metrics} >= {
            ("network", "accuracy"), ("kernel", "accuracy")
        }  # fmt: skip
        assert ("poison" in record.stages) == (kind != "none")
        if kind == "ntga":
            course = arrays.read_series(store.records, record, "poison.validation_loss")
            assert course.shape == (5,)
            assert np.all(np.diff(course) >= 0)
            values = {row.where["images"]: row.value for row in record.metrics if row.analysis == "poison"}
            assert values == {"clean": course[0], "poisoned": course[-1]}
            assert course[-1] > course[0]


def test_a_lost_object_is_made_again_bit_for_bit(done):
    asked, store = done
    cell = asked.runs[-1].cell
    key = keys.poison_key(cell)
    before = store.load("poison", key)
    assert before is not None
    store.discard("poison", key)
    made = SharedStages(store, (), 1e6).poisoned(cell)
    assert (made.key, made.cached) == (key, False)
    for name, array in before.arrays.items():
        np.testing.assert_array_equal(made.value[name], array)


def test_validation_images_are_of_the_training_pool_and_no_training_images():
    words = Data.model_validate(
        {"dataset": "fashion_mnist_mini", "classes": ["pullover", "coat"], "n_train": 31, "n_test": 40}
    )
    for subset in ("balanced", "first"):
        asked = words.model_copy(update={"subset": subset})
        used, found = build_data.examples(asked, ()), build_data.held_out(asked, 20, ())
        assert len(found) == 20
        assert not set(found.index) & set(used.train.index)
        tests = {image.tobytes() for image in used.test.images}
        assert not any(image.tobytes() in tests for image in found.images)
    with pytest.raises(DataError):
        build_data.held_out(words, 2000, ())


def test_a_singular_kernel_is_refused_with_its_name(tmp_path):
    cell = planned(tmp_path).runs[-1].cell
    same = build_data.examples(cell.data, ()).train
    twice = type(same)(same.images[[0] * len(same)], same.labels, same.index)
    with pytest.raises(NumericsError, match=r"data\.poison, kernel limit: the kernel is singular"):
        poison.poisoned(cell, twice, (), 1e6)


def test_a_command_writes_them_as_a_data_set(done, data, tmp_path):
    asked, store = done
    file = tmp_path / "poisoned.npz"
    command = ["images", asked.runs[-1].id, "--store", str(store.root), "--poisoned", "-o", str(file)]
    done_ = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert done_.exit_code == 0, done_.output
    assert "12 poisoned training images" in done_.output
    read = Arrays(file).load()
    np.testing.assert_array_equal(read.train.images, data["ntga"].train.images)
    np.testing.assert_array_equal(read.train.labels, data["ntga"].train.labels)
    np.testing.assert_array_equal(read.test.images, data["none"].test.unit())
    with np.load(file) as written:
        np.testing.assert_array_equal(written["x_clean"], data["none"].train.unit())


def test_images_of_clean_runs_and_of_attacks_are_refused(done, tmp_path):
    asked, store = done
    for run, more, message in (
        (asked.runs[0], (), "are clean"),
        (asked.runs[-1], ("--eps", "0.1"), "leave out --attack and --eps"),
    ):
        command = ["images", run.id, "--store", str(store.root), "--poisoned", "-o", str(tmp_path / "no.npz"), *more]
        told = CliRunner().invoke(cli, command)
        assert told.exit_code != 0
        assert message in f"{told.output}{told.exception}"


def test_python_shows_them(done, data, tmp_path):
    _, store = done
    found = results(tiny.spec(tmp_path, SPEC), store=store.root)
    images = found.poisoned({"poison": "ntga"}, 1)
    np.testing.assert_array_equal(images.poisoned, data["ntga"].train.images)
    assert repr(images) == "<PoisonedImages: 12 by ntga at 1/10>"
    figure = images.plot(3)
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == ["clean", "poisoned", "perturbation\n±25.5/255"]
    with pytest.raises(UsageError, match="are clean"):
        found.poisoned({"poison": "none"})
