"""Another package's kinds: found, checked, hashed, run and recorded like ntkbench's own. In processes of their own."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ntkbench.errors import SpecError
from ntkbench.plan.read import read
from ntkbench.spec import extensions

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "docs" / "examples" / "ntkbench-example"
SPEC = EXAMPLE / "stripes.yaml"
ALL = ("architectures", "attacks", "analyses", "datasets")


def installed(folder: Path, **entry_points: str) -> Path:
    """A folder as pip would leave it; `entry_points` take the place of the package's own, by group."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    shutil.copytree(EXAMPLE / "ntkbench_example", folder / "ntkbench_example")
    info = folder / f"ntkbench_example-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = entry_points or {
        group.removeprefix("ntkbench."): "\n".join(f"{kind} = {model}" for kind, model in kinds.items())
        for group, kinds in project["entry-points"].items()
    }
    (info / "entry_points.txt").write_text("".join(f"[ntkbench.{group}]\n{text}\n" for group, text in points.items()))
    return folder


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    return installed(tmp_path_factory.mktemp("site"))


def python(site: Path, code: str) -> str:
    """What a process prints that has the package."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (site, ROOT))), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=site, env=environment
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def told(site: Path, *arguments: str) -> str:
    """What a command prints, errors included."""
    code = f"""
import contextlib, io, sys
from ntkbench.cli.main import main
with contextlib.redirect_stderr(sys.stdout), contextlib.suppress(SystemExit):
    main({list(arguments)!r})
"""
    return python(site, code)


def test_without_the_package_its_kinds_are_unknown():
    with pytest.raises(SpecError, match="unknown kind 'mim'"):
        read(SPEC)
    assert extensions.packages() == {}


def test_specs_name_its_kinds_without_jax_and_at_once(package):
    code = f"""
import sys, time
began = time.process_time()
from ntkbench.plan.read import read
from ntkbench.status.forecast import cost_forecast
from ntkbench.store.store import Store
from pathlib import Path
planned = read({str(SPEC)!r}, ("attacks.mim.decay=0.5",))
text = cost_forecast(planned, Store(Path("nowhere")))
assert time.process_time() - began < 2, "the words of a package load something heavy"
assert not {{"jax", "ntkbench_example.numbers"}} & sys.modules.keys()
cell = planned.runs[1].cell
print(len(planned.runs), cell.architecture.depth, cell.attacks["mim"].decay, "training" in text)
"""
    assert python(package, code).split() == ["2", "2", "0.5", "True"]


def test_mistakes_in_its_fields_have_their_place_and_a_suggestion(package, tmp_path):
    bad = tmp_path / "bad.yaml"
    text = SPEC.read_text().replace("steps: 5", "step: 5").replace("narrow: 4", "narrow: 0").replace("sd: 0.3", "sd: x")
    bad.write_text(text.replace("n_test: 40", "n_test: 401, classes: [horizontal, diagonal]"))
    lines = told(package, "validate", str(bad)).splitlines()
    assert [line.partition("bad.yaml:")[2] for line in lines] == [
        "3:91: data.classes[1]: stripes has no class diagonal; its classes are horizontal, vertical (or 0 to 1)",
        "4:42: architecture.narrow: expected a whole number from 1 to 10^9, found 0",
        "10:45: attacks.mim.step: unknown field; did you mean steps?",
        "12:28: analyses.noise.sd: expected a number above 0, found the text 'x'",
    ]


def test_its_kinds_are_listed(package):
    code = f"from ntkbench.reference.listing import listing\nprint(*map(listing, {ALL!r}), sep='\\n')"
    listed = [line.split("  ")[0] for line in python(package, code).splitlines()]
    assert {"bottleneck", "equinox_mlp", "mim", "noise", "stripes"} <= set(listed)


def test_a_run_is_identified_by_fields_package_and_revision(package):
    code = f"""
from ntkbench.plan.read import read
from ntkbench.spec.identity import canonical, run_id
run = read({str(SPEC)!r}).runs[0]
other = read({str(SPEC)!r}, ("architecture.narrow=5",)).runs[0]
print(canonical(run.cell.attacks["mim"])["$extension"], run.id == other.id)
"""
    assert python(package, code) == "{'package': 'ntkbench-example', 'revision': 1} False\n"


def test_a_network_of_functions_has_no_limit_and_is_planned_without_jax(package, tmp_path):
    spec = tmp_path / "functions.yaml"
    text = SPEC.read_text().replace("kind: bottleneck, narrow: 4", "kind: equinox_mlp")
    spec.write_text(text)
    lines = told(package, "validate", str(spec)).splitlines()
    assert [line.partition("functions.yaml:")[2] for line in lines] == [
        "8:3: kernels.limit: equinox_mlp is a function, and has no known infinite-width limit; give the kernel an "
        "`architecture` of its own"
    ]
    spec.write_text(text.replace("{kind: infinite}", "{kind: infinite, architecture: {kind: equinox_mlp}}"))
    assert "kernels.limit.architecture: equinox_mlp is a function, and has no" in told(package, "validate", str(spec))
    spec.write_text(text.replace("{kind: infinite}", "{kind: infinite, architecture: {kind: fc}}"))
    code = f"""
import sys
from ntkbench.plan.read import read
from ntkbench.plan.cost.estimate import estimate
from ntkbench.spec.identity import canonical
planned = read({str(spec)!r})
assert estimate(planned).seconds > 0
assert not {{"jax", "equinox"}} & sys.modules.keys()
print(canonical(planned.runs[1].cell.architecture))
"""
    assert python(package, code) == (
        "{'depth': 2, 'kind': 'equinox_mlp', '$extension': {'package': 'ntkbench-example', 'revision': 1}}\n"
    )


THREE_WAYS = """
import equinox as eqx, jax, numpy as np, ntkbench as nb
from safetensors.numpy import load_file, save_file

DATA = {"dataset": "fashion_mnist_mini", "classes": ["sneaker", "bag", "coat"], "n_train": 12, "n_test": 30}
ATTACKS = {
    "pgd": {"kind": "pgd", "eps": "8/255", "steps": 5},
    "kernel": {"kind": "fgsm", "source": "own", "eps": "8/255"},
}
ANALYSES = {"clean": {"kind": "accuracy", "attacks": list(ATTACKS)}}
OWN = {"own": {"kind": "empirical"}}

net = eqx.nn.MLP(784, 3, 16, 1, key=jax.random.key(0))
nb.save_weights(net, "net.safetensors")
layers = {"1": "layers.0", "3": "layers.1"}
arrays = load_file("net.safetensors")
same = {f"{i}.{of}": arrays[f"{at}.{of}"] for i, at in layers.items() for of in ("weight", "bias")}
save_file(same, "fc.safetensors")


def pretrained(architecture, weights, precision="float64", attacks=ATTACKS):
    spec = {
        "ntkbench": 1, "name": "theirs", "data": DATA, "architecture": architecture, "width": 16,
        "training": {"mode": "pretrained", "weights": weights}, "kernels": OWN, "attacks": attacks,
        "analyses": {"clean": {"kind": "accuracy", "attacks": list(attacks)}}, "numerics": {"kernel": precision},
    }
    return nb.run(spec, store="three", progress=None)


def numbers(found):
    (record,) = found.records
    assert record.status == "ok", record.error
    return {(row.analysis, row.metric, *sorted(row.where.items())): row.value for row in record.metrics}


FC = {"kind": "fc", "depth": 1, "parameterization": "standard"}
evaluated = nb.evaluate(
    (lambda net, x: net(x.ravel()), net), DATA, ATTACKS, ANALYSES, OWN, name="mine", store="three", progress=None
)
theirs = pretrained({"kind": "equinox_mlp"}, "net.safetensors")
ours = pretrained(FC, "fc.safetensors")
for other in (theirs, ours):
    assert numbers(other).keys() == numbers(evaluated).keys()
    for key, value in numbers(evaluated).items():
        np.testing.assert_allclose(numbers(other)[key], value, atol=1e-6)
    np.testing.assert_allclose(other.images("pgd").adversarial, evaluated.images("pgd").adversarial, atol=1e-6)
    for one, two in zip(other.kernel("own"), evaluated.kernel("own")):
        np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-10 * np.abs(two).max())
pairs = ({"kind": "equinox_mlp"}, "net.safetensors"), (FC, "fc.safetensors")
single = [pretrained(*pair, "float32", {}).kernel("own") for pair in pairs]
for one, two, double in zip(*single, ours.kernel("own")):
    np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5 * np.abs(two).max())
    np.testing.assert_allclose(one, double, rtol=1e-5, atol=1e-5 * np.abs(two).max())
print(len(numbers(ours)))

save_file({**arrays, "layers.2.weight": arrays["layers.1.weight"]}, "net.safetensors")
try:
    pretrained({"kind": "equinox_mlp"}, "net.safetensors")
except nb.NtkbenchError as error:
    print(error)
"""


@pytest.mark.slow
def test_one_network_in_three_ways_has_the_same_numbers_and_the_same_kernel(package):
    """Through `evaluate`, with its weights in a file as a network of functions, and as a network of ours."""
    count, refused = python(package, THREE_WAYS).splitlines()
    assert int(count) >= 4
    assert refused == ("training.weights: net.safetensors: it has layers.2.weight, which the network has not")


BROKEN = {
    "cannot be loaded: No module named 'ntkbench_exampel'": {"attacks": "mim = ntkbench_exampel.words:MIM"},
    "give it this name": {"attacks": "momentum = ntkbench_example.words:MIM"},
    "is no ExtensionAnalysis": {"analyses": "mim = ntkbench_example.words:MIM"},
    "is no Section with a kind": {"attacks": "mim = ntkbench.spec.notation:Count"},
    "imports jax": {"attacks": "mim = heavy:MIM"},
}


@pytest.mark.parametrize("message", BROKEN)
def test_a_package_that_cannot_be_used_is_named(tmp_path, message):
    site = installed(tmp_path / "site", **BROKEN[message])
    (site / "jax.py").write_text("")
    (site / "heavy.py").write_text("import jax\nfrom ntkbench_example.words import MIM\n")
    text = told(site, "validate", str(ROOT / "specs" / "quickstart.yaml"))
    assert text.startswith("ntkbench-example: ")
    assert message in text
    assert len(text.splitlines()) == 1


def test_two_packages_with_one_kind_are_refused(tmp_path):
    site = installed(tmp_path / "site")
    words = site / "ntkbench_example" / "words.py"
    words.write_text(words.read_text().replace('"mim"', '"fgsm"'))
    points = site / "ntkbench_example-0.1.0.dist-info" / "entry_points.txt"
    points.write_text("[ntkbench.attacks]\nfgsm = ntkbench_example.words:MIM\n")
    text = told(site, "validate", str(ROOT / "specs" / "quickstart.yaml"))
    assert text == "ntkbench.attacks: several packages, or ntkbench itself, have the kind fgsm\n"


@pytest.mark.slow
def test_all_four_run_and_are_recorded(package, tmp_path):
    told(package, "run", str(SPEC), "--store", str(tmp_path / "runs"))
    records = [json.loads(path.read_text()) for path in (tmp_path / "runs" / "records").glob("*.json")]
    assert [record["status"] for record in records] == ["ok", "ok"], records[0]["error"]
    for record in records:
        assert record["software"]["extensions"] == {"ntkbench-example": "0.1.0"}
        failed = {check["code"] for check in record["checks"] if not check["ok"]}
        assert failed <= {"source_and_target_at_equal_time"}, "two epochs do not fit a network"
        found = {
            (row["analysis"], row["metric"], row["where"].get("noise") or row["where"].get("attack")): row["value"]
            for row in record["metrics"]
            if row["analysis"] != "training" and row["metric"] != "majority_rate"
        }
        assert found.keys() == {
            ("noise", "accuracy", None),
            ("noise", "robust_accuracy", "0.3"),
            ("noise", "mean_margin", "0.3"),
            ("clean", "accuracy", None),
            ("clean", "robust_accuracy", "mim"),
        }
        assert found["clean", "accuracy", None] > 0.9
        assert found["clean", "robust_accuracy", "mim"] < found["clean", "accuracy", None]


MARGIN = """
ntkbench: 1
name: margin
data: {dataset: {kind: stripes, side: 4}, n_train: 12, n_test: 40}
architecture: {kind: fc, depth: 1}
training: {mode: standard, epochs: 3}
analyses: {noise: {kind: noise, sd: 0.3}}
matrix: {width: [8, 16]}
seeds: 2
"""
TRACK = """
schema: ntkbench.track/2
title: Margins
about: Margins on noisy stripes.
spec: margin.yaml
frozen: [data, architecture, training, kernels, attacks, analyses, numerics]
free: [width]
rank: {title: margin, metric: mean_margin, where: {noise: "0.3"}, order: descending}
min_seeds: 2
tolerance: {outputs: 0.01}
mini: {}
cell:
  data: {dataset: {kind: stripes, side: 4}, n_train: 12, n_test: 40}
  architecture: {kind: fc, depth: 1}
  width: 8
  training: {mode: standard, epochs: 3}
  analyses: {noise: {kind: noise, sd: 0.3}}
"""
RANKED = """
from pathlib import Path
from ntkbench.boards import submit
from ntkbench.boards.recompute import recompute
from ntkbench.boards.tracks import track
from ntkbench.plan.read import read
from ntkbench.store import record
from ntkbench.store.store import Store

rules = track.read(Path("boards/margin@1"))
records, _ = record.read_all(Store(Path("runs")).records)
for width in (8, 16):
    runs = [run for run in read("margin.yaml").runs if run.cell.width == width]
    entry = submit.make(rules, runs, records, Path("runs/records"), name=f"width {width}", allow_dirty=True)
    submit.save(entry, Path("boards"))
    recompute(entry, rules, "an entry")
    print(entry.results[0].metric, entry.results[0].mean)
print(rules.rank.on, rules.rank.revision)
"""


@pytest.fixture
def margins(tmp_path) -> Path:
    """A site with a spec of an analysis that declares the metric `mean_margin`, and its runs."""
    site = installed(tmp_path / "site")
    (site / "margin.yaml").write_text(MARGIN)
    return site


def noted(site: Path) -> list[dict]:
    """The records of the store of a site."""
    return [json.loads(path.read_text()) for path in sorted((site / "runs" / "records").glob("*.json"))]


@pytest.mark.slow
def test_a_metric_of_its_own_is_recorded_shown_drawn_exported_compared_and_ranked(margins):
    assert "mean_margin" in told(margins, "list", "metrics")
    told(margins, "run", "margin.yaml")
    rows = [row for each in noted(margins) for row in each["metrics"] if row["metric"] == "mean_margin"]
    assert {(row["unit"], row["higher_is_better"], row["revision"], row["ci_method"]) for row in rows} == {
        ("outputs", True, 1, "t")
    }
    assert all(
        check["ok"] for each in noted(margins) for check in each["checks"] if check["code"] == "metrics_declared"
    )
    shown = told(margins, "show", "margin.yaml", "--metric", "mean_margin")
    assert "(outputs, higher is better): mean over test points of the output of the label less" in shown
    assert told(margins, "export", "margin.yaml", "--metric", "mean_margin").count("mean_margin") == 4
    told(margins, "plot", "margin.yaml", "-o", "figures")
    assert "higher is better" in (margins / "figures" / "margin-noise-mean-margin.txt").read_text()
    assert (margins / "figures" / "margin-noise-mean-margin.png").stat().st_size > 5000
    told(margins, "report", "margin.yaml", "-o", "report.html")
    assert "mean_margin" in (margins / "report.html").read_text()
    (margins / "boards" / "margin@1").mkdir(parents=True)
    (margins / "boards" / "margin@1" / "track.yaml").write_text(TRACK)
    first, second, kind = python(margins, RANKED).splitlines()
    assert kind == "linear 1"
    for line in (first, second):
        name, mean = line.split()
        assert name == "mean_margin"
        assert any(abs(float(mean) - (one["value"] + other["value"]) / 2) < 1e-12 for one in rows for other in rows)
    entries = [f"margin@1/width-{width}" for width in (8, 16)]
    assert "mean_margin" in told(margins, "compare", *entries, "--metric", "mean_margin", "--folder", "boards")


@pytest.mark.slow
def test_a_metric_that_nobody_declares_is_told_and_lost_with_nothing(margins):
    words = margins / "ntkbench_example" / "words.py"
    declared = words.read_text()
    words.write_text(declared.replace("metrics: ClassVar", "forgotten: ClassVar"))
    text = told(margins, "run", "margin.yaml")
    assert "analyses.noise returned numbers of mean_margin, which nobody declares" in text
    assert "declare them in `metrics` of ntkbench_example.words.Noise" in text
    for each in noted(margins):
        assert each["status"] == "ok"
        (row,) = [row for row in each["metrics"] if row["metric"] == "mean_margin"]
        assert (row["unit"], row["higher_is_better"], row["revision"]) == ("undeclared", None, 0)
        assert row["value"] is not None
        assert [
            check["detail"] for check in each["checks"] if not check["ok"] and check["code"] == "metrics_declared"
        ] == [{"metrics": "mean_margin"}]
    assert "no installed package declares this metric" in told(margins, "show", "margin.yaml")
    words.write_text(declared)
    assert "by revision 0, an earlier definition" in told(margins, "show", "margin.yaml", "--metric", "mean_margin")


WRONG_METRICS = {
    'Metric("accuracy",': "declares the metric accuracy, which ntkbench has in another meaning; rename it",
    'Metric("Mean margin",': "metric 'Mean margin': its name is to be",
    'Metric("mean_margin", range=(1, 0),': "metric mean_margin: its range is to be (least, largest), not (1, 0)",
    'Metric("mean_margin", revision=0,': "metric mean_margin: its revision is to be 1 or more, not 0",
    '("mean_margin",), dict(': "`metrics` of noise (ntkbench_example.words:Noise) is no tuple of vocabulary.Metric",
}


@pytest.mark.parametrize("wrong", WRONG_METRICS)
def test_a_metric_that_cannot_be_is_told_before_anything_runs(tmp_path, wrong):
    site = installed(tmp_path / "site")
    words = site / "ntkbench_example" / "words.py"
    words.write_text(re.sub(r'Metric\(\s*"mean_margin",', wrong, words.read_text()))
    text = told(site, "validate", str(ROOT / "specs" / "quickstart.yaml"))
    assert text.startswith("ntkbench-example: ")
    assert WRONG_METRICS[wrong] in text
    assert len(text.splitlines()) == 1


TABLE = """
from typing import ClassVar, Literal
from ntkbench.spec.data import ExtensionDataset
from ntkbench.data.catalog import DatasetInfo

class Table(ExtensionDataset):
    '''Examples in a file.'''

    kind: Literal["table"]
    path: str
    builder: ClassVar[str] = "ntkbench_example.table_numbers:table"

    @property
    def entry(self) -> DatasetInfo:
        return DatasetInfo("table", "Table", ("a", "b"), (2, 2, 1), (20, 20), (10, 10), "MIT")
"""
TABLE_NUMBERS = """
import numpy as np
from pathlib import Path
from ntkbench.data.dataset import Dataset, Split

def table(words, roots):
    shift = float((Path.cwd() / words.path).read_text())

    def split(n):
        labels = np.arange(n) % 2
        images = np.full((n, 2, 2, 1), 0.4) + shift * labels[:, None, None, None]
        return Split(images + 0.01 * np.random.default_rng(n).random(images.shape), labels, np.arange(n))

    return Dataset(split(40), split(20), words.entry.classes)
"""
TABLE_SPEC = """
ntkbench: 1
name: table
data: {dataset: {kind: table, path: table.txt}, n_train: 20, n_test: 10}
architecture: {kind: fc, depth: 1}
width: 8
training: {mode: standard, epochs: 2}
analyses: {clean: {kind: accuracy}}
"""


@pytest.fixture
def table(tmp_path) -> Path:
    """A site with a data set that reads a file which a field of its words names, and a spec of it."""
    site = installed(tmp_path / "site", datasets="table = ntkbench_example.table:Table")
    (site / "ntkbench_example" / "table.py").write_text(TABLE)
    (site / "ntkbench_example" / "table_numbers.py").write_text(TABLE_NUMBERS)
    (site / "table.yaml").write_text(TABLE_SPEC)
    (site / "table.txt").write_text("0.1")
    return site


def test_a_file_that_changed_makes_other_runs(table):
    def ran() -> str:
        return told(table, "run", "table.yaml").splitlines()[0]

    assert ran() == "1 runs, of which 0 are done"
    (table / "table.txt").write_text("0.2")
    assert ran() == "1 runs, of which 0 are done"
    (table / "table.txt").write_text("0.1")
    assert ran() == "1 runs, of which 1 are done", "the same content is the same experiment"
    records = [json.loads(path.read_text()) for path in (table / "runs" / "records").glob("*.json")]
    assert len({record["spec"]["resolved"]["data"]["dataset"]["content"] for record in records}) == 2
    assert len({record["stages"]["training"]["key"] for record in records}) == 2
    assert told(table, "store", "verify") == "4 objects and records, of which 0 are damaged\n"


def test_a_file_that_no_word_names_is_refused(table):
    numbers = table / "ntkbench_example" / "table_numbers.py"
    numbers.write_text(TABLE_NUMBERS.replace("words.path)", "'hidden.txt')"))
    (table / "hidden.txt").write_text("0.1")
    text = told(table, "run", "table.yaml")
    assert f"reads {table / 'hidden.txt'}, which is no part of the run's identity" in text
    assert "name it in the `files` of its words" in text
