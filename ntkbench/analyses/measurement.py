"""What an analysis found, before it is written down: numbers with their counts, arrays, checks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from ntkbench.errors import NumericsError

Where = Mapping[str, str | int | float | bool]
"""What a number is about: `{"attack": "ntk", "eps": "8/255"}`."""


@dataclass(frozen=True)
class Scalar:
    """One number: `k` of `n` test points, or a mean over `n` with the standard deviation `sd` of one point.

    `value` None needs a `reason`.
    """

    metric: str
    value: float | None
    where: Where = field(default_factory=dict)
    k: int | None = None
    n: int | None = None
    sd: float | None = None
    reason: str | None = None

    @classmethod
    def share(cls, metric: str, k: int, n: int, where: Where) -> "Scalar":
        """k/n; undefined when nothing was counted."""
        if n == 0:
            return cls(metric, None, where, k=0, n=0, reason="no test point to count")
        return cls(metric, k / n, where, k=k, n=n)

    @classmethod
    def mean(cls, metric: str, values: np.ndarray, where: Where) -> "Scalar":
        """Over the test points where it is defined."""
        values = values[np.isfinite(values)]
        if values.size == 0:
            return cls(metric, None, where, n=0, reason="defined at no test point")
        sd = float(np.std(values, ddof=1)) if values.size > 1 else None
        return cls(metric, float(np.mean(values)), where, n=values.size, sd=sd)


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

    def require_finite(self, name: str) -> "Measurement":
        """Itself. NumericsError if one of its numbers, or what they were made of, is not finite; `name` is told."""
        for scalar in self.scalars:
            if scalar.value is not None and not math.isfinite(scalar.value):
                raise NumericsError(f"analysis {name}: {scalar.metric} is {scalar.value}, {_told(scalar.where)}")
        for check in self.checks:
            if not check.ok and check.code in _FINITE:
                raise NumericsError(
                    f"analysis {name}: {_FINITE[check.code]} are not finite ({_told(check.detail)}): numbers overflow, "
                    "or a loss has no slope; try a smaller W_std or learning rate, less depth, or float64 (numerics)"
                )
        return self


_FINITE: Mapping[str, str] = MappingProxyType({"gradients_finite": "gradients", "kernel_finite": "kernels"})
"""checks without which there is no number"""


def _told(where: Where) -> str:
    return ", ".join(f"{key} {value}" for key, value in where.items())
