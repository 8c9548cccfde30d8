"""The speed of an ordinary processor, and the work of a computation in operations, bytes and calls.

`cost` adds up `Work`, and here it becomes seconds: every kind of operation has a rate, and the times add up. The rates
are three quarters of what an idle core with AVX-512 reaches, since few machines are idle. For example, 10^12 operations
in matrix products take

    Work(dense=10**12).running(cores=2)     # 5.0 seconds
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from operator import add
from typing import NamedTuple

CORES = 2
"""cores of the machine that estimates are for"""
DENSE = 1e11
"""float32 operations that a core does in a second in products of matrices"""
CONVOLVED = 3e10
"""float32 operations that a core does in a second in convolutions and their derivatives"""
DOUBLE = 3e10
"""float64 operations that a core does in a second in large products of matrices"""
ENTRYWISE = 2e9
"""operations that a core does in a second on the entries of arrays, one after the other"""
BANDWIDTH = 6e9
"""bytes that the machine moves through memory in a second, between operations"""
STEP = 2e-4
"""seconds that every step of a compiled loop takes in addition to its operations"""
CALL = 0.01
"""seconds that a compiled function called from Python takes in addition, with all that happens between two calls"""
START = 3
"""seconds from the start of Python until JAX is imported and the first compilation begins"""
COMPILE = 0.4
"""seconds that the compilation of a function takes, however small it is"""
PASS = 0.04
"""seconds of compilation for each layer that a function goes through, forward or backward"""
BASE_BYTES = 450_000_000
"""bytes of a process that has imported JAX"""
COMPILED_BYTES = 12_000_000
"""bytes of compiled programs for each second of compilation"""
COMPILED_MOST = 1_200_000_000
"""the most bytes of compiled programs that a process keeps before it clears them"""


class Program(NamedTuple):
    """A program that a process compiles once: its name, its functions, and the layers that these go through in all."""

    what: str
    functions: int
    passes: int

    @property
    def seconds(self) -> float:
        """Seconds of compilation on one core."""
        return COMPILE * self.functions + PASS * self.passes


@dataclass(frozen=True)
class Work:
    """The work of a computation, in whole numbers of any size.

    `dense`, `convolved`, `double`, `entrywise`: operations of each kind; `moved`: bytes moved through memory; `steps`
    of compiled loops; `calls` from Python; `bytes`: memory needed at once, beyond that of the process; `programs`: what
    has to be compiled.
    """

    dense: int = 0
    convolved: int = 0
    double: int = 0
    entrywise: int = 0
    moved: int = 0
    steps: int = 0
    calls: int = 0
    bytes: int = 0
    programs: frozenset[Program] = frozenset()

    def running(self, cores: int = CORES) -> float:
        """Return the seconds of the work once everything is compiled; only operations are shared among cores."""
        shared = sum(
            _float(count) / rate
            for count, rate in (
                (self.dense, DENSE),
                (self.convolved, CONVOLVED),
                (self.double, DOUBLE),
                (self.entrywise, ENTRYWISE),
            )
        )
        alone = _float(self.moved) / BANDWIDTH + _float(self.steps) * STEP + _float(self.calls) * CALL
        return shared / cores + alone

    def compiling(self, cores: int = CORES) -> float:
        """Return the seconds of compilation, which compiles parts of functions side by side on all cores."""
        return sum(program.seconds for program in self.programs) / cores

    def seconds(self, cores: int = CORES) -> float:
        """Return the seconds of the work with its compilation."""
        return self.running(cores) + self.compiling(cores)

    @property
    def _counts(self) -> tuple[int, ...]:
        """Everything that adds up, in the order of the fields."""
        return self.dense, self.convolved, self.double, self.entrywise, self.moved, self.steps, self.calls

    def __add__(self, other: "Work") -> "Work":
        """Return the work of one computation after another: they reuse memory and compiled programs."""
        added = map(add, self._counts, other._counts)
        return Work(*added, bytes=max(self.bytes, other.bytes), programs=self.programs | other.programs)

    def times(self, count: int, at_once: int = 1) -> "Work":
        """Return the work of `count` repetitions, of which `at_once` are in memory together."""
        several = (count * number for number in self._counts)
        return Work(*several, bytes=min(count, at_once) * self.bytes, programs=self.programs)


def total(works: Iterable[Work]) -> Work:
    """Return the sum of some works, none for none; to add them one by one would copy the programs every time."""
    every = list(works)
    counts = (sum(column) for column in zip(*(work._counts for work in every), strict=True))
    programs = frozenset[Program]().union(*(work.programs for work in every))
    return Work(*counts, bytes=max((work.bytes for work in every), default=0), programs=programs)


def _float(count: int) -> float:
    """Return a count as a float, infinite if it is too large."""
    try:
        return float(count)
    except OverflowError:
        return inf
