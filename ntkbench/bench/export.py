"""A frame of results as a file: every digit of every number, and nothing where there is none."""

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ntkbench.bench import jsonfile, render
from ntkbench.bench.frame import is_provenance
from ntkbench.bench.tables import ENDS
from ntkbench.bench.vocabulary import metric
from ntkbench.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["csv", "jsonl", "latex", "parquet"]
_SUFFIXES: dict[str, Format] = {".jsonl": "jsonl", ".tex": "latex", ".parquet": "parquet"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[-+](inf|[\d.][\d.eE+/-]*)?")
_MEASURED = ("value", "k", "n", *ENDS)
_UNPRINTED = ("run_id", "revision", "ci_method", "unit", "higher_is_better", "reason")
"""columns that a printed table does without, as it does without provenance"""


def of_file(path: Path | None) -> Format:
    """The format that a file's name asks for."""
    return _SUFFIXES.get(path.suffix.lower(), "csv") if path else "csv"


def of_metrics(frame: "pd.DataFrame", metrics: Sequence[str]) -> "pd.DataFrame":
    """The rows of some metrics; UsageError if there are none of one."""
    for name in metrics:
        if metric(name).name not in set(frame["metric"]):
            there = sorted(filter(None, set(frame["metric"])))
            raise UsageError(f"no run measures {name}; they measure {', '.join(there) or 'nothing yet'}")
    return frame.loc[frame["metric"].isin(metrics)] if metrics else frame


def export(frame: "pd.DataFrame", form: Format) -> bytes:
    """The content of a file. LaTeX has the columns that tell rows apart and what was measured, one line a row."""
    if form == "parquet":
        return _parquet(frame)
    if form == "csv":
        plain = frame.rename(columns=_no_formula).map(_no_formula)
        return plain.to_csv(index=False, lineterminator="\n").encode()
    if form == "jsonl":
        return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in _rows(frame)).encode()
    return (_latex(frame) + "\n").encode()


def _no_formula(cell: Any) -> Any:
    """A spreadsheet computes what begins like a formula, and a formula can fetch and run; an apostrophe makes it text.

    Numbers stay as they are: no letter, no formula.
    """
    formula = isinstance(cell, str) and cell.startswith(_FORMULA) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if formula else cell


def _parquet(frame: "pd.DataFrame") -> bytes:
    file = io.BytesIO()
    try:
        frame.to_parquet(file, engine="pyarrow", index=False)
    except ImportError:
        raise UsageError("Parquet files are written by pyarrow; pip install 'ntkbench[parquet]'") from None
    return file.getvalue()


def _rows(frame: "pd.DataFrame") -> list[dict]:
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def _latex(frame: "pd.DataFrame") -> str:
    rows = _rows(frame)
    labels = [name for name in frame if name not in (*_MEASURED, *_UNPRINTED) and not is_provenance(name)]
    varying = [name for name in labels if len({row[name] for row in rows}) > 1]
    columns = [*varying, *_MEASURED]
    body = [["" if row[name] is None else jsonfile.printable(row[name], 200) for name in columns] for row in rows]
    said = ", ".join(f"{name} {rows[0][name]}" for name in labels if name not in varying and rows[0][name] != "")
    return f"% all with {jsonfile.printable(said, 1000)}\n{render.table(columns, body, 'latex')}"
