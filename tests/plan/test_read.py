import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from ntkbench.budgets import Budget
from ntkbench.errors import SpecError, UsageError
from ntkbench.plan import read as plan_read
from tests.examples.cells import EXAMPLE

SPECS = Path(__file__).parents[2] / "specs"


@pytest.fixture
def spec(tmp_path) -> str:
    file = tmp_path / "spec.yaml"
    file.write_text(EXAMPLE)
    return str(file)


def lines(file: str, *overrides: str, smoke: bool = False) -> list[str]:
    with pytest.raises(SpecError) as error:
        plan_read.read(file, overrides, smoke)
    return str(error.value).splitlines()


def test_the_runs_in_the_order_of_the_matrix(spec: str):
    read = plan_read.read(spec)
    assert [(dict(run.coordinates), run.seed) for run in read.runs] == [
        ({"width": width, "regime": regime}, seed)
        for width, regime in (("32", "standard"), ("32", "linearized"), ("128", "linearized"))
        for seed in range(3)
    ]
    assert [run.cell.width for run in read.runs[::3]] == [32, 32, 128]
    assert len({run.id for run in read.runs}) == 9
    assert {run.name for run in read.runs} == {"example"}
    assert read.file == spec
    assert read.header.track == "transfer-fashion@1"
    assert read.header.run.tile_bytes == 64e6
    assert read.header.run.timeout == 1800
    assert read.runs[0].cell.attacks["own"].eps == (Budget(Fraction(2, 255)), Budget(Fraction(8, 255)))


def test_smoke(spec: str):
    read = plan_read.read(spec, smoke=True)
    assert [(dict(run.coordinates), run.seed) for run in read.runs] == [({"width": "8"}, 4), ({"width": "16"}, 4)]
    assert {run.cell.data.n_train for run in read.runs} == {20}


def test_overrides(spec: str):
    read = plan_read.read(
        spec, ["data.n_train=30", "matrix.width=[64]", "matrix.exclude=[]", "seeds=[9]", "name=other"]
    )
    assert [(run.cell.width, run.seed, run.name) for run in read.runs] == [(64, 9, "other")] * 2
    assert {run.cell.data.n_train for run in read.runs} == {30}
    assert plan_read.read(spec, ["seeds=1"], smoke=True).runs[0].seed == 0


def test_an_override_may_define_a_new_id(spec: str):
    read = plan_read.read(spec, ["kernels.other={kind: infinite, ridge: 1/2}"])
    assert read.runs[0].cell.kernels["other"].ridge == 0.5


def test_overrides_that_cannot_be(spec: str):
    assert lines(spec, "data.n_trian=30", "kernels.limt.ridge=1", "epochs=4") == [
        "--set:1:1: data.n_trian: no such path; did you mean data.n_train?",
        "--set:2:1: kernels.limt.ridge: no such path; did you mean kernels.limit.ridge?",
        "--set:3:1: epochs: no such path; did you mean training.epochs?",
    ]
    assert lines(spec, "data.n_train=many") == [
        "--set:1:14: data.n_train: expected a whole number from 1 to 10^9, found the text 'many'"
    ]


def test_values_that_commas_separate_are_an_axis(spec: str):
    read = plan_read.read(spec, ["width=8,16,24", "architecture.depth=1,2", "matrix.exclude=[]", "seeds=7,9"])
    found = [tuple(run.coordinates.values()) for run in read.runs[::2]]
    assert list(read.runs[0].coordinates) == ["width", "regime", "architecture.depth"]
    assert found == [(w, r, d) for w in ("8", "16", "24") for r in ("standard", "linearized") for d in ("1", "2")]
    assert [run.seed for run in read.runs[:2]] == [7, 9]
    listed = plan_read.read(spec, ["matrix.width=[8, 16, 24]", "matrix.architecture.depth=[1, 2]", "matrix.exclude=[]"])
    assert {run.id for run in listed.runs if run.seed == 0}.isdisjoint(run.id for run in read.runs)
    assert [run.coordinates for run in listed.runs[::3]] == [run.coordinates for run in read.runs[::2]]
    alone = ["analyses.transfer.ceiling=null", "analyses.transfer.floor=null"]
    budgets = plan_read.read(spec, ["attacks.ntk.eps=2/255,8/255", *alone])
    assert {run.coordinates["attacks.ntk.eps"] for run in budgets.runs} == {"2/255", "8/255"}


def test_axes_that_cannot_be(spec: str):
    assert lines(spec, "widht=8,16", "epochs=4,5") == [
        "--set:1:1: widht: no such path; did you mean width?",
        "--set:2:1: epochs: no such path; did you mean training.epochs?",
    ]
    assert lines(spec, "architecture.depth=1,0") == [
        "--set:1:22: architecture.depth: expected a whole number from 1 to 100, found 0"
    ]
    assert lines(spec, "training.linearize_at=0,5")[0].startswith("--set:1:25: matrix.training.linearize_at: ")
    assert lines(spec, "data.n_train='1,2'")[0].startswith("--set:1:14: data.n_train: expected a whole number")
    assert plan_read.read(spec, ["title=one,two"]).header.title == "one,two"


def test_an_override_of_what_the_matrix_sets_would_do_nothing(spec: str):
    message = "the axis width of the matrix sets this; override the axis, --set 'matrix.width=[...]', "
    message += "or choose of it, --where width=LABEL"
    assert lines(spec, "width=64") == [f"--set:1:1: width: {message}"]


def test_a_smoke_section_that_does_not_work_is_told_before_it_is_needed(tmp_path):
    file = tmp_path / "spec.yaml"
    file.write_text(EXAMPLE.replace("n_train: 20}", "n_train: 2000}"))
    message = "data.n_train: fashion_mnist_mini has only 1000 training examples of these 2 classes (subset: balanced)"
    assert lines(str(file)) == [f"{file}:25:25: {message}"]


def test_the_same_mistake_in_many_cells_is_told_once(spec: str):
    assert len(lines(spec, "training.optimizer.kind=sdg")) == 1


def test_neither_jax_nor_numpy_nor_pandas_is_needed(spec: str):
    code = (
        "import sys; from ntkbench.plan.cost.estimate import estimate; from ntkbench.plan.read import read\n"
        "from ntkbench.spec import schema\n"
        "estimate(read(sys.argv[1])); schema.dumps()\n"
        "print([name for name in ('jax', 'numpy', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, spec], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_two_hundred_runs_are_read_at_once(tmp_path):
    file = tmp_path / "spec.yaml"
    widths = list(range(16, 66))
    wide = EXAMPLE.replace("[32, 128]", str(widths)).replace("{width: 128, regime: standard}", "{regime: standard}")
    file.write_text(wide.replace("seeds: 3", "seeds: 4"))
    code = (
        "import sys, time; from ntkbench.plan.read import read\n"
        "for _ in range(3):\n"
        "    start = time.process_time()\n"
        "    print(len(read(sys.argv[1]).runs), time.process_time() - start)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    runs, seconds = zip(*(line.split() for line in done.stdout.splitlines()), strict=True)
    assert set(runs) == {"200"}
    assert min(map(float, seconds)) < 0.25


@pytest.mark.parametrize("file", sorted(SPECS.rglob("*.yaml")), ids=lambda path: path.name)
def test_the_specs_that_are_shipped(file: Path):
    if file.parent.name == "base":
        pytest.skip("a part of other specs")
    assert plan_read.read(str(file)).runs
    assert plan_read.read(str(file), smoke=True).runs


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("analyses.evil", "{kind: 'os:system'}"),
        ("analyses.evil", "{kind: accuracy, builder: 'os:system'}"),
        ("analyses.evil", "!!python/object/apply:os.system [id]"),
        ("architecture", "{kind: layers, layers: [{op: 'os:system'}, {op: dense}]}"),
        ("attacks.evil", "{kind: __class__, eps: 1/255}"),
        ("data.dataset", "../../etc/passwd"),
        ("data.dataset", "{kind: named, name: /dev/zero}"),
        ("track", "../../evil@1"),
        ("name", "../../evil"),
        ("run.store", "/tmp/evil"),
    ],
)
def test_a_spec_names_no_module_no_file_and_no_folder(path: str, value: str, spec: str):
    """It chooses among what is installed, and what it gives a name to has no slash in it."""
    with pytest.raises(SpecError):
        plan_read.read(spec, [f"{path}={value}"])


def test_ids_of_a_spec_are_no_paths(tmp_path):
    (tmp_path / "spec.yaml").write_text(EXAMPLE.replace("analyses:\n", "analyses:\n  ../evil: {kind: accuracy}\n", 1))
    assert "not a good id" in lines(str(tmp_path / "spec.yaml"))[0]


def test_what_it_takes_to_tell_mistakes_is_bounded(tmp_path):
    """In each of 299 cells 150 attacks have no source."""
    attacks = "".join(f"  a{i}: {{kind: fgsm, eps: 1/255, source: b{i}}}\n" for i in range(150))
    widths = ", ".join(map(str, range(1, 300)))
    good = (SPECS.parent / "tests" / "bad_specs" / "parts" / "good.yaml").read_text().split("attacks:")[0]
    rest = f"attacks:\n{attacks}analyses: {{a: {{kind: accuracy}}}}\nmatrix: {{width: [{widths}]}}\n"
    (tmp_path / "spec.yaml").write_text(good + rest)
    assert len(lines(str(tmp_path / "spec.yaml"))) == 101


@pytest.mark.parametrize("kind", ["fab", "autoattack"])
def test_a_search_and_the_standard_set_are_transferred_like_any_attack(tmp_path, kind: str):
    good = (SPECS.parent / "tests" / "bad_specs" / "parts" / "good.yaml").read_text()
    moved = good.replace("ntk: {kind: fgsm", f"ntk: {{kind: {kind}").replace("own: {kind: fgsm", f"own: {{kind: {kind}")
    (tmp_path / "spec.yaml").write_text(f"{moved}  grid: {{kind: transfer_matrix, attack: ntk, floor: noise}}\n")
    (run,) = plan_read.read(str(tmp_path / "spec.yaml")).runs
    assert {run.cell.attacks[name].kind for name in ("ntk", "own")} == {kind}
    floor = moved.replace("floor: noise", "floor: own").replace("ceiling: own", "ceiling: null")
    (tmp_path / "spec.yaml").write_text(floor)
    assert lines(str(tmp_path / "spec.yaml"))[0].endswith(f"own is of kind {kind}; the floor is of kind random_sign")


AXES = """
ntkbench: 1
name: axes
data: {dataset: {kind: two_gaussians, dim: 6}, n_train: 12, n_test: 10}
architecture: {kind: fc}
kernels: {limit: {kind: infinite}}
analyses: {clean: {kind: accuracy, target: limit}}
matrix:
  architecture.W_std: [1, 1.5]
  kind of bias: {none: {architecture.b_std: null}, "some": {architecture.b_std: 0.1}}
  exclude: [{architecture.W_std: 1.5, kind of bias: none}]
"""


@pytest.fixture
def axes(tmp_path) -> str:
    file = tmp_path / "axes.yaml"
    file.write_text(AXES)
    return str(file)


def test_what_is_advised_for_an_axis_can_be_done(axes: str):
    (told,) = lines(axes, "architecture.W_std=2")
    assert told.endswith("--set 'matrix.architecture.W_std=[...]', or choose of it, --where architecture.W_std=LABEL")
    read = plan_read.read(axes, ["matrix.architecture.W_std=[2, 3]", "matrix.exclude=[{kind of bias: none}]"])
    assert [run.cell.architecture.model_dump()["W_std"] for run in read.runs] == [2.0, 3.0]
    (told,) = lines(axes, "architecture.b_std=0.2")
    assert told.endswith("the axis kind of bias of the matrix sets this; choose of it, --where kind of bias=LABEL")


def test_a_plan_is_narrowed_to_labels(axes: str):
    read = plan_read.read(axes)
    assert plan_read.narrowed(read, {}) == read
    assert plan_read.narrowed(read, {"kind of bias": ["some"], "architecture.W_std": ["3/2"]}).runs == read.runs[2:]
    assert plan_read.narrowed(read, {"architecture.W_std": ["1.0"]}).runs == read.runs[:2]
    assert plan_read.narrowed(read, {"architecture.W_std": ["1.0", "1.5"]}).runs == read.runs
    for where, message in (
        ({"W_std": ["1"]}, "has no axis 'W_std'"),
        ({"architecture.W_std": ["1", "2"]}, r"the axis architecture.W_std has no label 2; it has 1, 1.5$"),
        ({"architecture.W_std": ["1.5"], "kind of bias": ["none"]}, "the matrix excludes it"),
    ):
        with pytest.raises(UsageError, match=message):
            plan_read.narrowed(read, where)


def test_what_is_inherited_is_dropped_by_null(tmp_path):
    specs = Path(__file__).parent.parent / "faults" / "specs"
    read = plan_read.read(specs / "cannot-drop-inherited.yaml")
    (run,) = read.runs
    assert list(run.cell.attacks) == ["ntk", "noise"]
    assert run.cell.analyses["transfer"].ceiling is None  # type: ignore[union-attr]
    (same,) = plan_read.read(specs / "tiny.yaml", ["attacks.white=null", "analyses.transfer.ceiling=null"]).runs
    assert same.id == run.id
    file = tmp_path / "spec.yaml"
    file.write_text(AXES.replace("analyses:", "attacks: {white: null}\nanalyses:"))
    assert "attacks.white: expected a mapping with kind" in lines(str(file))[0], "there is nothing to drop"
