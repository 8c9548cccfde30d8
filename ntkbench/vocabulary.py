"""The words that all packages share: reserved names, the grid of truncations, metrics and checks (`vocabulary.toml`).

Analyses name their numbers by the metrics; tables, leaderboards and `ntkbench list metrics` read them.

    metric("kernel_drift").unit    # "distance"
    metric("kernel_drfit")         # UsageError: ... did you mean kernel_drift?
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from ntkbench.errors import UsageError
from ntkbench.text import did_you_mean

# Reserved ids: records use them for results of their own, so that no attack or kernel of a spec may have them.


WORST = "worst"
"""in the place of an attack's id: the worst case over all attacks for each test point"""
LINEAR = "linear"
"""in the place of a kernel's id: the linear kernel <x, x'>, the control of every comparison of kernels"""


@dataclass(frozen=True)
class Metric:
    """A quantity that runs measure."""

    name: str
    """as records, specs and columns call it"""
    unit: str
    """decides how numbers are rounded, and the tolerance of leaderboards"""
    higher_is_better: bool
    """which way tables and leaderboards point"""
    range: tuple[float, float]
    """least and largest possible value"""
    revision: int
    """grows when the definition changes, so that old and new numbers are never compared unseen"""
    meaning: str
    """one sentence for people, without its full stop"""
    formula: str
    """the right-hand side of the definition, in LaTeX"""


def grid(size: int) -> tuple[int, ...]:
    """Return the numbers of features 1, 2, 5, 10, 20, 50, ... up to `size`, the number of all features.

    Every kernel is judged on this grid of truncations, whatever other truncations a spec asks for.
    """
    steps = (digit * 10**power for power in range(len(str(size))) for digit in (1, 2, 5))
    return tuple(k for k in steps if k <= size)


@cache
def known_metrics() -> Mapping[str, Metric]:
    """Return all metrics by their names, in the order of the reference page."""
    found = _vocabulary()["metrics"].items()
    return MappingProxyType({name: Metric(name, **{**facts, "range": tuple(facts["range"])}) for name, facts in found})


def notation() -> str:
    """Return the symbols that the formulas share, as a Markdown list."""
    return _vocabulary()["notation"].strip()


@cache
def checks() -> Mapping[str, str]:
    """Return for each check of a run what it means that it failed, and what helps."""
    return MappingProxyType(_vocabulary()["checks"])


def bounds(name: str) -> tuple[float, float]:
    """Return the least and largest value of a metric; everything for a name that is no metric's."""
    return known_metrics()[name].range if name in known_metrics() else (-float("inf"), float("inf"))


def metric(name: str) -> Metric:
    """Return the metric of a name; UsageError with a suggestion if there is none."""
    if name in known_metrics():
        return known_metrics()[name]
    near = did_you_mean(name, known_metrics()) or "; `ntkbench list metrics` shows those there are"
    raise UsageError(f"there is no metric {name!r}{near}")


@cache
def _vocabulary() -> dict[str, Any]:
    """Return the content of `vocabulary.toml`; that takes 10 ms, which commands without metrics are spared."""
    return tomllib.loads(resources.files("ntkbench").joinpath("vocabulary.toml").read_text("utf-8"))
