"""Results as tidy pandas frames, for tables and plots of one's own: one row for each number, with all its labels.

    results = frame.records("docs/results", "specs/quickstart.yaml")
    results.query("metric == 'accuracy'").groupby(["width", "target"])["value"].mean()

Labels are texts, and empty where they do not apply, so that `groupby` drops no row; numbers that are not there are
missing (docs/python.md).
"""

import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ntkbench.errors import UsageError
from ntkbench.labels import CHECKS, FIXED, OF_RUN, as_number
from ntkbench.plan.read import read
from ntkbench.plan.runs import Plan
from ntkbench.results import tables
from ntkbench.spec.identity import leaves
from ntkbench.store import kept
from ntkbench.store.record import Record
from ntkbench.store.store import Store, StoreWarning

if TYPE_CHECKING:
    import pandas as pd

File = str | PathLike[str]
"""path of a store, a spec or a leaderboard"""
_PROVENANCE = ("software", "jax", "device", "resources", "time")
"""sections of a record that tell how a number came about"""
_TYPES = {"value": float, "low": float, "high": float, "higher_is_better": "boolean"}
"""pandas types of columns with numbers, kept where values are missing"""
_TYPES |= dict.fromkeys(("revision", "k", "n"), "Int64")


def records(store: File, *specs: File, overrides: Sequence[str] = (), smoke: bool = False) -> "pd.DataFrame":
    """Return the numbers of a store, or of some specs in it; a run without numbers is one row that tells its status.

    Columns: `run_id`, `status` (`missing` if a spec asks for the run and the store does not have it), `spec`, `seed`;
    the axes of the matrix; `analysis`, `metric`, `revision`, `value`, `k`, `n`, `ci_method`, `unit`,
    `higher_is_better`, `reason` (why there is no value), `failed_checks` (the number may mean nothing), `low` and
    `high` (95 % interval over test points); what the number is about (`attack`, `eps`, ...); `attempt`, and provenance
    by its path in the record (`software.commit`, `device.kind`, ...). An axis with one of these names is called
    `cell.NAME`, and what a number is about `where.NAME`.

    `overrides`, `smoke`: as `--set` and `--smoke` on the command line. Records that cannot be read are left out with a
    warning. Raise UsageError if no spec is given and the store has no records.
    """
    folder = Store(Path(store))
    if specs:
        return frame_of_plans(folder, [read(spec, overrides, smoke) for spec in specs])
    found, damaged = kept.every_record(folder)
    for error in damaged:
        warnings.warn(f"{error}; it is left out", StoreWarning, stacklevel=2)
    if not found:
        raise UsageError(f"{store} has no records; `ntkbench run SPEC` makes some, or name another store")
    return _frame(found, tables.runs(found))


def frame_of_plans(store: Store, plans: Sequence[Plan]) -> "pd.DataFrame":
    """Return the same frame as `records`, for specs that have been read."""
    of_plans = kept.records(store, *(planned.runs for planned in plans))
    found = {each.run_id: each for records in of_plans for each in records}
    runs = tables.pandas().concat(
        [tables.runs(found.values(), planned.runs).assign(spec=planned.header.name) for planned in plans],
        ignore_index=True,
    )
    axes = [name for name in runs if name not in OF_RUN]
    return _frame(found.values(), runs.fillna(dict.fromkeys(axes, "")))


def with_numbers(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Return the frame with numbers in place of labels, in those columns of labels where each is a number or empty.

    An empty label becomes a missing number. Where some label is a fraction, and for `eps`, the texts stay beside the
    numbers in the column `<name>_label`.
    """
    fixed = FIXED | {CHECKS}
    for name in [name for name in frame if name not in fixed and not is_provenance(name)]:
        texts = [text for text in frame[name] if text != ""]
        if not texts or any(as_number(str(text)) is None for text in texts):
            continue
        place = list(frame).index(name)
        whole = all(re.fullmatch(r"-?[0-9]{1,15}", str(text)) for text in texts)
        numbers = frame[name].map(lambda text: None if text == "" else as_number(str(text))).astype(float)
        if name == "eps" or any("/" in str(text) for text in texts):
            frame.insert(place + 1, f"{name}_label", frame[name])
        kind = float if not whole else int if len(texts) == len(frame) else "Int64"
        frame = frame.assign(**{name: numbers.astype(kind)})
    return frame


def is_provenance(column: str) -> bool:
    """Return whether a column tells how a number came about, such as `attempt` or `device.kind`."""
    return column == "attempt" or column.startswith(tuple(f"{section}." for section in _PROVENANCE))


def _frame(found: Collection[Record], runs: "pd.DataFrame") -> "pd.DataFrame":
    """Return the numbers of records with their provenance, one row a number."""
    numbers = _typed(tables.numbers(found, runs, keep_empty=True))
    if not found:
        return numbers
    facts = _typed(tables.frame_of([{"run_id": each.run_id, **_provenance(each)} for each in found]))
    beside = facts.set_index("run_id").reindex(numbers["run_id"]).set_axis(numbers.index)
    return tables.pandas().concat([numbers, beside], axis=1)


def _typed(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Return the frame with types that survive missing values."""
    types = {name: kind for name, kind in _TYPES.items() if name in frame}
    facts = {name: frame[name].convert_dtypes() for name in frame if is_provenance(name)}
    return frame.astype(types).assign(**facts)


def _provenance(record: Record) -> dict[str, Any]:
    """Return how a record came about by dotted path."""
    facts = {name: getattr(record, name) for name in _PROVENANCE}
    return {"attempt": record.attempt, **_flat(facts | {"time": record.time.model_dump()})}


def _flat(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested facts as one mapping by dotted path, without lists and empty mappings."""
    return {path: value for path, value in leaves(facts) if not isinstance(value, (list, dict))}
