"""Records -> tidy frames -> summaries over seeds. Never a mean over anything but seeds."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ntkbench.bench import unmet
from ntkbench.bench.labels import CHECKS, ENDS, FIXED, OF_NUMBER, OF_RUN, SUMMARY
from ntkbench.bench.plan import Run
from ntkbench.bench.record import Record
from ntkbench.bench.statistics import summary
from ntkbench.bench.vocabulary import bounds
from ntkbench.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

LABELS = ("analysis", "metric", "ci_method", "unit", "reason", CHECKS)


def runs(records: Iterable[Record], planned: Sequence[Run] | None = None) -> "pd.DataFrame":
    """One row a run: id, status, spec, seed, and its coordinates as columns of strings.

    With a plan its runs and their coordinates count, and status `missing` stands for a run without a record.
    """
    import pandas as pd

    found = {record.run_id: record for record in records}
    if planned is None:
        rows = [
            {"run_id": r.run_id, "status": r.status, "spec": r.spec.name, "seed": r.spec.seed, **_axes(r.spec.cell)}
            for r in found.values()
        ]
    else:
        rows = [
            {"run_id": p.id, "status": found[p.id].status if p.id in found else "missing", "spec": "", "seed": p.seed}
            | _axes(p.coordinates)
            for p in planned
        ]
    axes = sorted({name for row in rows for name in row} - set(OF_RUN))
    return pd.DataFrame(rows, columns=[*OF_RUN, *axes]).fillna(dict.fromkeys(axes, ""))


def numbers(records: Iterable[Record], of: "pd.DataFrame", *, keep_empty: bool = False) -> "pd.DataFrame":
    """One row a number of the ok runs among `of` (see `runs`), whose columns come first, then `where` flattened.

    `keep_empty`: a run without numbers is a row, too, in which their columns are empty.
    """
    import pandas as pd

    ok = set(of.loc[of["status"] == "ok", "run_id"])
    rows, where = [], set()
    for record in (record for record in records if record.run_id in ok):
        failed = unmet.codes(record)
        for row in record.metrics:
            about = {_beside(of, name): str(value) for name, value in row.where.items()}
            where |= set(about)
            low, high = row.ci95 or (None, None)
            fixed = {name: getattr(row, name) for name in OF_NUMBER} | {CHECKS: ", ".join(failed(row.analysis))}
            rows.append({"run_id": record.run_id, **fixed, "low": low, "high": high, **about})
    frame = pd.DataFrame(rows, columns=["run_id", *OF_NUMBER, CHECKS, *ENDS, *sorted(where)])
    merged = of.merge(frame, on="run_id", how="left" if keep_empty else "inner")
    return merged.fillna(dict.fromkeys((*where, *LABELS), ""))


def aggregate(numbers: "pd.DataFrame", runs: "pd.DataFrame", axes: Sequence[str]) -> "pd.DataFrame":
    """Mean, sd, n and interval over the seeds of every cell of the axes; nothing for an incomplete cell.

    A cell is `undefined` in so many of its runs that are ok and have no value, with the `reason` of the first.
    """
    import pandas as pd

    outer = [axis for axis in axes if axis in runs]
    inner = [axis for axis in axes if axis not in runs]
    found = groups(numbers, [*outer, *inner]) if len(numbers) else {}
    measured = list(groups(numbers, inner)) if len(numbers) else [("",) * len(inner)]
    rows = []
    for cell, members in groups(runs, outer).items():
        _only_seeds(members, dict(zip(outer, cell, strict=True)))
        for what in measured:
            here = found.get((*cell, *what))
            if here is None and "ok" in set(members["status"]):
                continue  # these runs are done and do not measure it
            labels = dict(zip([*outer, *inner], (*cell, *what), strict=True))
            failed = {CHECKS: 0 if here is None else sum(map(bool, here[CHECKS].tolist()))}
            rows.append(labels | _summary(here, len(members)) | failed)
    return pd.DataFrame(rows, columns=[*outer, *inner, *SUMMARY])


def groups(frame: "pd.DataFrame", axes: Sequence[str]) -> dict[tuple, "pd.DataFrame"]:
    """Labels along the axes -> the rows that carry them."""
    if not axes:
        return {(): frame}
    return {key if isinstance(key, tuple) else (key,): part for key, part in frame.groupby(list(axes), sort=False)}


def _beside(of: "pd.DataFrame", name: str) -> str:
    return f"where.{name}" if name in FIXED or name in of else name


def _axes(coordinates: Mapping[str, str]) -> dict[str, str]:
    """Columns for the coordinates, out of the way of the fixed ones."""
    return {f"cell.{name}" if name in FIXED else name: label for name, label in coordinates.items()}


def _summary(here: "pd.DataFrame | None", expected: int) -> dict[str, Any]:
    values = [] if here is None else here["value"].dropna().tolist()
    if len(values) < expected:
        lacking = [] if here is None else here.loc[here["value"].isna(), "reason"].tolist()
        said = {"undefined": len(lacking), "reason": lacking[0]} if lacking else {"undefined": 0, "reason": ""}
        return {"n": len(values), "expected": expected, **said}
    assert here is not None
    of_seeds = summary(values, bounds(here["metric"].iloc[0]))
    low, high = of_seeds.interval or (None, None)
    return {
        "mean": of_seeds.mean,
        "sd": of_seeds.sd,
        "n": of_seeds.n,
        "expected": expected,
        "ci_low": low,
        "ci_high": high,
        "undefined": 0,
        "reason": "",
    }


def _only_seeds(members: "pd.DataFrame", cell: Mapping[str, str]) -> None:
    twice = members.loc[members["seed"].duplicated(keep=False)].sort_values(["seed", "run_id"])
    if len(twice):
        place = ", ".join(f"{axis} {label}" for axis, label in cell.items()) or "this table"
        first, second = twice["run_id"][:2]
        raise UsageError(
            f"{place}: runs {first} and {second} are different experiments with the same seed, and their mean "
            "would mean nothing; add the axis that tells them apart, or name the spec whose runs to show"
        )
