"""The anchors: numbers that others computed, from the command line."""

import pytest
from click.testing import CliRunner

from ntkbench.bench import ledger, plan
from ntkbench.bench.store import Store
from ntkbench.cli import cli

SPEC = "specs/anchors/notebook-fc1.yaml"
KNOWN = {  # an independent float64 computation: clean, FGSM 8/255, and half the last digit that it was given to
    "notebook": (0.82, 0.01, 0.005),
    "more-test": (0.866, 0.0115, 0.0005),
    "depth-3": (0.875, 0.174, 0.0005),
}


@pytest.mark.data
def test_clean_and_robust_accuracy(tmp_path, full_data):
    ran = CliRunner().invoke(
        cli, ["run", SPEC, "--store", str(tmp_path), "--data-dir", str(full_data)], catch_exceptions=False
    )
    assert ran.exit_code == 0, ran.output
    planned = plan.read(SPEC)
    for run in planned.runs:
        record = ledger.find(Store(tmp_path), run)
        assert record is not None
        assert all(check.ok for check in record.checks)
        found = {(row.metric, row.where.get("attack")): row.value for row in record.metrics}
        clean, robust, tolerance = KNOWN[run.coordinates["experiment"]]
        assert found["accuracy", None] == pytest.approx(clean, abs=tolerance)
        assert found["robust_accuracy", "fgsm"] == pytest.approx(robust, abs=tolerance)
