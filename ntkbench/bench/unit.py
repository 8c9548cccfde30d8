"""What a process takes at a time: the runs that share their training."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ntkbench.bench import stages
from ntkbench.bench.plan import Plan, Run
from ntkbench.errors import UsageError


@dataclass(frozen=True)
class Unit:
    """Runs with one training, in the plan's order, and how often each had been tried before."""

    key: str
    runs: tuple[Run, ...]
    tried: tuple[int, ...]


def key(run: Run) -> str:
    """Of the unit that a run belongs to."""
    return run.id if run.cell.width is None else stages.training_key(run.cell)


def units(tried: Sequence[tuple[Run, int]]) -> list[Unit]:
    """In the plan's order, of runs and how often each was tried."""
    found: dict[str, list[tuple[Run, int]]] = {}
    for run, times in tried:
        found.setdefault(key(run), []).append((run, times))
    return [Unit(name, *zip(*members, strict=True)) for name, members in found.items()]


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of a plan. A unit's part depends on the unit alone: more cells move none."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """2/8 is the second of eight. UsageError otherwise."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        shard = cls(*map(int, found.groups())) if found else cls(0, 0)
        if not 1 <= shard.number <= shard.count:
            raise UsageError(f"--shard {text}: write i/n with i from 1 to n, such as 1/8 to 8/8")
        return shard

    def part(self, plan: Plan) -> Plan:
        """The plan with no other runs than those of this part."""
        return replace(plan, runs=tuple(run for run in plan.runs if self._place(key(run)) == self.number))

    def _place(self, key: str) -> int:
        return 1 + int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) % self.count
