"""What no section can say by itself: references, budgets, a network where one is needed.

Each rule yields problems at the line that is to be changed. A rule keeps silent where a section that it needs is
broken already.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction

from ntkbench.bench.document import Node, Path, text
from ntkbench.bench.schema import BY_ID
from ntkbench.bench.spec import (
    SELF,
    Accuracy,
    EmpiricalKernel,
    GradientAttack,
    InfiniteKernel,
    RandomSign,
    Trained,
    Transfer,
    Untrained,
)
from ntkbench.bench.suggest import did_you_mean
from ntkbench.bench.validate import Draft
from ntkbench.errors import Problem

Rule = Callable[[Draft], Iterator[Problem]]
_RESERVED = (SELF, "none")


def _at(draft: Draft, path: Path, message: str) -> Problem:
    """At the value; if the field is not written out, at the section that lacks it."""
    node = draft.root.at(path)
    parent = draft.root.at(path[:-1])
    return (node.place if node is not parent else parent.key).problem(path, message)


def _ids(draft: Draft, section: str) -> set[str]:
    """Those that are written, broken or not."""
    node = draft.root.child(section)
    return set(node.entries) if node else set()


def reserved_ids(draft: Draft) -> Iterator[Problem]:
    for section in BY_ID:
        node: Node | None = draft.root.child(section)
        for name, entry in (node.entries if node else {}).items():
            if name in _RESERVED:
                yield entry.key.problem((section, name), f"{name} is a reserved word; choose another id")


def attack_sources(draft: Draft) -> Iterator[Problem]:
    for name, attack in draft.cell.attacks.items():
        if isinstance(attack, GradientAttack):
            yield from _predictor(draft, ("attacks", name, "source"), attack.source)


def analysis_targets(draft: Draft) -> Iterator[Problem]:
    for name, analysis in draft.cell.analyses.items():
        yield from _predictor(draft, ("analyses", name, "target"), analysis.target)


def _predictor(draft: Draft, path: Path, who: str) -> Iterator[Problem]:
    kernels = _ids(draft, "kernels")
    if who == SELF:
        if draft.cell.width is None and draft.whole("width"):
            message = "self is the network of the run, and this cell has none; give it a `width`, or name a kernel"
            yield _at(draft, path, message + (f" ({', '.join(sorted(kernels))})" if kernels else ""))
    elif who not in kernels:
        yield _at(draft, path, f"no kernel {who}{did_you_mean(who, kernels | {SELF})}")


def analysis_attacks(draft: Draft) -> Iterator[Problem]:
    known = _ids(draft, "attacks")
    for name, analysis in draft.cell.analyses.items():
        for path, attack in _attacks_of(draft, name, analysis):
            if attack not in known:
                near = did_you_mean(attack, known) or "; `attacks` defines none"
                yield _at(draft, path, f"no attack {attack}{near}")


def _attacks_of(draft: Draft, name: str, analysis: Accuracy | Transfer) -> Iterator[tuple[Path, str]]:
    path = ("analyses", name)
    if isinstance(analysis, Transfer):
        roles = {"attack": analysis.attack, "ceiling": analysis.ceiling, "floor": analysis.floor}
        yield from (((*path, role), attack) for role, attack in roles.items() if attack is not None)
    else:
        several = draft.root.at((*path, "attacks")).items
        for i, attack in enumerate(analysis.attacks):
            yield ((*path, "attacks", i) if several else (*path, "attacks")), attack


def transfers(draft: Draft) -> Iterator[Problem]:
    for name, analysis in draft.cell.analyses.items():
        if isinstance(analysis, Transfer):
            yield from _roles(draft, name, analysis)
            yield from _budgets(draft, name, analysis)


def _roles(draft: Draft, name: str, transfer: Transfer) -> Iterator[Problem]:
    attacks = draft.cell.attacks
    path = ("analyses", name)
    moved = attacks.get(transfer.attack)
    if isinstance(moved, GradientAttack) and moved.source == transfer.target:
        message = f"{transfer.attack} is made on the target itself ({transfer.target}), so nothing is transferred; "
        yield _at(draft, (*path, "attack"), message + "give the attack another `source`, or use kind: accuracy")
    if isinstance(moved, RandomSign):
        yield _at(
            draft, (*path, "attack"), f"{transfer.attack} is random and comes from no predictor; it can be the floor"
        )
    ceiling = attacks.get(transfer.ceiling or "")
    if isinstance(ceiling, RandomSign):
        yield _at(
            draft, (*path, "ceiling"), f"{transfer.ceiling} is random; the ceiling follows the target's own gradient"
        )
    elif ceiling is not None and ceiling.source != transfer.target:
        message = f"{transfer.ceiling} is made on {ceiling.source}; the ceiling is a white-box attack, with source: {transfer.target}"
        yield _at(draft, (*path, "ceiling"), message)
    floor = attacks.get(transfer.floor or "")
    if floor is not None and not isinstance(floor, RandomSign):
        yield _at(
            draft, (*path, "floor"), f"{transfer.floor} is of kind {floor.kind}; the floor is of kind random_sign"
        )


def _budgets(draft: Draft, name: str, transfer: Transfer) -> Iterator[Problem]:
    moved = draft.cell.attacks.get(transfer.attack)
    for role, other_id in (("ceiling", transfer.ceiling), ("floor", transfer.floor)):
        other = draft.cell.attacks.get(other_id or "")
        for budget in ("eps", "norm") if moved and other else ():
            if getattr(moved, budget) != getattr(other, budget):
                message = f"{other_id} has another {budget} than {transfer.attack}, the attack that it is compared with"
                yield _at(draft, ("analyses", name, role), message)


def budgets(draft: Draft) -> Iterator[Problem]:
    """All of the unit cube is within 1 in the maximum norm."""
    for name, attack in draft.cell.attacks.items():
        node = draft.root.at(("attacks", name, "eps"))
        for i, item in enumerate(node.items or (node,)):
            if attack.norm == "linf" and Fraction(str(item.value)) > 1:
                path: Path = ("attacks", name, "eps", i) if node.items else ("attacks", name, "eps")
                message = f"{text(item)} is more than the pixel range, which is [0, 1]; 8 of 255 gray levels are 8/255"
                yield item.place.problem(path, message)


def networks(draft: Draft) -> Iterator[Problem]:
    """Who needs a finite network, and what its training allows."""
    cell = draft.cell
    if not draft.whole("width"):
        return
    if isinstance(cell.training, Trained) and cell.width is None:
        yield draft.root.at(("training",)).key.problem(
            "training", "there is no network to train; give the cell a `width`, or write mode: none"
        )
    for name, kernel in cell.kernels.items():
        path = ("kernels", name)
        if isinstance(kernel, EmpiricalKernel):
            if cell.width is None:
                yield draft.root.at(path).key.problem(
                    path, "an empirical kernel is that of a finite network; give the cell a `width`"
                )
            if kernel.at == "final" and isinstance(cell.training, Untrained) and draft.whole("training"):
                yield _at(draft, (*path, "at"), "nothing is trained (training mode none); write at: init")
        elif draft.whole("architecture"):
            yield from _reference_width(draft, path, kernel)


def _reference_width(draft: Draft, path: Path, kernel: InfiniteKernel) -> Iterator[Problem]:
    standard = (kernel.architecture or draft.cell.architecture).parameterization == "standard"
    if standard and kernel.width is None and draft.cell.width is None:
        message = "the kernel of the standard parameterization depends on a reference width; give the kernel or the cell a `width`"
        yield draft.root.at(path).key.problem(path, message)
    if not standard and kernel.width is not None:
        yield _at(draft, (*path, "width"), "only the kernel of the standard parameterization has a width; delete it")


def schedules(draft: Draft) -> Iterator[Problem]:
    training, data = draft.cell.training, draft.cell.data
    if not isinstance(training, Trained):
        return
    if draft.whole("data") and training.batch_size is not None and training.batch_size > data.n_train:
        message = f"{training.batch_size} is more than the {data.n_train} training examples; null takes them all"
        yield _at(draft, ("training", "batch_size"), message)
    if training.linearize_at is not None and training.linearize_at >= training.epochs:
        message = (
            f"training ends at epoch {training.epochs}, before epoch {training.linearize_at}; null never linearizes"
        )
        yield _at(draft, ("training", "linearize_at"), message)
    if training.centered and training.linearize_at is None:
        message = "centered is a property of the linearized model; write the epoch of linearize_at, or centered: false"
        yield _at(draft, ("training", "centered"), message)


RULES: tuple[Rule, ...] = (
    reserved_ids,
    attack_sources,
    analysis_targets,
    analysis_attacks,
    transfers,
    budgets,
    networks,
    schedules,
)


def problems(draft: Draft) -> Iterator[Problem]:
    for rule in RULES:
        yield from rule(draft)
