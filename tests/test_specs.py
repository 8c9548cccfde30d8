"""The specs that come with the project, and the one that `init` writes: valid, and `--smoke` really runs."""

from pathlib import Path

import pytest

from ntkbench.data.catalog import CATALOG
from ntkbench.plan.read import read
from ntkbench.reference import starter
from ntkbench.spec.data import NamedDataset
from ntkbench.store import lookup
from ntkbench.store.store import Store
from tests.examples import tiny

SPECS = Path(__file__).parent.parent / "specs"
SHIPPED = sorted(path for path in SPECS.rglob("*.yaml") if "base" not in path.parts)


def name(path: Path) -> str:
    return str(path.relative_to(SPECS))


def needs_no_download(path: Path) -> bool:
    datasets = [run.cell.data.dataset for run in read(path).runs]
    return all(not isinstance(found, NamedDataset) or CATALOG[found.name].bundled for found in datasets)


@pytest.mark.parametrize("path", SHIPPED, ids=name)
@pytest.mark.parametrize("smoke", [False, True], ids=["whole", "smoke"])
def test_a_shipped_spec_is_valid(path: Path, smoke: bool):
    whole, planned = read(path), read(path, smoke=smoke)
    assert planned.header.title
    assert planned.header.about
    assert whole.header.smoke, "every shipped spec can be tried"
    assert 0 < len(planned.runs) <= len(whole.runs)


def test_names_are_the_specs_own():
    names = [read(path).header.name for path in SHIPPED]
    assert len(set(names)) == len(names)


def smoked(path: Path, folder: Path) -> None:
    planned, store = read(path, smoke=True), Store(folder / "runs")
    tiny.run(planned, store)
    records = lookup.records(store, planned.runs)
    assert tiny.statuses(records) == ["ok"] * len(planned.runs)
    assert all(record.metrics for record in records)
    failed = {check.code for record in records for check in record.checks if not check.ok}
    # A tiny network can be dead at an example, or crooked (steps of fixed size may end lower), and it is not fitted.
    allowed = {"gradients_not_zero", "loss_increased", "eigenvalues_apart", "source_and_target_at_equal_time"}
    assert failed <= allowed


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in SHIPPED if needs_no_download(path)], ids=name)
def test_a_shipped_spec_runs_with_smoke(path: Path, tmp_path: Path):
    smoked(path, tmp_path)


@pytest.mark.parametrize("template", starter.TEMPLATES)
def test_each_spec_to_start_from_is_about_its_analysis(template: str, tmp_path: Path):
    starter.write(tmp_path / "mine.yaml", template)
    planned = read(tmp_path / "mine.yaml")
    assert planned.header.name == "mine"
    assert template in {each.kind for run in planned.runs for each in run.cell.analyses.values()}
    assert starter.questions()[template].endswith("?")


@pytest.mark.slow
@pytest.mark.parametrize("template", starter.TEMPLATES)
def test_a_spec_to_start_from_runs_with_smoke(template: str, tmp_path: Path):
    starter.write(tmp_path / "mine.yaml", template)
    smoked(tmp_path / "mine.yaml", tmp_path)


@pytest.mark.parametrize(("file", "called"), [("a b.yaml", "a-b"), ("_x.yaml", "x"), ("é.yaml", "experiment")])
def test_the_spec_to_start_from_takes_the_name_of_its_file(file: str, called: str, tmp_path: Path):
    starter.write(tmp_path / file)
    assert read(tmp_path / file).header.name == called
