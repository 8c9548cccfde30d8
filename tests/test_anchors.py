"""The anchors: numbers that others computed, from the command line."""

import numpy as np
import pytest
from click.testing import CliRunner

from ntkbench.cli.main import cli
from ntkbench.plan.read import read
from ntkbench.store import arrays, lookup
from ntkbench.store.store import Store

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
    planned = read(SPEC)
    for run in planned.runs:
        record = lookup.find(Store(tmp_path), run)
        assert record is not None
        assert all(check.ok for check in record.checks)
        found = {(row.metric, row.where.get("attack")): row.value for row in record.metrics}
        clean, robust, tolerance = KNOWN[run.coordinates["experiment"]]
        assert found["accuracy", None] == pytest.approx(clean, abs=tolerance)
        assert found["robust_accuracy", "fgsm"] == pytest.approx(robust, abs=tolerance)


FEATURES = "specs/anchors/notebook-features.yaml"
"""an independent float64 computation, of 2000 test points; given to three digits"""
SINGLE = {  # index: clean, FGSM 8/255
    0: (0.500, 0.500),
    1: (0.590, 0.442),
    3: (0.709, 0.480),
    10: (0.580, 0.289),
    25: (0.493, 0.096),
    1500: (0.493, 0.000),
}
TRUNCATED = {20: (0.818, 0.615), 100: (0.851, 0.430), 2000: (0.866, 0.012)}


@pytest.mark.data
def test_features_and_truncations(tmp_path, full_data):
    ran = CliRunner().invoke(
        cli, ["run", FEATURES, "--store", str(tmp_path), "--data-dir", str(full_data)], catch_exceptions=False
    )
    assert ran.exit_code == 0, ran.output
    store, (run,) = Store(tmp_path), read(FEATURES).runs
    record = lookup.find(store, run)
    assert record is not None
    assert all(check.ok for check in record.checks if check.code != "eigenvalues_apart")

    def series(name):
        return arrays.read_series(store.records, record, f"eigen.{name}")

    assert series("majority") == 1000
    for name, known in (("feature", SINGLE), ("truncation", TRUNCATED)):
        places = [series(name).tolist().index(key) for key in known]
        found = np.stack([series(f"{name}_clean")[places], series(f"{name}_robust")[0, places]], axis=1) / 2000
        np.testing.assert_allclose(found, list(known.values()), rtol=0, atol=0.001)
