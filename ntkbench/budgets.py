"""The budget of a perturbation, and the names of the outcomes that a run keeps of its test points.

    budget = Budget(Fraction("8/255"))
    budget.label, budget.radius                # "8/255", 0.03137...
    samples[column("ntk", budget)]             # whether the target is right under the attack: "ntk@8/255"
    samples[column("clean", part="k90")]       # "k90.clean"
    Budget(Fraction(1, 2), True).on(784)       # radius 1/56, label "1/2/sqrt(d)"

The reader of a spec makes budgets, and attacks carry them to the arrays. Records, tables and leaderboards hold labels.
"""

from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import sqrt

PER_ROOT = "/sqrt(d)"
"""end of the label of a budget that is relative to the dimension"""


@dataclass(frozen=True, order=True)
class Budget:
    """The radius of a threat set, in pixel units ([0, 1]), as exactly as a spec writes it."""

    exact: Fraction
    """the radius, or its multiple of 1 / sqrt(d)"""
    relative: bool = False
    """whether it is relative to the dimension: c / sqrt(d), d the number of pixels times channels, or of features"""
    inputs: int | None = field(default=None, compare=False)
    """d; None as long as the data of the budget are not known"""

    @property
    def label(self) -> str:
        """Return the budget as records, tables and messages write it: `8/255`, `1/10` for 0.1, `1/2/sqrt(d)`."""
        return f"{self.exact}{PER_ROOT}" if self.relative else str(self.exact)

    @property
    def radius(self) -> float:
        """Return the budget as the number nearest to it, with which attacks compute."""
        if not self.relative:
            return float(self.exact)
        assert self.inputs is not None, "a relative budget has a radius on some data alone"
        return float(self.exact) / sqrt(self.inputs)

    def on(self, inputs: int) -> "Budget":
        """Return the budget on data with so many inputs."""
        return replace(self, inputs=inputs)

    def __str__(self) -> str:
        return self.label


def column(name: str, eps: Budget | str | None = None, part: str = "") -> str:
    """Return the name of outcomes of the test points, one for each: `clean`, `ntk@8/255`, `k90.ntk@8/255`.

    Args:
        name: the id of an attack, or `clean`.
        eps: the budget or its label; None where nothing is attacked.
        part: the part of a predictor that is judged; empty: the whole.
    """
    whole = name if eps is None else f"{name}@{eps}"
    return f"{part}.{whole}" if part else whole
