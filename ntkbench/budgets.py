"""The budget of a perturbation, and the names of the outcomes that a run keeps of its test points.

    budget = Budget("8/255")
    budget.label, budget.radius                # "8/255", 0.03137...
    samples[column("ntk", budget)]             # whether the target is right under the attack: "ntk@8/255"
    samples[column("clean", part="k90")]       # "k90.clean"

The reader of a spec makes budgets, and attacks carry them to the arrays. Records, tables and leaderboards hold labels.
"""

from fractions import Fraction


class Budget(Fraction):
    """The radius of a threat set, in pixel units ([0, 1]): a fraction, as exactly as a spec writes it."""

    __slots__ = ()

    @property
    def label(self) -> str:
        """Return the budget as records, tables and messages write it: `8/255`, and `1/10` for 0.1."""
        return str(self)

    @property
    def radius(self) -> float:
        """Return the number nearest to the budget, with which attacks compute."""
        return float(self)


def column(name: str, eps: Budget | str | None = None, part: str = "") -> str:
    """Return the name of outcomes of the test points, one for each: `clean`, `ntk@8/255`, `k90.ntk@8/255`.

    Args:
        name: the id of an attack, or `clean`.
        eps: the budget or its label; None where nothing is attacked.
        part: the part of a predictor that is judged; empty: the whole.
    """
    whole = name if eps is None else f"{name}@{eps}"
    return f"{part}.{whole}" if part else whole
