"""Checks that failed are told wherever numbers are."""

import csv
import io

import numpy as np

from ntkbench.results import tables
from ntkbench.results.show import show
from ntkbench.store import failed_checks, record
from tests.examples.factory import a_record, cell, outcomes, planned, valid

FAILED = {"code": "gradients_not_zero", "ok": False, "analysis": "transfer", "detail": {"zero": 40, "n": 50}}
RUNS = planned(cell(), range(3))


def records(*checks: dict) -> list[record.Record]:
    """Of three seeds; the first has these checks."""
    made = [a_record(run, outcomes(np.random.default_rng(run.seed))) for run in RUNS]
    made[0]["checks"] = list(checks)
    return [valid(each) for each in made]


def test_a_table_marks_what_rests_on_a_failed_check():
    text = show(records(FAILED))
    assert "(3)†" in text
    assert "† 1 of 3 runs failed checks (gradients\\_not\\_zero in 1), and their numbers may mean nothing" in text
    assert "†" not in show(records({**FAILED, "ok": True}))


def test_a_check_of_another_analysis_marks_nothing_and_is_told():
    text = show(records({**FAILED, "analysis": "other"}))
    assert "(3)†" not in text
    assert "1 of 3 runs failed checks" in text


def test_a_check_of_the_whole_run_counts_for_all():
    (first, *_) = records({name: value for name, value in FAILED.items() if name != "analysis"})
    assert failed_checks.codes(first)("transfer") == ("gradients_not_zero",)


def test_tables_for_machines_count_them():
    rows = list(csv.DictReader(io.StringIO(show(records(FAILED), form="csv"))))
    assert {row["failed_checks"] for row in rows} == {"1"}
    frame = tables.numbers(records(FAILED), tables.runs(records(FAILED)))
    assert set(frame.loc[frame["seed"] == 0, "failed_checks"]) == {"gradients_not_zero"}
    assert set(frame.loc[frame["seed"] != 0, "failed_checks"]) == {""}
