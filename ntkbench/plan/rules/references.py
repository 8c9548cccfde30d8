"""Find the ids that a spec may not give, and the references to what it does not define."""

from collections.abc import Iterator, Sequence

from ntkbench.errors import Problem
from ntkbench.spec.analyses import ROLES, Analysis, EvaluatedAnalysis, TransferMatrix
from ntkbench.spec.attacks import SELF, GradientAttack
from ntkbench.spec.cell import BY_ID
from ntkbench.spec.data import NTGA
from ntkbench.spec.document import Node, Path
from ntkbench.spec.kernels import EmpiricalKernel
from ntkbench.spec.notation import FIT, POISON
from ntkbench.spec.reading.validate import Draft, ids
from ntkbench.text import did_you_mean
from ntkbench.vocabulary import LINEAR, WORST

_RESERVED = (SELF, "none")
"""ids that no section may use: the run's own network, and the source of attacks without a gradient"""
_RESERVED_IN = (("attacks", WORST), ("kernels", LINEAR), ("analyses", FIT), ("analyses", POISON))
"""sections, each with an id that means something else there"""


def reserved_ids(draft: Draft) -> Iterator[Problem]:
    """Yield a problem for each id in a section that has a meaning of its own, such as `self`."""
    for section in BY_ID:
        node: Node | None = draft.root.child(section)
        for name, entry in (node.entries if node else {}).items():
            if name in _RESERVED or (section, name) in _RESERVED_IN:
                yield entry.key.problem((section, name), f"{name} is a reserved word; choose another id")


def attack_sources(draft: Draft) -> Iterator[Problem]:
    """Yield a problem for each gradient attack whose source is unknown, or `self` where the cell has no network."""
    for name, attack in draft.cell.attacks.items():
        if isinstance(attack, GradientAttack):
            yield from _predictor(draft, ("attacks", name, "source"), attack.source)


def poison_kernel(draft: Draft) -> Iterator[Problem]:
    """Yield a problem if the kernel that the training images are poisoned with is unknown, or depends on a network."""
    poison, path = draft.cell.data.poison if draft.whole("data") else None, ("data", "poison", "kernel")
    if not isinstance(poison, NTGA):
        return
    known, why = ids(draft, "kernels"), "is trained on the poisoned images themselves; name an infinite kernel"
    if poison.kernel == SELF:
        yield draft.problem(path, f"the network {why}")
    elif known is not None and poison.kernel not in known:
        near = did_you_mean(poison.kernel, known) or "; the spec defines no `kernels`" * (not known)
        yield draft.problem(path, f"no kernel {poison.kernel}{near}")
    elif isinstance(draft.cell.kernels.get(poison.kernel), EmpiricalKernel):
        yield draft.problem(path, f"{poison.kernel} is the kernel of the run's network, which {why}")


def analysis_targets(draft: Draft) -> Iterator[Problem]:
    """Yield a problem for each analysis whose target is unknown, or `self` where the cell has no network."""
    for name, analysis in draft.cell.analyses.items():
        path = ("analyses", name)
        if isinstance(analysis, TransferMatrix):
            for field in ("sources", "targets"):
                for place, who in _items(draft, (*path, field), getattr(analysis, field)):
                    yield from _predictor(draft, place, who)
        else:
            yield from _predictor(draft, (*path, "target"), analysis.target)


def _predictor(draft: Draft, path: Path, who: str) -> Iterator[Problem]:
    """Yield a problem at `path` if there is no predictor `who`: neither `self` nor a kernel or network of this id."""
    kernels, networks = ids(draft, "kernels"), ids(draft, "networks")
    if who == SELF:
        if not draft.cell.has_network and draft.whole("width", "architecture"):
            others = sorted((kernels or set()) | (networks or set()))
            what = "a kernel or a further network" if networks else "a kernel"
            message = f"self is the network of the run, and this cell has none; give it a `width`, or name {what}"
            yield draft.problem(path, message + (f" ({', '.join(others)})" if others else ""))
    elif kernels is not None and networks is not None and who not in kernels | networks:
        what = "kernel or network" if networks else "kernel"
        yield draft.problem(path, f"no {what} {who}{did_you_mean(who, kernels | networks | {SELF})}")


def analysis_attacks(draft: Draft) -> Iterator[Problem]:
    """Yield a problem for each attack that an analysis names and that the spec does not define."""
    known = ids(draft, "attacks")
    if known is None:
        return
    for name, analysis in draft.cell.analyses.items():
        for path, attack in _attacks_of(draft, name, analysis):
            if attack not in known:
                near = did_you_mean(attack, known) or "; the spec defines no `attacks`"
                yield draft.problem(path, f"no attack {attack}{near}")


def _attacks_of(draft: Draft, name: str, analysis: Analysis) -> Iterator[tuple[Path, str]]:
    """Yield the ids of the attacks that an analysis names, each with its path: in a list, that of the item."""
    path = ("analyses", name)
    if not isinstance(analysis, EvaluatedAnalysis):
        roles = {role: getattr(analysis, role, None) for role in ROLES}
        yield from (((*path, role), attack) for role, attack in roles.items() if attack is not None)
    else:
        yield from _items(draft, (*path, "attacks"), analysis.attacks)


def _items(draft: Draft, path: Path, names: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """Yield names that one field holds, each with its path: in a list, that of the item."""
    several = draft.root.at(path).items
    for i, name in enumerate(names):
        yield ((*path, i) if several else path), name
