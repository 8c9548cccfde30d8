import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkbench.errors import UsageError
from ntkbench.labels import as_number, label_key
from ntkbench.results import tables
from ntkbench.spec.extensions import bounds
from ntkbench.uncertainty import summary
from tests.examples.factory import a_record, cell, failed, outcomes, planned, valid


def records_of(*parts):
    """(runs, rate) pairs -> valid records."""
    return [
        valid(a_record(run, outcomes(np.random.default_rng(run.seed), rate=rate)))
        for runs, rate in parts
        for run in runs
    ]


NARROW, WIDE = planned(cell(width=32), range(3), width="32"), planned(cell(width=128), range(3), width="128")
RECORDS = records_of((NARROW, 0.2), (WIDE, 0.8))
RATE = {"metric": "transfer_rate", "attack": "ntk", "eps": "8/255", "denominator": "target_correct"}


def picked(frame: pd.DataFrame, **labels: str | int) -> pd.DataFrame:
    for name, label in labels.items():
        frame = frame.loc[frame[name] == label]
    return frame


def test_one_row_a_number_with_its_coordinates_and_what_it_is_about():
    runs = tables.runs(RECORDS)
    frame = tables.numbers(RECORDS, runs)
    assert len(frame) == sum(len(each.metrics) for each in RECORDS)
    row = picked(frame, width="128", seed=1, **RATE).to_dict("records")
    about = RATE | {"target": "self", "source": "limit"}
    (original,) = [row for row in RECORDS[4].metrics if {**row.where, "metric": row.metric} == about]
    assert len(row) == 1
    assert (row[0]["run_id"], row[0]["value"], row[0]["k"]) == (WIDE[1].id, original.value, original.k)
    assert (row[0]["low"], row[0]["high"]) == original.ci95
    assert set(picked(frame, metric="accuracy")["eps"]) == {""}


def test_the_mean_is_over_seeds_alone():
    runs = tables.runs(RECORDS)
    frame = picked(tables.numbers(RECORDS, runs), **RATE)
    for row in tables.aggregate(frame, runs, ["width"]).to_dict("records"):
        values = picked(frame, width=row["width"])["value"].tolist()
        found = summary(values, (0.0, 1.0))
        assert (row["mean"], row["sd"], row["n"], row["expected"]) == (found.mean, found.sd, 3, 3)
        assert (row["ci_low"], row["ci_high"]) == found.interval


def test_cells_with_other_metrics_and_other_numbers_of_seeds_are_each_summarized_by_themselves():
    records = [*RECORDS[:3], *RECORDS[4:]]
    runs = tables.runs(records)
    frame = tables.numbers(records, runs)
    axes = ["width", *RATE, "target", "source"]
    rows = tables.aggregate(frame, runs, axes).to_dict("records")
    assert {(row["metric"] == "transfer_rate", row["n"]) for row in rows} == {
        (a, n) for a in (True, False) for n in (2, 3)
    }
    for row in rows:
        values = picked(frame, **{axis: row[axis] for axis in axes})["value"].tolist()
        found = summary(values, bounds(row["metric"]))
        assert (row["mean"], row["sd"], row["n"]) == (found.mean, found.sd, row["expected"])
        assert (row["ci_low"], row["ci_high"]) == found.interval


def test_a_mean_over_different_experiments_is_refused():
    runs = tables.runs(RECORDS)
    with pytest.raises(UsageError, match=r"this table: runs r.* and r.* are different experiments"):
        tables.aggregate(picked(tables.numbers(RECORDS, runs), **RATE), runs, ["eps"])


def test_an_old_experiment_with_the_same_coordinates_is_not_mixed_in_unless_a_plan_tells_them_apart():
    old = planned(cell(width=32, training={"mode": "standard", "epochs": 99}), range(3), width="32")
    records = [*records_of((old, 0.9)), *RECORDS]
    runs = tables.runs(records)
    with pytest.raises(UsageError, match="width 32: runs"):
        tables.aggregate(tables.numbers(records, runs), runs, ["width", *RATE])
    runs = tables.runs(records, [*NARROW, *WIDE])
    assert set(runs["run_id"]) == {run.id for run in (*NARROW, *WIDE)}
    assert len(tables.numbers(records, runs)) == len(tables.numbers(RECORDS, tables.runs(RECORDS)))


@pytest.mark.parametrize("status", ["failed", "diverged", "timeout", "oom", "interrupted", "missing"])
def test_an_incomplete_cell_has_no_mean(status):
    rest = [] if status == "missing" else [valid(failed(WIDE[0], status))]
    records = [*records_of((NARROW, 0.2), (WIDE[1:], 0.8)), *rest]
    runs = tables.runs(records, [*NARROW, *WIDE])
    summary = tables.aggregate(picked(tables.numbers(records, runs), **RATE), runs, ["width", "eps"])
    assert summary["mean"].notna().tolist() == [True, False]
    assert summary[["n", "expected"]].to_numpy().tolist() == [[3, 3], [2, 3]]


def test_a_number_that_is_null_in_one_seed_makes_the_cell_incomplete():
    columns = outcomes(np.random.default_rng(0))
    value = a_record(NARROW[0], columns)
    value["metrics"] = [
        row | {"value": None, "k": None, "ci95": None, "ci_method": None, "reason": "none"} for row in value["metrics"]
    ]
    records = [valid(value), *records_of((NARROW[1:], 0.2))]
    runs = tables.runs(records)
    summary = tables.aggregate(picked(tables.numbers(records, runs), **RATE), runs, ["width"])
    assert summary[["n", "expected"]].to_numpy().tolist() == [[2, 3]]
    assert set(summary["mean"].isna()) == {True}


def test_what_a_finished_cell_does_not_measure_is_no_row_and_an_unfinished_one_is():
    bare = [valid(a_record(run)) for run in WIDE]
    for records, expected in (([*RECORDS[:3], *bare], ["32"]), (RECORDS[:3], ["32", "128"])):
        runs = tables.runs(records, [*NARROW, *WIDE])
        summary = tables.aggregate(picked(tables.numbers(records, runs), **RATE), runs, ["width", "eps"])
        assert summary["width"].tolist() == expected


def test_names_that_collide_keep_apart():
    runs = planned(cell(), [0], attack="mine", value="7")
    records = records_of((runs, 0.5))
    frame = tables.numbers(records, tables.runs(records))
    assert set(frame["attack"]) == {"mine"}
    assert set(frame["cell.value"]) == {"7"}
    assert set(frame["where.attack"]) == {"", "ntk", "own", "noise"}


def test_labels_sort_by_value():
    labels = ["512", "32", "inf", "8/255", "128", "1e-3", "fc", "1/10", "0.5", "nan", "1e400", "9" * 400 + "/3"]
    relative = ["2/sqrt(d)", "1/4/sqrt(d)", "1/2/sqrt(d)", "10/sqrt(d)"]
    assert sorted(relative, key=label_key) == ["1/4/sqrt(d)", "1/2/sqrt(d)", "2/sqrt(d)", "10/sqrt(d)"]
    assert sorted(labels, key=label_key)[:6] == ["1e-3", "8/255", "1/10", "0.5", "32", "128"]
    assert as_number("8/255") == as_number("16/510")
    assert as_number("1/0") is as_number("fc") is as_number("nan") is None


@given(st.lists(st.text(max_size=8)))
def test_any_labels_sort(labels):
    assert sorted(sorted(labels, key=label_key, reverse=True), key=label_key) == sorted(labels, key=label_key)
