import csv
import gzip
import io
import json
import sys
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest

from ntkbench.errors import UsageError
from ntkbench.results.export import export, format_of, select_metrics
from ntkbench.results.frame import records
from ntkbench.store import record
from tests.examples.factory import cell, failed, planned, store, valid


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> pd.DataFrame:
    """Of two widths, and of a run that has failed."""
    folder = tmp_path_factory.mktemp("store") / "records"
    for width in (32, 128):
        store(folder, planned(cell(width=width), range(2), width=str(width), regime="50 %_{a}\\b & c"))
    (bad,) = planned(cell(width=7), [0], width="7", regime="")
    record.write(valid(failed(bad)), folder / f"{bad.id}.json")
    return records(folder.parent)


def same(read: pd.DataFrame, rows: pd.DataFrame) -> None:
    """To the last bit, missing values included."""
    assert list(read) == list(rows)
    for name in rows:
        assert plain(read[name]) == plain(rows[name]), name


def plain(column: Any) -> list:
    return column.astype(object).where(column.notna(), None).tolist()


def test_csv_reads_back(rows):
    text = export(rows, "csv").decode()
    assert "nan" not in text.lower()
    assert "<NA>" not in text
    read = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    for name in rows:
        assert read[name].tolist() == ["" if value is None else str(value) for value in plain(rows[name])], name
    assert [float(value) for value in read["value"] if value] == rows["value"].dropna().tolist()


def test_jsonl_reads_back(rows):
    lines = export(rows, "jsonl").decode().splitlines()
    assert len(lines) == len(rows)
    read = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    same(pd.DataFrame(read, dtype=object), rows)
    assert read[0]["value"] == rows["value"].iloc[0]
    assert type(read[0]["n"]) is int


def test_parquet_reads_back_with_its_types(rows):
    read = pd.read_parquet(io.BytesIO(export(rows, "parquet")), engine="pyarrow")
    same(read, rows)
    assert read["k"].dtype == "Int64"
    assert read["value"].dtype == np.float64


def test_parquet_says_what_to_install(rows, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install 'ntkbench\[parquet\]'"):
        export(rows, "parquet")


def test_excel_reads_back_with_every_digit(rows):
    sheet = openpyxl.load_workbook(io.BytesIO(export(rows, "xlsx"))).worksheets[0]
    headers, *cells = sheet.iter_rows(values_only=True)
    assert headers == tuple(rows)
    for name, column in zip(headers, zip(*cells, strict=True), strict=True):
        assert list(column) == [None if value == "" else value for value in plain(rows[name])], name
    kinds = {type(value) for row in cells for value in row}
    assert kinds == {str, int, float, bool, type(None)}


def test_excel_keeps_numbers_that_need_17_digits():
    exact = [0.1 + 0.2, 1e-300, -1 / 3, 5e-324, 2**53 + 1]
    sheet = openpyxl.load_workbook(io.BytesIO(export(pd.DataFrame({"value": exact}, dtype=object), "xlsx"))).worksheets[
        0
    ]
    assert [row[0] for row in sheet.iter_rows(min_row=2, values_only=True)] == exact


def test_excel_has_a_limit_of_rows():
    with pytest.raises(UsageError, match=r"1048576 rows are more than a sheet of Excel has; write .csv.gz or .parquet"):
        export(pd.DataFrame({"n": np.zeros(2**20)}), "xlsx")


def test_excel_says_what_to_install(rows, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "openpyxl"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=r"pip install 'ntkbench\[xlsx\]'"):
        export(rows, "xlsx")


def test_latex_has_what_tells_rows_apart_and_escapes_what_people_wrote(rows):
    one = rows[(rows["metric"] == "transfer_rate") & (rows["attack"] == "ntk") & (rows["width"] != "7")]
    text = export(one, "latex").decode()
    first, *lines = text.splitlines()
    assert first.startswith("% all with status ok, spec synthetic, regime 50 %_{a}\\b & c, analysis transfer")
    headers = next(line for line in lines if "value" in line)
    assert [each.strip() for each in headers.strip(" \\").split("&")] == [
        *("seed", "width", "denominator", "eps", "value", "k", "n", "low", "high")
    ]
    assert str(one["value"].iloc[0]) in text
    assert r"target\_correct" in text
    escaped = export(rows, "latex").decode().partition("\n")[2]
    assert r"50 \%\_\{a\}\textbackslash{}b \& c" in escaped
    assert "None" not in escaped
    assert "nan" not in escaped


def test_metrics_are_chosen_by_name(rows):
    assert set(select_metrics(rows, ["accuracy"])["metric"]) == {"accuracy"}
    assert select_metrics(rows, []) is rows
    with pytest.raises(UsageError, match="did you mean accuracy"):
        select_metrics(rows, ["acuracy"])
    with pytest.raises(UsageError, match=r"no run measures k90; they measure accuracy, normalized_transfer, "):
        select_metrics(rows, ["k90"])


def test_the_file_s_name_tells_its_format(tmp_path):
    names = ("a.csv", "a.json", "a.jsonl", "a.tex", "a.PARQUET", "a.xlsx", "a")
    found = [format_of(tmp_path / name) for name in names]
    assert found == [(form, False) for form in ("csv", "json", "jsonl", "latex", "parquet", "xlsx", "csv")]
    assert format_of(None) == ("csv", False)
    assert format_of(tmp_path / "a.csv.gz") == ("csv", True)
    assert format_of(tmp_path / "a.jsonl.gz") == ("jsonl", True)
    assert format_of(tmp_path / "a.xlsx", "csv") == ("csv", False), "who says a format gets it"


@pytest.mark.parametrize("name", ["a.ods", "a.csv.zip", "a.xls.gz"])
def test_a_name_of_another_format_is_refused(name: str, tmp_path):
    with pytest.raises(UsageError, match=r"no table is written as \.(ods|zip|xls); name it .csv, .json, .jsonl"):
        format_of(tmp_path / name)


def test_json_is_one_list_of_the_same_rows(rows):
    lines = [json.loads(line) for line in export(rows, "jsonl").decode().splitlines()]
    assert json.loads(export(rows, "json")) == lines


def test_a_compressed_table_is_the_same_table(rows):
    assert gzip.decompress(export(rows, "csv", True)) == export(rows, "csv")
    assert export(rows, "csv", True) == export(rows, "csv", True), "whenever it is written"


_FORMULAS = ("=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-x", "-1+1", "\t=1", '=HYPERLINK("https://evil")')
_WIDE = ("\uff1d1+1", "\uff0bx", "\uff0dx", "\uff20SUM(A1)", "\n=1")


@pytest.mark.parametrize("label", [*_FORMULAS, *_WIDE])
def test_no_cell_of_a_table_is_a_formula(label: str):
    frame = pd.DataFrame({label: [label, "-1e-3", "-8/255", "-inf", "plain", None], "n": [-1, 2, 3, 4, 5, 6]})
    rows = list(csv.reader(io.StringIO(export(frame, "csv").decode(), newline="")))
    assert rows[0] == [f"'{label}", "n"]
    assert [row[0] for row in rows[1:]] == [f"'{label}", "-1e-3", "-8/255", "-inf", "plain", ""]
    assert [row[1] for row in rows[1:3]] == ["-1", "2"]


@pytest.mark.parametrize("label", [*_FORMULAS, *_WIDE, "#N/A"])
def test_no_cell_of_a_sheet_is_a_formula(label: str):
    frame = pd.DataFrame({label: [label, "-8/255", "plain\x07", None], "n": [-1, 2, 3, 4]})
    sheet = openpyxl.load_workbook(io.BytesIO(export(frame, "xlsx"))).worksheets[0]
    cells = [row[0] for row in sheet.iter_rows()]
    assert [cell.value for cell in cells] == [label, label, "-8/255", "plain\N{REPLACEMENT CHARACTER}", None]
    assert {cell.data_type for cell in cells[:4]} == {"s"}
    assert [cell.quotePrefix for cell in cells[:3]] == [label != "#N/A", label != "#N/A", False]
    assert [(cell.value, cell.data_type) for cell in list(sheet.columns)[1][1:3]] == [(-1, "n"), (2, "n")]
