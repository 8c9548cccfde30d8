"""Check what no section can check by itself: references between sections, budgets, networks that are needed.

`plan.read` applies `problems` to each cell of a spec. A rule yields its problems at the line that is to be changed; it
keeps silent where a section that it needs is broken already, as that has been told.
"""

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction

from ntkbench.analyses.names import LINEAR, WORST
from ntkbench.bench import ascents, courses, snapshots, spectra, wiring
from ntkbench.bench.blueprint import operations
from ntkbench.bench.document import Node, Path, text
from ntkbench.bench.notation import FIT, MATCHED
from ntkbench.bench.regimes import SGD, Adversarial, Trained, WarmupCosine
from ntkbench.bench.schema import BY_ID
from ntkbench.bench.spec import Analysis, EmpiricalKernel, InfiniteKernel, Judged, Transfer
from ntkbench.bench.suggest import did_you_mean
from ntkbench.bench.threats import SELF, GradientAttack, RandomSign
from ntkbench.bench.validate import Draft
from ntkbench.errors import Problem

Rule = Callable[[Draft], Iterator[Problem]]
"""a function of a cell, as far as it could be read, that yields what is wrong with it"""
_RESERVED = (SELF, "none")
"""ids that no section may use: the run's own network, and the source of attacks without a gradient"""
_ROLES = ("attack", "ceiling", "floor", "adversarial_probe")
"""fields of analyses that name one attack"""


def _ids(draft: Draft, section: str) -> set[str] | None:
    """Return the ids that are written in a section, broken or not; None if the section is no mapping at all."""
    node = draft.root.child(section)
    if node is None:
        return set()
    return set(node.entries) if isinstance(node.value, Mapping) else None


def reserved_ids(draft: Draft) -> Iterator[Problem]:
    """Yield a problem for each id in a section that has a meaning of its own, such as `self`."""
    for section in BY_ID:
        node: Node | None = draft.root.child(section)
        for name, entry in (node.entries if node else {}).items():
            if name in _RESERVED or (section, name) in (("attacks", WORST), ("kernels", LINEAR), ("analyses", FIT)):
                yield entry.key.problem((section, name), f"{name} is a reserved word; choose another id")


def attack_sources(draft: Draft) -> Iterator[Problem]:
    """Yield a problem for each gradient attack whose source is an unknown kernel, or a network that the cell lacks."""
    for name, attack in draft.cell.attacks.items():
        if isinstance(attack, GradientAttack):
            yield from _predictor(draft, ("attacks", name, "source"), attack.source)


def analysis_targets(draft: Draft) -> Iterator[Problem]:
    """Yield a problem for each analysis whose target is an unknown kernel, or a network that the cell lacks."""
    for name, analysis in draft.cell.analyses.items():
        yield from _predictor(draft, ("analyses", name, "target"), analysis.target)


def _predictor(draft: Draft, path: Path, who: str) -> Iterator[Problem]:
    """Yield a problem at `path` if there is no predictor `who`: neither the network `self` nor a kernel of this id."""
    kernels = _ids(draft, "kernels")
    if who == SELF:
        if draft.cell.width is None and draft.whole("width"):
            message = "self is the network of the run, and this cell has none; give it a `width`, or name a kernel"
            yield draft.problem(path, message + (f" ({', '.join(sorted(kernels))})" if kernels else ""))
    elif kernels is not None and who not in kernels:
        yield draft.problem(path, f"no kernel {who}{did_you_mean(who, kernels | {SELF})}")


def analysis_attacks(draft: Draft) -> Iterator[Problem]:
    """Yield a problem for each attack that an analysis names and that the spec does not define."""
    known = _ids(draft, "attacks")
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
    if not isinstance(analysis, Judged):
        roles = {role: getattr(analysis, role, None) for role in _ROLES}
        yield from (((*path, role), attack) for role, attack in roles.items() if attack is not None)
    else:
        several = draft.root.at((*path, "attacks")).items
        for i, attack in enumerate(analysis.attacks):
            yield ((*path, "attacks", i) if several else (*path, "attacks")), attack


def transfers(draft: Draft) -> Iterator[Problem]:
    """Yield what is wrong with the attacks of transfer analyses: their roles, and budgets that do not compare."""
    for name, analysis in draft.cell.analyses.items():
        if isinstance(analysis, Transfer):
            for role, message in (*_roles(draft, analysis), *_budgets(draft, analysis)):
                yield draft.problem(("analyses", name, role), message)


def _roles(draft: Draft, transfer: Transfer) -> Iterator[tuple[str, str]]:
    """Yield the field and the message for each attack that cannot play its role in a transfer.

    The attack follows another predictor's gradient than the target's, the ceiling the target's own, the floor none.
    """
    attacks, target = draft.cell.attacks, transfer.target
    moved, ceiling, floor = (attacks.get(name or "") for name in (transfer.attack, transfer.ceiling, transfer.floor))
    if isinstance(moved, GradientAttack) and moved.source == target:
        why = f"{transfer.attack} is made on the target itself ({target}), so nothing is transferred"
        yield "attack", f"{why}; give the attack another `source`, or use kind: accuracy"
    if isinstance(moved, RandomSign):
        yield "attack", f"{transfer.attack} is random and comes from no predictor; it can be the floor"
    if isinstance(ceiling, RandomSign):
        yield "ceiling", f"{transfer.ceiling} is random; the ceiling follows the target's own gradient"
    known = {SELF, *(_ids(draft, "kernels") or ())}
    if isinstance(ceiling, GradientAttack) and ceiling.source != target and {ceiling.source, target} <= known:
        why = f"{transfer.ceiling} is made on {ceiling.source}"
        yield "ceiling", f"{why}; the ceiling is a white-box attack, with source: {target}"
    if isinstance(floor, GradientAttack):
        yield "floor", f"{transfer.floor} is of kind {floor.kind}; the floor is of kind random_sign"


def _budgets(draft: Draft, transfer: Transfer) -> Iterator[tuple[str, str]]:
    """Yield the field and the message where ceiling or floor differs from the attack in its budgets or norm.

    Rates at different budgets do not compare.
    """
    moved = draft.cell.attacks.get(transfer.attack)
    for role, name in (("ceiling", transfer.ceiling), ("floor", transfer.floor)):
        other = draft.cell.attacks.get(name or "")
        for field in ("eps", "norm") if moved and other else ():
            one, two = _shown(getattr(moved, field)), _shown(getattr(other, field))
            if one != two:
                yield role, f"{name} has {field} {two}, but {transfer.attack} has {one}; only equal budgets compare"


def _shown(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


def budgets(draft: Draft) -> Iterator[Problem]:
    """Yield a problem for each budget above 1 in the maximum norm: within 1 lies the whole pixel range."""
    norms: dict[Path, str] = {("attacks", name): attack.norm for name, attack in draft.cell.attacks.items()}
    if isinstance(draft.cell.training, Adversarial):
        norms["training", "attack"] = draft.cell.training.attack.norm
    for path, norm in norms.items():
        node = draft.root.at((*path, "eps"))
        for i, item in enumerate(node.items or (node,)):
            if norm == "linf" and Fraction(str(item.value)) > 1:
                here = (*path, "eps", i) if node.items else (*path, "eps")
                message = f"{text(item)} is more than the pixel range, which is [0, 1]; 8 of 255 gray levels are 8/255"
                yield item.place.problem(here, message)


def networks(draft: Draft) -> Iterator[Problem]:
    """Yield a problem for a training and for each empirical kernel of a cell without a finite network (no width)."""
    if not draft.whole("width") or draft.cell.width is not None:
        return
    if isinstance(draft.cell.training, Trained):
        message = "there is no network to train; give the cell a `width`, or write mode: none"
        yield draft.root.at(("training",)).key.problem("training", message)
    for name, kernel in draft.cell.kernels.items():
        if isinstance(kernel, EmpiricalKernel):
            message = "an empirical kernel is that of a finite network; give the cell a `width`"
            yield draft.root.at(("kernels", name)).key.problem(("kernels", name), message)


def kernels(draft: Draft) -> Iterator[Problem]:
    """Yield what is wrong with kernels: reference widths, and times that are to match a training that has none."""
    for name, kernel in draft.cell.kernels.items():
        path = ("kernels", name)
        if isinstance(kernel, InfiniteKernel) and draft.whole("architecture", "width"):
            yield from _reference_width(draft, path, kernel)
        if kernel.time == MATCHED and draft.whole("training"):
            yield from _flow_time(draft, (*path, "time"))


def _flow_time(draft: Draft, path: Path) -> Iterator[Problem]:
    """Yield a problem where the network's training corresponds to no gradient-flow time."""
    training = draft.cell.training
    if not isinstance(training, Trained):
        yield draft.problem(
            path, "nothing is trained (training mode none), so that no time matches; write a number or inf"
        )
    elif not isinstance(training.optimizer, SGD):
        kind = training.optimizer.kind
        yield draft.problem(
            path, f"{kind} follows no gradient flow, so that no time matches; use sgd, or write a number"
        )


def _reference_width(draft: Draft, path: Path, kernel: InfiniteKernel) -> Iterator[Problem]:
    """Yield a problem where a kernel lacks a width that its parameterization needs, or has one that changes nothing."""
    standard = (kernel.architecture or draft.cell.architecture).parameterization == "standard"
    if standard and kernel.width is None and draft.cell.width is None:
        why = "with parameterization standard the kernel depends on a reference width"
        yield draft.root.at(path).key.problem(path, f"{why}; give the kernel or the cell a `width`")
    if not standard and kernel.width is not None:
        message = "only the kernel of parameterization standard depends on a width; delete this"
        yield draft.problem((*path, "width"), message)


def schedules(draft: Draft) -> Iterator[Problem]:
    """Yield what is wrong with the numbers of a training: its batch size, epochs that never come, `centered` alone."""
    training, data = draft.cell.training, draft.cell.data
    if not isinstance(training, Trained):
        return
    if draft.whole("data") and training.batch_size is not None and training.batch_size > data.n_train:
        message = f"{training.batch_size} is more than the {data.n_train} training examples; null takes them all"
        yield draft.problem(("training", "batch_size"), message)
    if training.linearize_at is not None and training.linearize_at >= training.epochs:
        why = f"epoch {training.linearize_at} never comes: there are {training.epochs}, counted from 0"
        message = f"{why}; write null if that is meant"
        yield draft.problem(("training", "linearize_at"), message)
    if training.centered and training.linearize_at is None:
        message = "centered is a property of the linearized model; write the epoch of linearize_at, or centered: false"
        yield draft.problem(("training", "centered"), message)
    if isinstance(training, Adversarial) and training.warm_up >= training.epochs:
        why = f"epoch {training.warm_up} never comes: there are {training.epochs}, counted from 0"
        yield draft.problem(("training", "warm_up"), f"{why}; write mode: standard if that is meant")
    yield from _schedule(draft, training)


def _schedule(draft: Draft, training: Trained) -> Iterator[Problem]:
    """Yield a problem where the warm-up of a schedule leaves no epoch for its fall."""
    schedule = training.optimizer.schedule
    if isinstance(schedule, WarmupCosine) and schedule.warm_up >= (epochs := schedule.epochs or training.epochs):
        message = f"{schedule.warm_up} of {epochs} epochs up leave none down; write fewer, or more `epochs`"
        yield draft.problem(("training", "optimizer", "schedule", "warm_up"), message)


def batches(draft: Draft) -> Iterator[Problem]:
    """Yield a problem where batch normalization meets batches of one example, within which nothing differs."""
    training = draft.cell.training
    if not draft.whole("architecture", "data") or not isinstance(training, Trained):
        return
    if (training.batch_size or draft.cell.data.n_train) == 1 and "batch_norm" in operations(draft.cell.architecture):
        path = ("training", "batch_size") if training.batch_size else ("data", "n_train")
        message = "batch_norm normalizes by what differs within a batch, and in a batch of one nothing does"
        yield draft.problem(path, f"{message}; write 2 or more, or use layer_norm")


RULES: tuple[Rule, ...] = (
    reserved_ids,
    attack_sources,
    analysis_targets,
    analysis_attacks,
    transfers,
    budgets,
    networks,
    kernels,
    schedules,
    batches,
    snapshots.problems,
    ascents.problems,
    wiring.problems,
    spectra.problems,
    courses.problems,
)
"""all rules, in the order in which they are applied"""


def problems(draft: Draft) -> Iterator[Problem]:
    """Yield all that the rules find wrong with a cell."""
    for rule in RULES:
        yield from rule(draft)
