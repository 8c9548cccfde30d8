"""Small experiments that once went wrong, each with its right answer."""

import re
from pathlib import Path

import pytest

from ntkbench.bench import ledger, plan
from ntkbench.bench.store import Store
from tests.bench import tiny

SPECS = Path(__file__).parent / "specs"


@pytest.mark.slow
def test_a_time_limit_is_kept_where_epochs_are_slow(tmp_path: Path):
    planned, store = plan.read(SPECS / "timeout.yaml"), Store(tmp_path / "runs")
    tiny.run(planned, store)
    (found,) = ledger.records(store, planned.runs)
    assert found.status == "timeout"
    assert found.error is not None
    told = re.fullmatch(
        r"(epoch ([\d.]+) of 400, .*|beginning): longer than run\.timeout, 10 s a run", found.error.message
    )
    assert told, found.error.message
    assert float(told[2] or 0) < 50, "it was looked at before the first checkpoint was due"
