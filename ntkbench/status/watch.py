"""Tell from any terminal how the runs of a plan are getting on: what `ntkbench status` prints, once or again and again.

It only reads the store, so it makes no difference which process executes the runs, and where.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ntkbench.plan.cost import remaining
from ntkbench.plan.runs import Plan
from ntkbench.status.status import PlanStatus, RunningUnit, RunOutcome, instant
from ntkbench.store import groups, lookup
from ntkbench.store.folder import StoreFolder
from ntkbench.store.index import Index
from ntkbench.store.running import Running, find, is_abandoned, running

_SHOWN = 10
"""most lines of one kind that are shown on a screen"""


def status(plan: Plan, store: StoreFolder) -> str:
    """Return failures, running units, counts, failed checks and the speed of a plan, as text."""
    plan_status = _StatusReader(plan, store).look()
    return "\n".join(
        filter(
            None,
            [
                *plan_status.failures(),
                *plan_status.running(),
                plan_status.counts(),
                plan_status.failed_checks(),
                plan_status.pace(),
            ],
        )
    )


def watch(plan: Plan, store: StoreFolder, console: Console, every: float) -> bool:
    """Show how a plan is getting on until every run has ended; return whether all runs are ok.

    A terminal shows one screen that is drawn anew every `every` seconds; a file or a pipe gets a line for each change.
    """
    reader, told, ok = _StatusReader(plan, store), _Told(console), False
    with Live(console=console, auto_refresh=False) if console.is_terminal else nullcontext() as live:
        for plan_status in _sights(reader, every):
            ok = plan_status.is_ok
            if live is None:
                told.tell(plan_status)
            else:
                live.update(Text(_screen(plan_status), overflow="ellipsis", no_wrap=True), refresh=True)
    return ok


def _sights(reader: "_StatusReader", every: float) -> Iterator[PlanStatus]:
    """Yield what is seen every `every` seconds, until all is over.

    It has to look over twice in a row: between two units no process seems to be at work.
    """
    over = 0
    while over < 2:
        yield (plan_status := reader.look())
        over = over + 1 if plan_status.is_over else 0
        if plan_status.is_ok and plan_status.is_over:
            return
        time.sleep(every)


def _screen(plan_status: PlanStatus) -> str:
    """Return one screen: running units, counts, failed checks, speed, and the latest failures."""
    parts = [
        *_first(plan_status.running()),
        plan_status.counts(),
        plan_status.failed_checks(),
        plan_status.pace(),
        *_first(plan_status.failures()[::-1]),
    ]
    return "\n".join(filter(None, parts))


def _first(lines: list[str]) -> list[str]:
    """Return the lines that fit on a screen, the last of which counts the rest."""
    return lines if len(lines) <= _SHOWN else [*lines[: _SHOWN - 1], f"and {len(lines) - _SHOWN + 1} more"]


@dataclass
class _Told:
    """Output for files and pipes: a line is printed when something has changed."""

    console: Console
    before: frozenset[str] = frozenset()
    """lines of the last look"""

    def tell(self, plan_status: PlanStatus) -> None:
        """Print the lines that were not there at the last look; how long a unit has been running is no change."""
        left = (line for unit, line in zip(plan_status.units, plan_status.running(), strict=True) if unit.left)
        lines = {line.partition(", begun ")[0]: line for line in (*plan_status.failures(), *left)}
        lines[plan_status.counts()] = "; ".join(
            filter(None, [plan_status.counts(), plan_status.failed_checks(), plan_status.pace()])
        )
        for line in (line for key, line in lines.items() if key not in self.before):
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        self.before = frozenset(lines)


class _StatusReader:
    """Looks at a plan's store again and again; a record is read again only if its file has changed."""

    def __init__(self, plan: Plan, store: StoreFolder):
        self.plan, self.store = plan, store
        self._index, self._runs = Index.open(store), {run.id for run in plan.runs}

    @cached_property
    def _work(self) -> Mapping[str, float]:
        """Estimated work of each run; it takes most of the time of a large plan, and only what is in progress needs
        it."""
        return remaining.expected(self.plan, groups.cached(self.plan.runs, self.store))

    def look(self) -> PlanStatus:
        """Return what is seen now."""
        # Running units are read first: one that ends in between is then seen twice, not missed.
        units = list(filter(None, map(self._unit, running(self.store))))
        ends = lookup.summaries(self.store, self.plan.runs, self._index)
        outcomes = {id: RunOutcome.of(end) for id, end in ends.items()}
        return PlanStatus(self.plan, outcomes, units, self._work if units else {}, datetime.now(UTC))

    def _unit(self, found: Running) -> RunningUnit | None:
        """Return a unit that is being executed; None if it has no run of the plan, or has ended just now."""
        runs = tuple(sorted((id for id in found.runs if id in self._runs), key=lambda id: id != found.run))
        if not runs:
            return None
        left = is_abandoned(self.store, found)
        if left and find(self.store, found.unit) is None:
            return None
        return RunningUnit(runs, found.doing, instant(found.began), left)
