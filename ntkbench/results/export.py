"""Write a frame of results as CSV, JSON, LaTeX, Parquet or Excel, with every digit; missing values are empty or null.

`ntkbench export` calls `format_of` for the format, `select_metrics` to select rows, and `export` for the bytes.
"""

import gzip
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from ntkbench import render, text
from ntkbench.errors import UsageError
from ntkbench.labels import ENDS
from ntkbench.results import tables
from ntkbench.results.frame import is_provenance
from ntkbench.spec.extensions import metric

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["csv", "json", "jsonl", "latex", "parquet", "xlsx"]
BINARY: tuple[Format, ...] = ("parquet", "xlsx")
"""formats that are no text"""
_SUFFIXES: Mapping[str, Format] = MappingProxyType(
    {
        "": "csv",
        ".csv": "csv",
        ".json": "json",
        ".jsonl": "jsonl",
        ".tex": "latex",
        ".parquet": "parquet",
        ".xlsx": "xlsx",
    }
)
"""formats by the suffix of the file; without a suffix, and on standard output, CSV"""
_MOST_ROWS = 2**20
"""rows of a sheet of Excel, that of the headers included"""
_MEASURED = ("value", "k", "n", *ENDS)
"""columns of a LaTeX table that hold what was measured"""
_UNPRINTED = ("run_id", "revision", "ci_method", "unit", "higher_is_better", "reason")
"""columns that a LaTeX table leaves out, in addition to provenance"""


def format_of(path: Path | None, said: Format | None = None) -> tuple[Format, bool]:
    """Return the format of a file, by its suffix unless `said` names one, and whether to compress it (`.gz`).

    Raise UsageError if the suffix is unknown and `said` is None.
    """
    suffix = path.suffix.lower() if path else ""
    gzipped = suffix == ".gz"
    if path and gzipped:
        suffix = Path(path.stem).suffix.lower()
    if said is None and suffix not in _SUFFIXES:
        known = ", ".join(filter(None, _SUFFIXES))
        raise UsageError(f"{path}: no table is written as {suffix}; name it {known} or .csv.gz, or add --format")
    return said or _SUFFIXES[suffix], gzipped


def select_metrics(frame: "pd.DataFrame", metrics: Sequence[str]) -> "pd.DataFrame":
    """Return the rows of some metrics, or all rows if none is named. Raise UsageError if a metric has no row."""
    measured = set(frame["metric"].unique())
    for name in metrics:
        if name not in measured and metric(name):
            there = sorted(filter(None, measured))
            raise UsageError(f"no run measures {name}; they measure {', '.join(there) or 'nothing yet'}")
    return frame.loc[frame["metric"].isin(metrics)] if metrics else frame


def export(frame: "pd.DataFrame", form: Format, gzipped: bool = False) -> bytes:
    """Return the content of a file in the format `form`.

    LaTeX tables have the labels that differ between rows, and what was measured. Raise UsageError if what writes
    Parquet or Excel is not installed, or a sheet of Excel has too few rows.
    """
    match form:
        case "parquet":
            content = _parquet(frame)
        case "xlsx":
            content = _xlsx(frame)
        case _:
            content = exact(frame, form).encode()
    return gzip.compress(content, mtime=0) if gzipped else content


def exact(frame: "pd.DataFrame", form: Format) -> str:
    """Return a frame as text with every digit; pandas' own JSON has 15 of the 17 that a number needs."""
    match form:
        case "csv":
            return render.csv_of(frame)
        case "json":
            return json.dumps(_rows(frame), ensure_ascii=False, allow_nan=False, indent=1) + "\n"
        case "jsonl":
            return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in _rows(frame))
    return _latex(frame) + "\n"


def _parquet(frame: "pd.DataFrame") -> bytes:
    """Return the frame as a Parquet file."""
    file = io.BytesIO()
    try:
        frame.to_parquet(file, engine="pyarrow", index=False)
    except ImportError:
        raise UsageError("Parquet files are written by pyarrow; pip install 'ntkbench[parquet]'") from None
    return file.getvalue()


def _xlsx(frame: "pd.DataFrame") -> bytes:
    """Return the frame as the only sheet of an Excel file, in which text is text, whatever it begins with.

    openpyxl takes text that begins with `=` for a formula, and keeps 16 of the 17 digits that a number needs; so the
    type of such cells is set here. `quotePrefix` keeps Excel from computing a text once somebody has edited it.
    """
    if len(frame) >= _MOST_ROWS:
        raise UsageError(f"{len(frame)} rows are more than a sheet of Excel has; write .csv.gz or .parquet")
    file = io.BytesIO()
    plain = frame.astype(object).replace(text.CONTROL, "\N{REPLACEMENT CHARACTER}", regex=True)
    try:
        with tables.pandas().ExcelWriter(file, engine="openpyxl") as writer:
            plain.rename(columns=text.without_control_characters).to_excel(writer, sheet_name="results", index=False)
            for cell in (cell for row in writer.sheets["results"] for cell in row):
                if cell.value == "":
                    cell.value = None
                elif isinstance(cell.value, str):
                    cell.data_type, cell.quotePrefix = "s", render.no_formula(cell.value) != cell.value
                elif cell.data_type == "n" and cell.value is not None:
                    cell.value, cell.data_type = str(cell.value), "n"
    except ImportError:
        raise UsageError("Excel files are written by openpyxl; pip install 'ntkbench[xlsx]'") from None
    return file.getvalue()


def _rows(frame: "pd.DataFrame") -> list[dict]:
    """Return the rows as mappings, with None for missing values."""
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def _latex(frame: "pd.DataFrame") -> str:
    """Return a LaTeX table, after a comment with the labels that all rows share."""
    rows = _rows(frame)
    labels = [name for name in frame if name not in (*_MEASURED, *_UNPRINTED) and not is_provenance(name)]
    varying = [name for name in labels if len({row[name] for row in rows}) > 1]
    columns = [*varying, *_MEASURED]
    body = [["" if row[name] is None else text.one_line(row[name], 200) for name in columns] for row in rows]
    said = ", ".join(f"{name} {rows[0][name]}" for name in labels if name not in varying and rows[0][name] != "")
    return f"% all with {text.one_line(said, 1000)}\n{render.table(columns, body, 'latex')}"
