"""Seeds of runs, and seeds of training subsets."""

import numpy as np
import pytest

from ntkbench.errors import SpecError
from ntkbench.plan import read as plan_read
from ntkbench.plan import runs
from ntkbench.plan.keys import data_key, kernel_key
from ntkbench.plan.seeding import for_seed, shared
from ntkbench.run.build import data
from ntkbench.spec.identity import run_id
from tests.examples.cells import FULL, cell

SPEC = """
ntkbench: 1
name: subsets
data: {{dataset: {dataset}, n_train: 30, n_test: 20, seed: 3{more}}}
architecture: {{kind: fc}}
kernels: {{limit: {{kind: infinite}}}}
analyses: {{clean: {{kind: accuracy, target: limit}}}}
seeds: [3, 5]
seed_of: {seed_of}
"""


@pytest.fixture
def read(tmp_path):
    def read(dataset: str = "{kind: two_gaussians}", seed_of: str = "data", more: str = "") -> runs.Plan:
        file = tmp_path / "spec.yaml"
        file.write_text(SPEC.format(dataset=dataset, seed_of=seed_of, more=more))
        return plan_read.read(str(file))

    return read


@pytest.mark.parametrize(
    "dataset", ["fashion_mnist_mini", "{kind: two_gaussians}", "{kind: sphere_teacher, degree: 2}"]
)
def test_each_seed_draws_its_training_set_and_all_see_the_same_test_points(read, dataset: str):
    one, two = (data.examples(run.cell.data, ()) for run in read(dataset).runs)
    np.testing.assert_array_equal(one.test.images, two.test.images)
    np.testing.assert_array_equal(one.test.labels, two.test.labels)
    assert not np.array_equal(one.train.images, two.train.images)
    as_before = data.examples(read(dataset, "run").runs[0].cell.data, ())
    np.testing.assert_array_equal(one.train.images, as_before.train.images)
    np.testing.assert_array_equal(one.test.images, as_before.test.images)


def test_the_labels_of_all_subsets_are_those_of_one_teacher(read):
    from ntkbench.data.synthetic import teacher

    label = teacher(20, 2, 3)
    for run in read("{kind: sphere_teacher, degree: 2}").runs:
        drawn = data.examples(run.cell.data, ())
        np.testing.assert_array_equal(label(drawn.train.images.reshape(30, -1)), drawn.train.labels)


def test_a_subset_is_an_experiment_of_its_own(read):
    one, two = read().runs
    assert [(run.seed, run.cell.data.seed, run.cell.data.test_seed) for run in (one, two)] == [(3, 3, 3), (5, 5, 3)]
    assert one.id == run_id(one.cell, 3) != two.id
    assert kernel_key(one.cell, "limit") != kernel_key(two.cell, "limit")
    assert kernel_key(one.cell, "limit") == kernel_key(read(seed_of="run").runs[0].cell, "limit")
    assert data_key(one.cell) != data_key(two.cell)


def test_seeds_of_runs_keep_their_ids(read):
    for run in read(seed_of="run").runs:
        assert run.cell.data.test_seed is None
        assert run.id == run_id(for_seed(run.cell, run.seed, "run"), run.seed)


def test_the_cell_that_subsets_share():
    whole = cell(data=FULL["data"] | {"seed": 4})
    assert shared(for_seed(whole, 9, "data")) == whole
    assert shared(whole) == whole


def test_the_first_examples_are_the_same_for_every_seed(read):
    with pytest.raises(SpecError, match=r"spec.yaml:9:\d+: seed_of: the first examples .* write data.subset: balanced"):
        read("fashion_mnist_mini", more=", subset: first")
