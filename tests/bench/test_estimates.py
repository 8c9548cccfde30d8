"""Estimates beside what was measured, one spec at a time; `benchmarks/estimates.py` tells how."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.estimates import MEASURED, Measurement, of_process, recorded

FACTOR = 2
RECORDS = Path(__file__).parents[2] / "docs" / "results" / "records"
ENTRIES = json.loads(MEASURED.read_text())
SLOWED = {
    "anchors/notebook-fc1",
}
"""specs whose records were made beside other work: the same stages alone, in `estimates.json`, take less than half"""


def name(entry: dict[str, Any]) -> str:
    return f"{entry['spec']} {' '.join(entry['set'])}{' --smoke' * entry['smoke']} on {entry['cores']}"


def near(ratio: float) -> bool:
    return 1 / FACTOR <= ratio <= FACTOR


@pytest.mark.parametrize("entry", ENTRIES, ids=name)
def test_an_estimate_is_within_a_factor_of_two(entry: dict[str, Any]):
    found = of_process(entry)
    assert len(found.parts) > 1
    assert near(found.time_ratio), f"{found.time_ratio:.2f} of the time; by kind of stage: {found.kinds()}"
    assert near(found.memory_ratio), f"{found.memory_ratio:.2f} of the memory"


@pytest.fixture(scope="module")
def records() -> Iterator[dict[str, Measurement]]:
    return {each.name: each for each in recorded(RECORDS)}


def test_memory_is_within_a_factor_of_two_of_the_records(records: dict[str, Measurement]):
    assert len(records) > 15
    assert {spec: each.memory_ratio for spec, each in records.items() if not near(each.memory_ratio)} == {}


def test_time_is_within_a_factor_of_two_of_records_of_machines_that_did_nothing_else(records: dict[str, Measurement]):
    assert {spec for spec, each in records.items() if not near(each.time_ratio)} == SLOWED
    assert all(records[spec].time_ratio < 1 for spec in SLOWED)
    measured = {entry["spec"] for entry in ENTRIES}
    assert {f"specs/{spec}.yaml" for spec in SLOWED} <= measured
