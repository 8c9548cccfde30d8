"""The state of a plan at one moment as text: what has ended, what is in progress, the speed, the estimated end.

`watch.py` takes one `PlanStatus` for `ntkbench status`, and one after another for `ntkbench watch`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ntkbench.plan.cost import remaining
from ntkbench.plan.runs import Plan, label
from ntkbench.render import duration
from ntkbench.store.failed_checks import line
from ntkbench.store.index import RunSummary
from ntkbench.store.record import Status
from ntkbench.text import one_line

_RECENT = 20
"""runs that ended last, from which the recent speed is taken"""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR = 365 * 86400.0
"""seconds of 365 days"""


def instant(text: str) -> datetime:
    """Return a moment as records write it; the Unix epoch where the text is no moment, or an earlier one."""
    try:
        return max(_EPOCH, datetime.fromisoformat(text))
    except ValueError:
        return _EPOCH


@dataclass(frozen=True)
class RunOutcome:
    """The end of a run: its status, and from when to when it was worked on."""

    status: Status
    reason: str
    """the error in one line; empty if the run is ok"""
    began: datetime
    ended: datetime
    failed_checks: int = 0

    @classmethod
    def of(cls, end: RunSummary) -> "RunOutcome":
        """Return the outcome that a record tells; the time of the training that it shares counts before its start."""
        ended, before = instant(end.ended), min(max(0.0, end.trained_s), _YEAR)
        began = instant(end.started) - timedelta(seconds=before)
        return cls(end.status, one_line(end.error or "", 200), min(began, ended), ended, end.failed_checks)


@dataclass(frozen=True)
class RunningUnit:
    """Runs of the plan that a process is working on."""

    runs: tuple[str, ...]
    """ids, that of the run in progress first"""
    doing: str
    began: datetime
    left: bool = False
    """whether the process has died"""


@dataclass(frozen=True)
class PlanStatus:
    """A plan at one moment. No span of time is negative, whatever the clocks of machines say."""

    plan: Plan
    outcomes: Mapping[str, RunOutcome]
    """by run id, of the runs with a record"""
    units: Sequence[RunningUnit]
    work: Mapping[str, float]
    """of each run by id, in seconds of an ordinary machine; once a run has ended, only their proportions count"""
    now: datetime

    @property
    def is_ok(self) -> bool:
        """Return whether all runs of the plan are ok."""
        return all(run.id in self.outcomes and self.outcomes[run.id].status == "ok" for run in self.plan.runs)

    @property
    def is_over(self) -> bool:
        """Return whether each run has ended, well or badly, and no process is working on one."""
        return not self._open and not self._active

    @property
    def _active(self) -> list[RunningUnit]:
        """Units whose process lives."""
        return [unit for unit in self.units if not unit.left]

    @property
    def _open(self) -> list[str]:
        """Ids of the runs that have not ended by themselves: interrupted ones are among them."""
        ended = {id for id, outcome in self.outcomes.items() if outcome.status != "interrupted"}
        return [run.id for run in self.plan.runs if run.id not in ended]

    def counts(self) -> str:
        """Return a line such as `12 runs: 5 ok, 1 failed, 2 running, 4 not begun`."""
        ended = Counter(outcome.status for outcome in self.outcomes.values())
        running = len({id for unit in self._active for id in unit.runs} - self.outcomes.keys())
        rest = {"running": running, "not begun": len(self.plan.runs) - ended.total() - running}
        parts = [*ended.most_common(), *((name, number) for name, number in rest.items() if number)]
        return f"{len(self.plan.runs)} runs: " + ", ".join(f"{number} {name}" for name, number in parts)

    def failed_checks(self) -> str:
        """Return a line that says how many ok runs failed checks; empty where none did."""
        well = [outcome for outcome in self.outcomes.values() if outcome.status == "ok"]
        failed = sum(outcome.failed_checks > 0 for outcome in well)
        return line(failed, len(well)) if failed else ""

    def failures(self) -> list[str]:
        """Return a line for each run that ended and is not ok."""
        known = ((run, self.outcomes.get(run.id)) for run in self.plan.runs)
        return [
            f"{run.id}  {outcome.status:<11} {label(run)}  {outcome.reason}"
            for run, outcome in known
            if outcome is not None and outcome.status != "ok"
        ]

    def running(self) -> list[str]:
        """Return a line for each unit."""
        called = {run.id: label(run) for run in self.plan.runs}
        return [f"{called[unit.runs[0]]}{_more_runs(unit)}  {self._doing(unit)}" for unit in self.units]

    def _doing(self, unit: RunningUnit) -> str:
        since = duration(max(0.0, (self.now - unit.began).total_seconds()))
        words = f"{one_line(unit.doing, 200)}, begun {since} ago"
        return f"{words}; its process died, `ntkbench run` takes it up" if unit.left else words

    def pace(self) -> str:
        """Return recent and overall speed and the estimated end; empty where nothing is in progress."""
        if not self._active or not self._open:
            return ""
        late, overall = self._speed(_RECENT), self._speed()
        rates = [f"{_rate(late)} of late, {_rate(overall)} over all"] if late else []
        return "; ".join([*rates, self._end()])

    def _end(self) -> str:
        """Return the estimated end as text: the work that is left at the recent speed, or at that of an ordinary
        machine."""
        ended = self._ended(_RECENT)
        last = max([*(outcome.ended for _, outcome in ended[-1:]), min(unit.began for unit in self._active)])
        current = {id for unit in self._active for id in unit.runs} & set(self._open)
        done = sum((self.work[id] for id, _ in ended), 0.0)
        took = _covered([(each.began, each.ended) for _, each in ended])
        left = sum((self.work[id] for id in self._open), 0.0)
        since = max(0.0, (self.now - last).total_seconds())
        seconds = remaining.seconds(left, sum((self.work[id] for id in current), 0.0), done, took, since)
        if seconds > 100 * _YEAR:
            return "no end in sight"
        end = (self.now + timedelta(seconds=seconds)).astimezone(UTC)
        text = f"ends in about {duration(seconds)}, {end:%Y-%m-%d %H:%M} UTC"
        return text if took else f"{text} (by arithmetic alone)"

    def _ended(self, most: int | None = None) -> list[tuple[str, RunOutcome]]:
        """Return ids and outcomes of the runs that ended, in the order of their ends; of the last `most`, if given."""
        return sorted(self.outcomes.items(), key=lambda item: item[1].ended)[-most if most else None :]

    def _speed(self, most: int | None = None) -> float:
        """Return runs per second of time in which the last `most` runs, or what is in progress, were worked on.

        It is 0 where no run has ended.
        """
        if not (ended := self._ended(most)):
            return 0.0
        last = max(ended[-1][1].ended, min(unit.began for unit in self._active))
        spans = [(outcome.began, outcome.ended) for _, outcome in ended]
        busy = _covered([*spans, (last, max(last, self.now))])
        return len(ended) / busy if busy else 0.0


def _more_runs(unit: RunningUnit) -> str:
    return f" and {len(unit.runs) - 1} more" if len(unit.runs) > 1 else ""


def _covered(spans: Iterable[tuple[datetime, datetime]]) -> float:
    """Return the seconds that lie in any of the spans; what spans have in common counts once."""
    covered, reached = timedelta(0), _EPOCH
    for begin, end in sorted(spans):
        covered += max(timedelta(0), end - max(begin, reached))
        reached = max(reached, end)
    return covered.total_seconds()


def _rate(speed: float) -> str:
    """Return a number of runs per second in the unit that suits it."""
    for unit, length in (("s", 1), ("min", 60), ("h", 3600)):
        if speed * length >= 1:
            return f"{speed * length:.1f} runs/{unit}"
    return f"{speed * 86400:.2g} runs/day"
