"""What an analysis found, before it is written down: numbers with their counts, arrays, checks."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

Where = Mapping[str, str | int | float | bool]
"""What a number is about: `{"attack": "ntk", "eps": "8/255"}`."""


@dataclass(frozen=True)
class Scalar:
    """One number. `k` of `n` test points where it is a proportion; `value` None needs a `reason`."""

    metric: str
    value: float | None
    where: Where = field(default_factory=dict)
    k: int | None = None
    n: int | None = None
    reason: str | None = None

    @classmethod
    def share(cls, metric: str, k: int, n: int, where: Where) -> "Scalar":
        """k/n; undefined when nothing was counted."""
        if n == 0:
            return cls(metric, None, where, 0, 0, "no test point to count")
        return cls(metric, k / n, where, k, n)


@dataclass(frozen=True)
class Check:
    """A property that the numbers rest on, e.g. that eps 0 changes nothing."""

    code: str
    ok: bool
    detail: Where = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """All that one analysis of one run gives. `samples`: per test point, arrays of one length."""

    scalars: tuple[Scalar, ...] = ()
    series: Mapping[str, np.ndarray] = field(default_factory=dict)
    samples: Mapping[str, np.ndarray] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    warnings: tuple[str, ...] = ()
