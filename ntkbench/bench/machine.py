"""What work costs on a core of an ordinary processor: each kind has a rate, and times add up.

The rates are three quarters of what a core with AVX-512 reaches that has nothing else to do: few machines are so.
"""

from dataclasses import dataclass, fields
from math import inf
from typing import NamedTuple

CORES = 2
"""that estimates are for"""
DENSE = 1e11
"""float32 operations a second of one core in products of matrices"""
CONVOLVED = 3e10
"""of convolutions and their derivatives"""
DOUBLE = 3e10
"""float64 operations a second in large products of matrices"""
ENTRYWISE = 2e9
"""operations a second on the entries of arrays, one after the other"""
BANDWIDTH = 6e9
"""bytes a second that pass through memory between operations"""
STEP = 2e-4
"""seconds that each step of a compiled loop takes, however small"""
CALL = 0.01
"""seconds that a function called from Python takes, with all that is looked at between two of them"""
START = 3
"""seconds until an interpreter has JAX and the first compilation begins"""
COMPILE = 0.4
"""seconds of a function, however small, from Python to machine code"""
PASS = 0.04
"""seconds for each time that it goes through a layer, forward or back"""
BASE_BYTES = 450_000_000
"""of a process with JAX"""
COMPILED_BYTES = 12_000_000
"""that a second of compiling leaves behind"""
COMPILED_MOST = 1_200_000_000
"""bytes of compiled programs, before a process lets go of them"""


class Program(NamedTuple):
    """Compiled once in a process: what for, how many functions, how many layers they go through in all."""

    what: str
    functions: int
    passes: int

    @property
    def seconds(self) -> float:
        return COMPILE * self.functions + PASS * self.passes


@dataclass(frozen=True)
class Work:
    """Whole numbers, however large: operations by kind, bytes that are moved, steps and calls; bytes needed at once,
    beyond those of the process; and the programs that all this takes."""

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
        """Seconds, once all is compiled."""
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
        """Seconds; functions are made of parts that are compiled side by side."""
        return sum(program.seconds for program in self.programs) / cores

    def seconds(self, cores: int = CORES) -> float:
        return self.running(cores) + self.compiling(cores)

    def __add__(self, other: "Work") -> "Work":
        """One after the other: operations add up, memory is used again, and what is compiled stays."""
        added = {field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)[:-2]}
        return Work(**added, bytes=max(self.bytes, other.bytes), programs=self.programs | other.programs)

    def times(self, count: int, at_once: int = 1) -> "Work":
        """Again and again, so many at once."""
        several = {field.name: count * getattr(self, field.name) for field in fields(self)[:-2]}
        return Work(**several, bytes=min(count, at_once) * self.bytes, programs=self.programs)


def _float(count: int) -> float:
    """Endless where floats end."""
    try:
        return float(count)
    except OverflowError:
        return inf
