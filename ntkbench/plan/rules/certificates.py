"""Find what a spec asks wrongly of analyses of what is certain: predictors of which nothing is, attacks of others."""

from collections.abc import Iterator

from ntkbench.errors import Problem
from ntkbench.plan import networks
from ntkbench.spec.analyses import Certificate, Certified, LabelFlips
from ntkbench.spec.attacks import SELF, GradientAttack
from ntkbench.spec.document import Path
from ntkbench.spec.kernels import EmpiricalKernel, InfiniteKernel
from ntkbench.spec.reading.validate import Draft

BOUNDED = frozenset(("flatten", "dense", "relu", "leaky_relu", "erf"))
"""layers through which the extremes of a kernel are known"""


def problems(draft: Draft) -> Iterator[Problem]:
    """Yield what is wrong with each analysis of what is certain."""
    for name, analysis in draft.cell.analyses.items():
        if isinstance(analysis, Certified):
            path = ("analyses", name)
            yield from _target(draft, path, analysis)
            if isinstance(analysis, LabelFlips):
                yield from _flips(draft, path)
                yield from _linear(draft, path, analysis)
            else:
                yield from _layers(draft, path, analysis)
                yield from _attack(draft, path, analysis)
                yield from _precision(draft, analysis)


def _target(draft: Draft, path: Path, analysis: Certified) -> Iterator[Problem]:
    """Refuse networks and empirical kernels: only of infinite kernels are the coefficients all that labels change."""
    kernel, here = draft.cell.kernels.get(analysis.target), (*path, "target")
    if analysis.target in (SELF, *draft.cell.networks):
        message = f"{analysis.kind} follows from the coefficients of a kernel, and {analysis.target} is a network"
        yield draft.problem(here, f"{message}; name an infinite kernel")
    elif isinstance(kernel, EmpiricalKernel):
        why = "the kernel of one network"
        if isinstance(analysis, LabelFlips) and kernel.at not in ("init", 0):
            why = "taken at weights that have seen the labels, and changes with them"
        yield draft.problem(here, f"{analysis.target} is {why}; {analysis.kind} takes infinite kernels")


def _flips(draft: Draft, path: Path) -> Iterator[Problem]:
    """Refuse numbers of flipped labels above that of the training examples, where a spec names them."""
    for i, item in enumerate(draft.root.at((*path, "flips")).items if draft.whole("data") else ()):
        if isinstance(item.value, int) and item.value > draft.cell.data.n_train:
            message = f"{item.value} is more than the {draft.cell.data.n_train} training labels"
            yield draft.problem((*path, "flips", i), message)


def _linear(draft: Draft, path: Path, analysis: LabelFlips) -> Iterator[Problem]:
    """Refuse kernels whose coefficients are not linear in the labels."""
    kernel = draft.cell.kernels.get(analysis.target)
    if isinstance(kernel, InfiniteKernel) and kernel.fit:
        message = f"what {analysis.target} learns by {kernel.fit.kind} is not linear in the labels"
        yield draft.problem((*path, "target"), f"{message}; name a kernel without fit")


def _layers(draft: Draft, path: Path, analysis: Certificate) -> Iterator[Problem]:
    """Refuse kernels of networks with other layers than those through which bounds are known."""
    kernel = draft.cell.kernels.get(analysis.target)
    if not isinstance(kernel, InfiniteKernel) or (kernel.architecture is None and not draft.whole("architecture")):
        return
    others = sorted(networks.operations(kernel.architecture or draft.cell.architecture) - BOUNDED)
    if others:
        message = f"no bounds are known through {', '.join(others)}; name the kernel of a fully connected network"
        yield draft.problem((*path, "target"), f"{message} with relu, leaky_relu or erf")


def _attack(draft: Draft, path: Path, analysis: Certificate) -> Iterator[Problem]:
    """Refuse attacks that do not bound what is certified: on another predictor, of another norm, at other budgets."""
    attack, here = draft.cell.attacks.get(analysis.attack or ""), (*path, "attack")
    if attack is None:
        return
    if not isinstance(attack, GradientAttack) or attack.source != analysis.target:
        message = f"{analysis.attack} does not follow the gradient of {analysis.target}"
        yield draft.problem(here, f"{message}; name an attack with source: {analysis.target}")
    for field in ("norm", "eps"):
        one, two = (_shown(getattr(each, field)) for each in (attack, analysis))
        if one != two:
            message = f"{analysis.attack} has {field} {one}, but {two} is certified; only equal budgets compare"
            yield draft.problem(here, message)


def _precision(draft: Draft, analysis: Certificate) -> Iterator[Problem]:
    """Refuse float32: the margin that is left for rounding is that of float64."""
    if draft.cell.numerics.kernel == "float32":
        message = f"{analysis.kind} proves what float64 computes; write float64, or delete this"
        yield draft.problem(("numerics", "kernel"), message)


def _shown(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)
