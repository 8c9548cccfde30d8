"""Make the report of a spec: one HTML page with its tables and figures, how far its runs are, and what failed.

`ntkbench report` writes the page; it reads records and computes no result.
"""

import shlex
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ntkbench.errors import NtkbenchError, UsageError
from ntkbench.plan.runs import Plan, Run
from ntkbench.render import decimal, duration
from ntkbench.results.plots import plot, style, summary, svg
from ntkbench.results.show import BESIDE, HEADLINES, Grid, cell, grid
from ntkbench.results.web import COPYING, as_yaml, webpage
from ntkbench.spec.extensions import in_order
from ntkbench.spec.identity import resolved
from ntkbench.status.forecast import spent_line
from ntkbench.store import kept
from ntkbench.store.record import Record, distinct
from ntkbench.store.store import Store
from ntkbench.vocabulary import checks

_DIGITS = 3
"""digits after the point in the page's tables"""


def report(planned: Plan, store: Store, options: Sequence[str] = ()) -> str:
    """Return the page as HTML. Raise UsageError where the store has no record of the plan's runs.

    `options` are the options of the command line that changed the spec; the page repeats them in its command.
    """
    (records,) = kept.records(store, planned.runs)
    found = {each.run_id: each for each in records}
    if not found:
        raise UsageError(
            f"{planned.file}: {store.root} has no records of its runs; `ntkbench run {planned.file}` makes them"
        )
    figures, undrawn = _figures(planned, store, found.values())
    headlines, others = _tables(planned, list(found.values()))
    return webpage(
        "report.html.j2",
        COPYING,
        header=planned.header,
        command=shlex.join(["ntkbench", "run", planned.file, *options]),
        runs=[(run, _coordinates(run), found.get(run.id)) for run in planned.runs],
        ended=Counter(each.status for each in found.values()).most_common(),
        done=sum(each.status == "ok" for each in found.values()),
        glance=_glance(headlines),
        headlines=headlines,
        others=others,
        mean=lambda row: cell(row, _DIGITS),
        ends=_ends,
        figures=figures,
        undrawn=undrawn,
        checks=_failed_checks(found.values()),
        meanings=checks(),
        told=Counter(told for each in found.values() for told in each.warnings),
        spec=as_yaml(resolved(planned.runs[0].cell)),
        made={name: distinct(found.values(), name) for name in ("software", "jax", "device")},
        took=_duration(found.values()),
        estimated=spent_line(planned, found),
    )


def _coordinates(run: Run) -> str:
    """Return where a run stands in the matrix: `width 64, regime standard`."""
    return ", ".join(f"{axis} {label}" for axis, label in run.coordinates.items())


def _tables(planned: Plan, found: Sequence[Record]) -> tuple[dict[str, Grid], dict[str, Grid]]:
    """Return a table for each metric by its name: first those of the headline metrics, then the others.

    Where no headline metric is measured, all metrics but the majority rate take their place.
    """
    measured = kept.numbers([each for each in found if each.status == "ok"]).metrics
    every = {name: grid(found, [name], planned=planned.runs) for name in in_order(measured)}
    headlines = {name: every[name] for name in HEADLINES if name in every}
    headlines = headlines or {name: table for name, table in every.items() if name != BESIDE}
    return headlines, {name: table for name, table in every.items() if name not in headlines}


def _ends(row: Mapping[str, Any]) -> str:
    """Return the interval over seeds as `[low, high]`; an empty text where there is none."""
    low, high = row["ci_low"], row["ci_high"]
    if low is None or low != low:
        return ""
    return f"[{decimal(low, _DIGITS)}, {decimal(high, _DIGITS)}]"


def _figures(planned: Plan, store: Store, found: Iterable[Record]) -> tuple[list[tuple[Markup, str]], str]:
    """Return the figures as inline SVG with their captions, and an empty text; or none, and why there are none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the page tells which runs are missing
            studies = plot.plotted_analyses([plot.results_of_plan(planned, store, found)], store.records)
            drawn = list(plot.pictures(studies, [study.chosen(()) for study in studies]))
    except NtkbenchError as error:
        return [], str(error)
    with style.applied():
        inline = [
            svg.inline(picture.figure, f"picture-{place}", f"{study.analysis}: {picture.name}")
            for place, (study, picture) in enumerate(drawn)
        ]
    return [(Markup(text), picture.caption) for text, (_, picture) in zip(inline, drawn, strict=True)], ""


def _glance(headlines: Mapping[str, Grid]) -> list[tuple[Markup, str]]:
    """Return the picture of the experiment as inline SVG with its caption; an empty list where no cell has a mean."""
    made = summary.figure(headlines)
    if made is None:
        return []
    with style.applied():
        picture = svg.inline(made, "glance", "the experiment at a glance")
    return [(Markup(picture), "Means over seeds, with 95 % intervals where there are several; the tables are below.")]


def _failed_checks(found: Iterable[Record]) -> list[tuple[str, str, list[tuple[Record, Mapping[str, Any]]]]]:
    """Return the checks that did not hold: analysis, code, and the runs with the details of the check in each."""
    failed: dict[tuple[str, str], list[tuple[Record, Mapping[str, Any]]]] = {}
    for each in found:
        for check in each.failed_checks:
            failed.setdefault((check.analysis or "", check.code), []).append((each, check.detail))
    return [(analysis, code, runs) for (analysis, code), runs in failed.items()]


def _duration(found: Iterable[Record]) -> str:
    """Return a sentence that says when the runs were executed and how long they took."""
    found = list(found)
    seconds = [spent for each in found if isinstance(spent := each.resources.get("wall_s"), (int, float))]
    began, ended = min(each.time.started for each in found), max(each.time.ended for each in found)
    when = f"From {began[:16].replace('T', ' ')} to {ended[:16].replace('T', ' ')} UTC"
    if not seconds:
        return f"{when}."
    span = f"{duration(min(seconds))} to {duration(max(seconds))} a run"
    return f"{when}: {duration(sum(seconds))} for {len(seconds)} runs, {span}."
