"""Draw the results of specs: choose the analyses, and write one file for each picture with its caption beside it.

`ntkbench plot` calls `plot`; the report of a spec takes the figures of `pictures`. The submodules of `plots` draw one
kind of analysis each.
"""

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ntkbench.errors import NtkbenchError, UsageError
from ntkbench.labels import as_number, label_key
from ntkbench.plan.runs import Plan, Run
from ntkbench.results.plots import consistency, drift, eigenspace, style, time_course, transfer, transfer_matrix
from ntkbench.results.plots.robustness import accuracy, certificate, label_flips
from ntkbench.results.plots.series import check
from ntkbench.results.plots.study import Panel, Picture, PlottedAnalysis, asked
from ntkbench.spec.extensions import installed
from ntkbench.store import arrays, lookup, record
from ntkbench.store.record import Record
from ntkbench.store.store import Store
from ntkbench.text import did_you_mean, one_line
from ntkbench.vocabulary import Metric

DRAWN: Mapping[str, Callable[[PlottedAnalysis, Sequence[str]], Iterator[Picture]]] = MappingProxyType(
    {
        "accuracy": accuracy.pictures,
        "eigenspace": eigenspace.pictures,
        "time": time_course.pictures,
        "consistency": consistency.pictures,
        "certificate": certificate.pictures,
        "transfer": transfer.pictures,
        "transfer_matrix": transfer_matrix.pictures,
        "drift": drift.pictures,
        "label_flips": label_flips.pictures,
    }
)
"""function that draws the pictures of an analysis, by the analysis' kind"""
_WIDE = 24
"""most characters of a label in a picture"""
_LONGEST = 120
"""most characters of a file name's part that people chose; file systems take 255 bytes"""


@dataclass(frozen=True)
class DrawnRecords:
    """The ok records of a spec, each with the coordinates of its cell in the matrix."""

    spec: str
    """name of the spec"""
    found: tuple[tuple[Record, Mapping[str, str]], ...]
    planned: Sequence[Run] | None = None
    """all runs of the spec, done or not; None where only records are known"""


def results_of_plan(planned: Plan, store: Store, records: Iterable[Record] | None = None) -> DrawnRecords:
    """Return the results that a store has of a plan.

    `records`: those of the plan's runs, if they have been read before. Warn where some runs are not done; raise
    UsageError where none is.
    """
    known = lookup.records(store, planned.runs) if records is None else records
    ok = {each.run_id: each for each in known if each.status == "ok"}
    done = [run for run in planned.runs if run.id in ok]
    if not done:
        raise UsageError(
            f"{planned.file}: {store.root} has none of its results; `ntkbench run {planned.file}` makes them, "
            "`ntkbench status` tells why one is not there"
        )
    if left := len(planned.runs) - len(done):
        warnings.warn(f"{planned.file}: {left} of {len(planned.runs)} runs are not done, and not drawn", stacklevel=2)
    found = tuple((ok[run.id], run.coordinates) for run in done)
    return DrawnRecords(planned.header.name, found, planned.runs)


def results_of_store(store: Store) -> list[DrawnRecords]:
    """Return all results of a store, grouped by the names of specs.

    Warn of damaged records, which are left out; raise UsageError where no run is ok.
    """
    records, damaged = record.read_all(store.records)
    for error in damaged:
        warnings.warn(f"{error}; it is left out", stacklevel=2)
    done = sorted((each for each in records if each.status == "ok"), key=_order)
    if not done:
        raise UsageError(f"{store.root} has no results; `ntkbench run SPEC` makes some, or name another with --store")
    return [
        DrawnRecords(spec, tuple((each, each.spec.cell) for each in members))
        for spec, members in groupby(done, key=lambda each: each.spec.name)
    ]


def _order(each: Record) -> tuple:
    """Return a sort key: spec, labels (numbers by value), seed."""
    return each.spec.name, [(axis, label_key(label)) for axis, label in sorted(each.spec.cell.items())], each.spec.seed


def plot(
    results: Iterable[DrawnRecords],
    folder: Path,
    output: Path,
    *,
    form: str = "png",
    analyses: Sequence[str] = (),
    budgets: Sequence[str] = (),
) -> list[Path]:
    """Draw the pictures of some results and return the files written; each has a caption in a `.txt` file beside it.

    Raise UsageError where there is nothing to draw, or where an analysis or a budget asked for does not exist.

    Args:
        results: what is drawn.
        folder: the folder of the records, in which their arrays lie.
        output: the folder to write to, made if it is not there.
        form: file format, one of `look.FORMATS`.
        analyses: ids of the analyses to draw; all that have pictures by default.
        budgets: perturbation budgets of pictures under attack; the largest one by default.
    """
    return save(drawings(results, folder, analyses, budgets), output, form)


@dataclass(frozen=True)
class Drawing:
    """A picture with the analysis that it shows."""

    study: PlottedAnalysis
    picture: Picture


def drawings(
    results: Iterable[DrawnRecords], folder: Path, analyses: Sequence[str] = (), budgets: Sequence[str] = ()
) -> list[Drawing]:
    """Return the pictures of some results; parameters and errors are those of `plot`."""
    found = plotted_analyses(list(results), folder, analyses)
    chosen = [study.chosen(budgets) for study in found]  # all mistakes show before the first picture
    made = [Drawing(study, picture) for study, picture in pictures(found, chosen)]
    if not made:
        raise UsageError(
            "no cell of the matrix has all its runs with a number each, or no attack is measured; `ntkbench status` "
            "shows which runs are missing, and `ntkbench show` which numbers are undefined"
        )
    return made


def save(drawings: Sequence[Drawing], output: Path, form: str = "png") -> list[Path]:
    """Write pictures into the folder `output`, each with its caption beside it; return the files of the pictures."""
    output.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for study, picture in ((each.study, each.picture) for each in drawings):
        path = output / f"{_slug(study.spec, study.analysis, picture.name)}.{form}"
        if path in written:  # other signs between the same letters
            path = path.with_stem(f"{path.stem}-{len(written)}")
        style.save(picture.figure, path)
        path.with_suffix(".txt").write_text(picture.caption + "\n", encoding="utf-8")
        written.append(path)
    return written


def pictures(
    found: Sequence[PlottedAnalysis], budgets: Sequence[Sequence[str]]
) -> Iterator[tuple[PlottedAnalysis, Picture]]:
    """Yield each study with each of its pictures; `budgets` holds the perturbation budgets of each study."""
    for study, eps in zip(found, budgets, strict=True):
        with style.applied(), _naming_the_runs(study):
            for picture in _pictures(study, eps):
                yield study, picture


def _pictures(study: PlottedAnalysis, eps: Sequence[str]) -> Iterator[Picture]:
    """Return the pictures of a study: those of its kind, or of the metrics that the class of its kind declares."""
    return DRAWN[study.kind](study, eps) if study.kind in DRAWN else transfer.declared(study, _declared()[study.kind])


def _declared() -> Mapping[str, tuple[Metric, ...]]:
    """Return the metrics that analyses of installed packages declare, by the kinds of these analyses."""
    return {each.kind: found for each in installed("analyses") if (found := getattr(each.model, "metrics", ()))}


@contextmanager
def _naming_the_runs(study: PlottedAnalysis) -> Iterator[None]:
    """Turn an error while drawing into a NtkbenchError that names the runs.

    Records may have been made by anybody. What `forms.check` does not notice shows here, and is a fault of the record.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        runs = ", ".join(panel.record.run_id for panel in study.panels[:3])
        why = one_line(f"{type(error).__name__}: {error}", 200)
        raise NtkbenchError(
            f"{study.spec}: {study.analysis} of {runs} cannot be drawn, as its arrays or its cell are not what "
            f"an analysis of the kind {study.kind} leaves ({why}); run the spec again in a new store"
        ) from error


def plotted_analyses(
    results: Sequence[DrawnRecords], folder: Path, analyses: Sequence[str] = ()
) -> list[PlottedAnalysis]:
    """Return one study for each spec and analysis that has pictures, with the arrays loaded.

    Raise UsageError where an analysis asked for does not exist, or where none of them has pictures. `folder` and
    `analyses` are those of `plot`.
    """
    kinds = [(each, id, kind) for each in results for id, kind in _kinds(each).items()]
    there = list(dict.fromkeys(id for _, id, _ in kinds))
    for id in analyses:
        if id not in there:
            raise UsageError(f"no run has an analysis {id!r}{did_you_mean(id, there)}; there are {', '.join(there)}")
    wanted = [(each, id, kind) for each, id, kind in kinds if not analyses or id in analyses]
    drawn = [(each, id, kind) for each, id, kind in wanted if kind in DRAWN or kind in _declared()]
    if not drawn:
        raise UsageError(
            f"there is nothing to draw: {', '.join(f'{id} ({kind})' for _, id, kind in wanted)}; the analyses with "
            f"pictures are of the kinds {', '.join([*DRAWN, *_declared()])}"
        )
    return [
        PlottedAnalysis(each.spec, id, kind, tuple(_panels(each, id, kind, folder)), each.planned)
        for each, id, kind in drawn
    ]


def _kinds(results: DrawnRecords) -> dict[str, str]:
    """Return the kinds of the analyses of all cells by their ids, in the order of the spec."""
    return {id: kind for each, _ in results.found for id in _analyses(each) if (kind := _kind(each, id)) is not None}


def _panels(results: DrawnRecords, id: str, kind: str, folder: Path) -> Iterator[Panel]:
    """Yield the runs that have an analysis of this id and kind, labelled by what tells their cells apart.

    Labels are shortened only where they stay distinct.
    """
    found = [(each, cell) for each, cell in results.found if _kind(each, id) == kind]
    cells = [cell for _, cell in found]
    short = [{axis: _short(text) for axis, text in cell.items()} for cell in cells]
    distinct = len({tuple(cell.items()) for cell in short}) == len({tuple(cell.items()) for cell in cells})
    shown = short if distinct else cells
    labels = [style.plain(_label(cell, shown)) for cell in shown]
    several = len({each.spec.seed for each, _ in found}) > 1
    for (each, _), label in zip(found, labels, strict=True):
        whole = ", ".join(filter(None, (label, f"seed {each.spec.seed}" if several else "")))
        series = arrays.read_analysis(folder, each, id)
        check(kind, series, f"run {each.run_id}, analysis {id}")
        yield Panel(label, whole, id, each, series, _labels(folder, each) if "picture_test" in series else None)


def _labels(folder: Path, each: Record) -> np.ndarray | None:
    """Return the true classes of the test points of a run, as numbers from 0 on; None where it kept none."""
    known = each.samples is not None and "label" in each.samples.columns
    return arrays.read_samples(folder, each)["label"] if known else None


def _kind(each: Record, id: str) -> str | None:
    """Return the kind of an analysis of a record, or None where the record has no such analysis."""
    analysis = _analyses(each).get(id)
    kind = analysis.get("kind") if isinstance(analysis, Mapping) else None
    return kind if isinstance(kind, str) else None


def _analyses(each: Record) -> Mapping[str, Any]:
    """Return the analyses that a record asked for; empty where a foreign record has something else in their place."""
    found = asked(each).get("analyses")
    return found if isinstance(found, Mapping) else {}


def _label(cell: Mapping[str, str], cells: Sequence[Mapping[str, str]]) -> str:
    """Return the labels in which a cell differs from the others: words alone, numbers behind the name of their axis."""
    varying = {axis: label for axis, label in cell.items() if any(other.get(axis) != label for other in cells)}
    return ", ".join(
        label if as_number(label) is None else f"{axis.rpartition('.')[2]} {label}" for axis, label in varying.items()
    )


def _short(text: str) -> str:
    """Return a label, or the two ends of one that is too long for a picture."""
    return text if len(text) <= _WIDE else f"{text[: _WIDE // 2]}…{text[-_WIDE // 2 + 1 :]}"


def _slug(*names: str) -> str:
    """Return a file name made of some names; a long one is cut, and a checksum of the whole is added."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", "-".join(names)).strip("-")
    if len(name) <= _LONGEST:
        return name
    return f"{name[:_LONGEST].strip('-')}-{sha256(name.encode()).hexdigest()[:8]}"
