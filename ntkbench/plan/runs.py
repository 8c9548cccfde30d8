"""The runs of a plan, and the units in which processes take them."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ntkbench.errors import UsageError
from ntkbench.plan import keys
from ntkbench.spec.cell import Cell, Header
from ntkbench.spec.data import NamedDataset


@dataclass(frozen=True)
class Run:
    """One cell of the matrix with one seed: the unit that is executed and has one record."""

    name: str
    """name of the spec"""
    cell: Cell
    """the experiment as it is run; with `seed_of: data`, with the training subset of the seed"""
    coordinates: Mapping[str, str]
    """label of the cell on each axis of the matrix"""
    seed: int
    id: str
    """hash of cell and seed, see `identity.run_id`"""


@dataclass(frozen=True)
class Plan:
    """All runs of a spec: cells in the order of its matrix, and in each cell the seeds."""

    header: Header
    runs: tuple[Run, ...]
    file: str

    @property
    def datasets(self) -> tuple[str, ...]:
        """The names of the data sets that the runs read from files, each once."""
        datasets = (run.cell.data.dataset for run in self.runs)
        return tuple(dict.fromkeys(each.name for each in datasets if isinstance(each, NamedDataset)))


# Units of work, the runs that share one training, and shards, the parts that a plan can be split into.


@dataclass(frozen=True)
class Unit:
    """Runs with one training, in the plan's order: what a process takes at a time."""

    key: str
    """name of the unit in locks and in `running/`"""
    runs: tuple[Run, ...]
    tried: tuple[int, ...]
    """number of earlier attempts at each of the runs"""


def key(run: Run) -> str:
    """Return the key of a run's unit: that of its training, or the run's id if its cell has no network.

    Where there are further networks alone, the first one's training is what the unit shares.
    """
    if run.cell.has_network:
        return keys.training_key(run.cell)
    others = keys.networks_needed(run.cell)
    return f"network-{keys.training_key(run.cell.as_own(others[0]))}" if others else run.id


def units(tried: Sequence[tuple[Run, int]]) -> list[Unit]:
    """Return the units that these runs form, in the plan's order.

    `tried`: each run with the number of times that it was tried before.
    """
    found: dict[str, list[tuple[Run, int]]] = {}
    for run, times in tried:
        found.setdefault(key(run), []).append((run, times))
    return [Unit(name, *zip(*members, strict=True)) for name, members in found.items()]


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of a plan, numbered from 1.

    The part of a unit follows from a hash of its key alone: cells that are added to a spec move no other unit.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Return the shard that a text such as `2/8` (the second of eight) means; UsageError for any other text."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        shard = cls(*map(int, found.groups())) if found else cls(0, 0)
        if not 1 <= shard.number <= shard.count:
            raise UsageError(f"--shard {text}: write i/n with i from 1 to n, such as 1/8 to 8/8")
        return shard

    def part(self, plan: Plan) -> Plan:
        """Return the plan with the runs of this part alone."""
        return replace(plan, runs=tuple(run for run in plan.runs if self._place(key(run)) == self.number))

    def _place(self, key: str) -> int:
        """Return the number, from 1, of the part that the unit with this key belongs to."""
        return 1 + int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) % self.count


def label(run: Run) -> str:
    """Return coordinates and seed of a run as `width=512 seed=0`."""
    return " ".join([*(f"{axis}={value}" for axis, value in run.coordinates.items()), f"seed={run.seed}"])
