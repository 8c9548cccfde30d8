"""The result of an analysis before it is written to a record: numbers with their counts, arrays, checks.

Every analysis returns one, those of other packages too:

    Measurement((Scalar.share("accuracy", k, n, {"target": "self"}),), samples={"clean": right})

Names of metrics are those of `ntkbench list metrics`, which has those that installed packages declare, too.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from ntkbench.errors import NumericsError

Where = Mapping[str, str | int | float | bool]
"""labels that say what a number is about: `{"attack": "ntk", "eps": "8/255"}`"""


@dataclass(frozen=True)
class Scalar:
    """One number of a metric: a share `k` of `n` test points, a mean over `n` of them, or neither (`n` None).

    `sd` is the standard deviation of a mean's single points. A number without a value (None) needs a `reason`.
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
        """Return the share k/n with its counts; without a value where n is 0."""
        if n == 0:
            return cls(metric, None, where, k=0, n=0, reason="no test point to count")
        return cls(metric, k / n, where, k=k, n=n)

    @classmethod
    def mean(cls, metric: str, values: np.ndarray, where: Where) -> "Scalar":
        """Return the mean of `values`, one a test point, over those that are finite; without a value where none is."""
        values = values[np.isfinite(values)]
        if values.size == 0:
            return cls(metric, None, where, n=0, reason="defined at no test point")
        sd = float(np.std(values, ddof=1)) if values.size > 1 else None
        return cls(metric, float(np.mean(values)), where, n=values.size, sd=sd)


@dataclass(frozen=True)
class Check:
    """State whether a property that the numbers rest on holds, such as `eps0_equals_clean`; `detail` has counts."""

    code: str
    ok: bool
    detail: Where = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """All that one analysis of one run gives.

    `series`: arrays of any shape by name; `samples`: arrays with one entry a test point, all of one length.
    """

    scalars: tuple[Scalar, ...] = ()
    series: Mapping[str, np.ndarray] = field(default_factory=dict)
    samples: Mapping[str, np.ndarray] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    warnings: tuple[str, ...] = ()
    undeclared: tuple[str, ...] = ()
    """metrics of its numbers that nobody declares, and that are recorded all the same; for other metrics that is an
    error"""

    def require_finite(self, name: str) -> "Measurement":
        """Return this measurement if its numbers, and the gradients and kernels behind them, are finite.

        Raises:
            NumericsError: otherwise; the message names the analysis `name` and what is not finite.
        """
        for scalar in self.scalars:
            if scalar.value is not None and not math.isfinite(scalar.value):
                raise NumericsError(f"analysis {name}: {scalar.metric} is {scalar.value}, {_where_text(scalar.where)}")
        for check in self.checks:
            if not check.ok and check.code in _FINITE:
                where = _where_text(check.detail)
                raise NumericsError(
                    f"analysis {name}: {_FINITE[check.code]} are not finite ({where}): numbers overflow, "
                    "or a loss has no slope; try a smaller W_std or learning rate, less depth, or float64 (numerics)"
                )
        return self

    def checked_against(self, known: Collection[str]) -> "Measurement":
        """Return this measurement with its `undeclared` metrics, those not among `known`, and a failed check of them.

        It is for analyses of other packages, whose numbers are kept all the same.
        """
        undeclared = tuple(dict.fromkeys(scalar.metric for scalar in self.scalars if scalar.metric not in known))
        failed = Check("metrics_declared", False, {"metrics": ", ".join(undeclared)})
        return replace(self, undeclared=undeclared, checks=(*self.checks, failed)) if undeclared else self


_FINITE: Mapping[str, str] = MappingProxyType({"gradients_finite": "gradients", "kernel_finite": "kernels"})
"""codes of checks whose failure leaves no number valid, each with what is not finite then"""


def _where_text(where: Where) -> str:
    """Return labels as messages show them: `attack ntk, eps 8/255`."""
    return ", ".join(f"{key} {value}" for key, value in where.items())
