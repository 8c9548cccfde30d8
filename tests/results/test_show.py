import csv
import io
import json

import pytest

from ntkbench.analyses.measurement import Scalar
from ntkbench.errors import UsageError
from ntkbench.results.show import show
from ntkbench.run import recording
from ntkbench.store import record
from ntkbench.uncertainty import summary
from tests.examples.factory import a_record, cell, failed, planned, valid
from tests.results.test_tables import NARROW, RATE, RECORDS, WIDE, records_of

TRANSFER = ("transfer_rate",)


def values(width: str, **about: str) -> list[float]:
    """Straight from the records."""
    return [
        row.value
        for each in RECORDS
        for row in each.metrics
        if each.spec.cell["width"] == width
        and row.value is not None
        and row.metric == about["metric"]
        and about.items() <= {**row.where, "metric": row.metric}.items()
    ]


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_by_default_transfer_rates_by_everything_that_varies_with_budgets_as_columns():
    table = cells(show(RECORDS))
    assert table[0] == ["width", "attack", "eps 2/255", "eps 8/255"]
    assert [row[:2] for row in table[2:]] == [[w, a] for w in ("32", "128") for a in ("noise", "ntk", "own")]
    found = summary(values("128", **RATE), (0.0, 1.0))
    assert table[6][3] == f"{found.mean:.2f} ± {found.sd:.2f} (3)"


def test_one_seed_shows_no_bar():
    text = show(RECORDS[:1], where={"attack": "ntk", "eps": "8/255"})
    assert f"{values('32', **RATE)[0]:.2f} (1)" in text
    assert "± 0" not in text


def test_axes_and_filters_choose_the_table():
    text = show(
        RECORDS, metrics=TRANSFER, where={"attack": "ntk", "eps": "16/510"}, rows=["denominator"], column="width"
    )
    table = cells(text)
    assert table[0] == ["denominator", "width 32", "width 128"]
    assert [row[0] for row in table[2:]] == ["all", r"target\_correct"]
    found = summary(values("32", **RATE), (0.0, 1.0))
    assert table[3][1] == f"{found.mean:.2f} ± {found.sd:.2f} (3)"


def test_several_metrics_become_columns_and_filters_leave_alone_what_they_do_not_concern():
    text = show(RECORDS, metrics=["accuracy", "transfer_rate"], where={"attack": "ntk", "eps": "8/255"}, rows=["width"])
    table = cells(text)
    assert table[0] == ["width", "accuracy", r"transfer\_rate"]
    summaries = [summary(values("32", **about), (0.0, 1.0)) for about in ({"metric": "accuracy"}, RATE)]
    assert table[2] == ["32", *(f"{s.mean:.2f} ± {s.sd:.2f} (3)" for s in summaries)]


def test_a_metric_without_an_axis_that_varies_has_its_own_rows():
    table = cells(show(RECORDS[:3], metrics=["accuracy", "transfer_rate"], where={"eps": "8/255"}))
    assert table[0] == ["attack", "accuracy", r"transfer\_rate"]
    assert [(row[0], bool(row[1]), bool(row[2])) for row in table[2:]] == [
        ("", True, False),
        ("noise", False, True),
        ("ntk", False, True),
        ("own", False, True),
    ]


def test_every_seed_on_its_own():
    table = cells(show(RECORDS, where={"attack": "ntk", "eps": "8/255"}, rows=["width", "seed"]))
    assert [row[:2] for row in table[2:]] == [[w, str(s)] for w in ("32", "128") for s in range(3)]
    assert all(row[2].endswith("(1)") for row in table[2:])


def test_an_incomplete_cell_shows_as_missing():
    records = [*RECORDS[:3], RECORDS[3], valid(failed(WIDE[1]))]
    text = show(records, where={"attack": "ntk"}, planned=[*NARROW, *WIDE])
    table = cells(text)
    assert table[3] == ["128", "– (1/3)", "– (1/3)"]
    assert "(3)" in table[2][1]
    assert "an incomplete cell has no mean" in text


def test_a_plan_without_any_record_is_a_table_of_what_is_missing():
    assert cells(show([], planned=[*NARROW, *WIDE]))[2:] == [["32", "– (0/3)"], ["128", "– (0/3)"]]


def test_csv_and_json_have_every_digit():
    about = {"attack": "ntk", "eps": "8/255"}
    rows = list(csv.DictReader(io.StringIO(show(RECORDS, where=about, form="csv"))))
    found = summary(values("32", **RATE), (0.0, 1.0))
    assert [row["width"] for row in rows] == ["32", "128"]
    assert rows[0]["metric"] == "transfer_rate"
    assert (float(rows[0]["mean"]), float(rows[0]["sd"]), rows[0]["n"]) == (found.mean, found.sd, "3")
    assert (float(rows[0]["ci_low"]), float(rows[0]["ci_high"])) == found.interval
    parsed = json.loads(show(RECORDS, where=about, form="json"))
    assert [(line["mean"], line["sd"], line["n"], line["expected"]) for line in parsed] == [
        (float(row["mean"]), float(row["sd"]), 3, 3) for row in rows
    ]


def test_json_says_null_where_nothing_is():
    parsed = json.loads(show(RECORDS[:2], where={"attack": "ntk"}, planned=NARROW, form="json"))
    assert all((line["mean"], line["n"], line["expected"]) == (None, 2, 3) for line in parsed)


@pytest.mark.parametrize("form", ["md", "latex", "plain"])
def test_captions_say_what_the_numbers_mean(form):
    text = show(RECORDS, form=form).replace("\\_", "_")
    for words in ("transfer_rate (fraction, higher is better)", "denominator target_correct", "over seeds"):
        assert words in text


def test_numbers_of_two_definitions_are_never_mixed():
    def a_run(seed: int, revision: int) -> record.Record:
        (run,) = planned(cell(), [seed])
        row = recording.metric_row("drift", Scalar("lazy_onset", 4.0 + 10 * (revision == 2), {"probe": "clean"}))
        return valid(a_record(run) | {"metrics": [row.model_dump() | {"revision": revision}]})

    old, new = [a_run(0, 1), a_run(1, 1)], [a_run(2, 2)]
    text = show([*old, *new], form="plain")
    assert "– (1/3)" in text, "one of three by the latest definition"
    assert "earlier definition" not in text
    alone = show(old, form="plain")
    assert "4.00 ± 0.00 (2)" in alone
    assert "these are by revision 1, an earlier definition" in alone


def test_what_accuracies_have_to_beat_stands_below_them_and_is_no_row_unless_asked_for():
    def a_run(seed: int, majority: int) -> record.Record:
        (run,) = planned(cell(), [seed])
        shares = [Scalar.share("accuracy", 15, 20, {"target": "self"}), Scalar.share("majority_rate", majority, 20, {})]
        rows = [recording.metric_row("clean", each) for each in shares]
        return valid(a_record(run) | {"metrics": rows})

    records = [a_run(0, 10), a_run(1, 12), a_run(2, 11)]
    text = show(records, form="plain")
    assert "majority_rate" not in text
    assert "always naming the largest class scores 0.5 to 0.6" in text
    assert "scores 0.5\n" in show(records[:1], form="plain")
    assert "0.55 ± 0.05 (3)" in show(records, metrics=["majority_rate"], form="plain")
    assert "largest class scores" not in show(records, metrics=["accuracy", "majority_rate"], form="plain")
    assert "largest class scores" not in show(RECORDS, form="plain"), "no accuracies"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metrics": ["transfer_rat"]}, "did you mean transfer_rate"),
        ({"metrics": ["sign_agreement"]}, "no run measures sign_agreement; they measure accuracy, robust_accuracy"),
        ({"rows": ["widht"]}, "no run has an axis 'widht'; did you mean width"),
        ({"column": "value"}, "no run has an axis 'value'"),
        ({"where": {"eps": "9/255"}}, "no run has eps 9/255; there are 2/255, 8/255"),
        ({"where": {"width": "64"}}, "no run has width 64; there are 32, 128"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(arguments, message):
    with pytest.raises(UsageError, match=message):
        show(RECORDS, **arguments)


def test_nothing_to_show_says_what_to_do():
    with pytest.raises(UsageError, match="ntkbench run SPEC"):
        show([])


def test_labels_of_any_origin_are_escaped():
    runs = planned(cell(), [0], regime="a|b\n<i>") + planned(cell(width=64), [0], regime="plain")
    text = show(records_of((runs, 0.5)), where={"attack": "ntk"})
    assert r"a\|b &lt;i&gt;" in text
    alone = show(records_of((runs[:1], 0.5)), where={"attack": "ntk"}, form="latex")
    assert "regime a|b\N{REPLACEMENT CHARACTER}<i>" in alone
    assert all(len(line.replace(r"\|", "").split("|")) == 5 for line in text.splitlines() if line.startswith("|"))


def test_specs_are_told_apart():
    other = [
        valid(a_record(r) | {"metrics": m, "spec": s})
        for r, m, s in (
            (
                run,
                [row.model_dump(mode="json") for row in each.metrics],
                {**each.spec.model_dump(mode="json"), "name": "other"},
            )
            for run, each in zip(
                planned(cell(width=32, training={"mode": "none"}), range(3), width="32"), RECORDS[:3], strict=True
            )
        )
    ]
    table = cells(show([*RECORDS[:3], *other], where={"attack": "ntk", "eps": "8/255"}))
    assert table[0][0] == "spec"
    assert [row[0] for row in table[2:]] == ["other", "synthetic"]


def test_a_number_without_a_value_is_undefined_and_says_why():
    lacking = {"value": None, "k": 0, "n": 0, "ci95": None, "ci_method": None, "reason": "no test point to count"}
    value = RECORDS[0].model_dump(mode="json", by_alias=True)
    value["metrics"] = [row | lacking for row in value["metrics"]]
    value.pop("sha256", None)
    text = show([valid(value), *RECORDS[1:3]], where={"attack": "ntk"}, planned=NARROW)
    assert cells(text)[2] == ["undefined (1/3)", "undefined (1/3)"]
    assert "undefined (3/5): three of five runs have no value; here no test point to count" in text
    assert "an incomplete cell" not in text


@pytest.mark.parametrize("name", ["mean", "sd", "expected", "ci_low", "failed_checks"])
def test_an_axis_of_a_stranger_may_have_any_name(name: str):
    runs = [*planned(cell(width=32), range(2), **{name: "a"}), *planned(cell(width=64), range(2), **{name: "b"})]
    text = show(records_of((runs, 0.5)), metrics=TRANSFER, where={"attack": "ntk", "eps": "8/255"})
    assert cells(text)[0][0] == f"cell.{name}".replace("_", r"\_")


def test_no_cell_for_a_spreadsheet_is_a_formula():
    runs = [*planned(cell(width=32), [0], regime="=1+1"), *planned(cell(width=64), [0], regime="\uff1d1+1")]
    rows = list(csv.DictReader(io.StringIO(show(records_of((runs, 0.5)), form="csv"))))
    assert {row["regime"] for row in rows} == {"'=1+1", "'\uff1d1+1"}


def test_runs_that_failed_are_told_from_runs_that_are_not_there():
    value = RECORDS[0].model_dump(mode="json", by_alias=True)
    error = {"type": "NumericsError", "message": "the kernel is not finite"}
    value |= {"status": "failed", "metrics": [], "checks": [], "error": error}
    value.pop("sha256", None)
    text = show([valid(value), RECORDS[1]], where={"attack": "ntk"}, planned=NARROW)
    assert "an incomplete cell has no mean; here 1 failed, `ntkbench status` shows why" in text.replace("\\", "")
    assert "failed" not in show(RECORDS[1:3], where={"attack": "ntk"}, planned=NARROW)
