"""The words that all packages share: reserved names, the grid of truncations, metrics and checks (`vocabulary.toml`).

Analyses name their numbers by the metrics. `spec.extensions` has those of other packages, too, and is what tables,
leaderboards and `ntkbench list metrics` ask.

    own_metrics()["kernel_drift"].unit    # "distance"
"""

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

# Reserved ids: records use them for results of their own, so that no attack or kernel of a spec may have them.


WORST = "worst"
"""in the place of an attack's id: the worst case over all attacks for each test point"""
LINEAR = "linear"
"""in the place of a kernel's id: the linear kernel <x, x'>, the control of every comparison of kernels"""


@dataclass(frozen=True)
class Metric:
    """A quantity that runs measure. ValueError if it is not well defined."""

    name: str
    """as records, specs and columns call it: lower case letters, digits and underscores"""
    unit: str
    """decides how numbers are rounded, and the tolerance of leaderboards"""
    meaning: str
    """one sentence for people, without its full stop"""
    higher_is_better: bool | None = None
    """which way tables and leaderboards point; None: neither way is better"""
    range: tuple[float, float] = (-math.inf, math.inf)
    """least and largest possible value; a number outside has no value in a record"""
    revision: int = 1
    """grows when the definition changes, so that old and new numbers are never compared unseen"""
    formula: str = ""
    """the right-hand side of the definition, in LaTeX"""

    def __post_init__(self) -> None:
        """Raise ValueError with the name of the metric if a field of it cannot be used."""
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,59}", self.name):
            raise ValueError(f"metric {self.name!r}: its name is to be up to 60 of a-z, 0-9 and _, a letter first")
        for field in ("unit", "meaning"):
            if not _is_line(getattr(self, field)):
                raise ValueError(f"metric {self.name}: its {field} is to be one line of 1 to 200 characters")
        low, high = self.range
        if not low < high:
            raise ValueError(f"metric {self.name}: its range is to be (least, largest), not {self.range}")
        if self.revision < 1:
            raise ValueError(f"metric {self.name}: its revision is to be 1 or more, not {self.revision}")

    @property
    def better(self) -> str:
        """Return `higher`, `lower` or `neither`, the way in which numbers are better."""
        return "neither" if self.higher_is_better is None else "higher" if self.higher_is_better else "lower"


def grid(size: int) -> tuple[int, ...]:
    """Return the numbers of features 1, 2, 5, 10, 20, 50, ... up to `size`, the number of all features.

    Every kernel is judged on this grid of truncations, whatever other truncations a spec asks for.
    """
    steps = (digit * 10**power for power in range(len(str(size))) for digit in (1, 2, 5))
    return tuple(k for k in steps if k <= size)


@cache
def own_metrics() -> Mapping[str, Metric]:
    """Return the metrics of ntkbench itself by their names, in the order of the reference page."""
    found = _vocabulary()["metrics"].items()
    return MappingProxyType({name: Metric(name, **{**facts, "range": tuple(facts["range"])}) for name, facts in found})


def notation() -> str:
    """Return the symbols that the formulas share, as a Markdown list."""
    return _vocabulary()["notation"].strip()


@cache
def checks() -> Mapping[str, str]:
    """Return for each check of a run what it means that it failed, and what helps."""
    return MappingProxyType(_vocabulary()["checks"])


def _is_line(text: str) -> bool:
    """Return whether a text is one line that tables can show."""
    return 0 < len(text.strip()) <= 200 and text.isprintable()


@cache
def _vocabulary() -> dict[str, Any]:
    """Return the content of `vocabulary.toml`; that takes 10 ms, which commands without metrics are spared."""
    return tomllib.loads(resources.files("ntkbench").joinpath("vocabulary.toml").read_text("utf-8"))
