"""Tables of results in the pages are what the records in docs/results give, and so are values within sentences."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ntkbench.cli.main import cli
from ntkbench.plan.read import read
from ntkbench.store import record as records

ROOT = Path(__file__).parent.parent
TEXT = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))))
FINDINGS = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
RESULTS = re.findall(r"<!-- ntkbench (show .*?) -->\n(.*?)<!-- end -->", TEXT, flags=re.DOTALL)


def test_there_are_results():
    assert len(RESULTS) >= 3


@pytest.mark.parametrize(("command", "shown"), RESULTS, ids=[command for command, _ in RESULTS])
def test_results_are_what_the_records_give(monkeypatch, command, shown):
    monkeypatch.chdir(ROOT)
    ran = CliRunner().invoke(cli, shlex.split(command), catch_exceptions=False)
    table = ran.output.split("\n\n")[0]
    assert shown.strip() == table.strip()


def series(record: str, analysis: str) -> dict[str, np.ndarray]:
    """Of an analysis of a committed record."""
    arrays = np.load(ROOT / "docs" / "results" / "records" / f"{record}.npz")
    return {name.rpartition(".")[2]: arrays[name] for name in arrays if name.startswith(f"series/{analysis}.")}


def test_the_notebook_s_values_are_those_of_its_record():
    (record,) = re.findall(r"notebook-features.yaml`, record `(\w+)`", FINDINGS)
    eigen = series(record, "eigen")
    n, k = int(eigen["n_test"]), eigen["truncation"]
    rows = {
        "feature": ([*eigen["feature"]], [*k]),
        "clean": (eigen["feature_clean"] / n, eigen["truncation_clean"] / n),
        "attacked": (eigen["feature_robust"][0] / n, eigen["truncation_robust"][0] / n),
    }
    for name, (singles, sums) in rows.items():
        (line,) = re.findall(rf"^\| {name} \|(.*)\| \|(.*)\|$", FINDINGS, flags=re.MULTILINE)
        of_features, of_sums = (re.findall(r"(?<![\w.])[.]?\d+(?!\d)", part.replace("k90", "")) for part in line)
        assert [float(cell) for cell in of_features] == pytest.approx([float(v) for v in singles], abs=5.1e-4)
        assert [float(cell) for cell in of_sums] == pytest.approx([float(v) for v in sums], abs=5.1e-4)


def test_the_accuracies_at_the_best_time_are_those_of_the_records():
    told, names = re.findall(r"accuracy is ([.\d, and]+) for depths 1, 2 and 3 \(records ([^)]*)\)", FINDINGS)[0]
    values, records = re.findall(r"[.]\d+", told), re.findall(r"`(\w+)`", names)
    for value, record in zip(values, records, strict=True):
        time = series(record, "time")
        robust = time["time_robust"][np.argmin(np.abs(time["eps"] - 8 / 255))]
        assert float(value) == pytest.approx(time["time_clean"][np.argmax(robust)] / time["n_test"], abs=5.1e-4)
    assert len(values) == 3


def test_the_spec_of_the_concepts_is_valid(tmp_path):
    (spec,) = re.findall(
        r"```yaml\n(ntkbench: 1\n.*?)```", (ROOT / "docs" / "concepts.md").read_text("utf-8"), flags=re.DOTALL
    )
    file = tmp_path / "concepts.yaml"
    file.write_text(spec, encoding="utf-8")
    assert len(read(str(file)).runs) == 6


def test_the_certified_radii_are_those_of_the_records():
    rows = re.findall(r"^\| [^|]*, ridge \d+ \|(.*)\| `(\w+)` \|$", FINDINGS, flags=re.MULTILINE)
    for told, record in rows:
        known = records.read(ROOT / "docs" / "results" / "records" / f"{record}.json")
        radii = {
            row.where["bound"]: float(row.value or 0)
            for row in known.metrics
            if row.metric == "certified_radius" and row.where["statistic"] == "median"
        }
        expected = [radii["rkhs"], radii["intervals"], radii["linear"], radii["linear"] / radii["intervals"]]
        assert [float(value) for value in told.split("|")] == pytest.approx(expected, rel=5.1e-3)
    assert len(rows) == 6


def test_the_lines_that_measure_a_network_of_ones_own_run_as_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), flags=re.DOTALL)
    *before, last = [line for line in code.splitlines() if line]
    names: dict[str, Any] = {}
    exec("\n".join(before), names)
    frame = eval(last, names)
    assert {"own", "ntk"} <= set(frame.loc[frame["metric"] == "robust_accuracy", "attack"])
    assert len(before) == 5
