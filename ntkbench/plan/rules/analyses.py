"""Find what a spec asks wrongly of analyses: drifts that cannot be followed, transfers that do not compare."""

from collections.abc import Iterator

from ntkbench import files
from ntkbench.errors import Problem
from ntkbench.plan import selections, shapes
from ntkbench.spec.analyses import Drift, Transfer, TransferMatrix
from ntkbench.spec.attacks import SELF, GivenImages, GradientAttack, RandomSign
from ntkbench.spec.document import Path
from ntkbench.spec.reading.validate import Draft, ids
from ntkbench.spec.training import Trained

# Rules for drift analyses, which follow a network along its training; `check` runs them on each cell.
#
# They refuse cells without training, attacks that do not follow a snapshot's own gradient, probes that the data cannot
# fill, truncations that leave no rest, and kernels too large to be kept.


def problems(draft: Draft) -> Iterator[Problem]:
    """Yield the mistakes in the drift analyses of a cell; those about sizes only where the sizes are known."""
    for name, analysis in draft.cell.analyses.items():
        if isinstance(analysis, Drift):
            path = ("analyses", name)
            yield from _training(draft, path, analysis)
            yield from _attacks(draft, path, analysis)
            if draft.sized:
                yield from _probe(draft, path, analysis)
                yield from _top(draft, path, analysis)
                yield from _kept(draft, path, analysis)


def _training(draft: Draft, path: Path, drift: Drift) -> Iterator[Problem]:
    """Refuse a drift analysis of a network that is not trained."""
    if not draft.whole("training"):
        return
    training = draft.cell.training
    if not isinstance(training, Trained):
        message = f"drift follows a network along its training, and nothing is trained (mode {training.mode})"
        yield draft.root.at(path).key.problem(path, message)


def _attacks(draft: Draft, path: Path, drift: Drift) -> Iterator[Problem]:
    """Refuse attacks without a gradient or with another source than the network, and probes with several budgets."""
    for role in ("attack", "adversarial_probe"):
        name = getattr(drift, role)
        attack, here = draft.cell.attacks.get(name or ""), (*path, role)
        if attack is None or isinstance(attack, GivenImages):
            continue
        if not isinstance(attack, GradientAttack):
            yield draft.problem(
                here, f"{name} is random; snapshots are attacked along their gradient: kind: fgsm or pgd"
            )
        elif attack.source != SELF:
            message = f"{name} is made on {attack.source}; each snapshot is attacked through its own gradient"
            yield draft.problem(here, f"{message}, with source: {SELF}")
        if role == "adversarial_probe" and len(attack.eps) > 1:
            message = (
                f"{name} has {len(attack.eps)} budgets, and a probe is attacked with one; name an attack with one eps"
            )
            yield draft.problem(here, message)


def _probe(draft: Draft, path: Path, drift: Drift) -> Iterator[Problem]:
    """Refuse a probe that is larger than its split, or cannot have as many examples of each class."""
    probe, data, here = drift.probe, draft.cell.data, (*path, "probe", "n")
    there, classes = (data.n_train if probe.split == "train" else data.n_test), max(2, shapes.outputs(data))
    if probe.n > there:
        what = "training" if probe.split == "train" else "test"
        yield draft.problem(here, f"{probe.n} is more than the {there} {what} examples")
    if probe.n % classes:
        message = f"{probe.n} examples cannot be as many of each of {classes} classes; take a multiple of {classes}"
        yield draft.problem(here, message)


def _top(draft: Draft, path: Path, drift: Drift) -> Iterator[Problem]:
    """Refuse numbers of top eigenvectors that leave no rest of the kernel's spectrum."""
    size = selections.rows(draft.cell, drift)
    for i, item in enumerate(draft.root.at((*path, "top")).items):
        if isinstance(item.value, int) and item.value >= size:
            message = (
                f"{item.value} of the {size} eigenvectors of the kernel leave no rest to compare with; "
                "name fewer, or a larger probe"
            )
            yield draft.problem((*path, "top", i), message)


def _kept(draft: Draft, path: Path, drift: Drift) -> Iterator[Problem]:
    """Refuse to keep the kernels of all snapshots where they exceed what the arrays of a record may hold."""
    training = draft.cell.training
    if drift.keep_kernels != "all" or not draft.whole("training") or not isinstance(training, Trained):
        return
    count, size = len(selections.snapshots(drift.snapshots, training.epochs)), selections.rows(draft.cell, drift)
    if 4 * count * size**2 > files.LIMIT:
        message = f"{count} kernels of {size} x {size} are more than the {files.LIMIT} bytes that a record keeps"
        yield draft.problem(
            (*path, "keep_kernels"), f"{message}; write ends, or take fewer snapshots or a smaller probe"
        )


def transfers(draft: Draft) -> Iterator[Problem]:
    """Yield what is wrong with the attacks of transfers and of matrices of them: roles, budgets that do not compare."""
    for name, analysis in draft.cell.analyses.items():
        if isinstance(analysis, Transfer | TransferMatrix):
            own = _moved(draft, analysis) if isinstance(analysis, TransferMatrix) else _roles(draft, analysis)
            for role, message in (*own, *_floor(draft, analysis), *_budgets(draft, analysis)):
                yield draft.problem(("analyses", name, role), message)


def _moved(draft: Draft, matrix: TransferMatrix) -> Iterator[tuple[str, str]]:
    """Yield the field and the message where the attack of a matrix has no source that others could replace."""
    attack = draft.cell.attacks.get(matrix.attack)
    if attack is not None and not isinstance(attack, GradientAttack):
        why = f"{matrix.attack} is of kind {attack.kind}, which is made on no predictor"
        yield "attack", f"{why}; a transfer matrix makes a gradient attack on each of its sources"


def _roles(draft: Draft, transfer: Transfer) -> Iterator[tuple[str, str]]:
    """Yield the field and the message for each attack that cannot play its role in a transfer.

    The attack follows another predictor's gradient than the target's, the ceiling the target's own.
    """
    attacks, target = draft.cell.attacks, transfer.target
    moved, ceiling = (attacks.get(name or "") for name in (transfer.attack, transfer.ceiling))
    if isinstance(moved, GradientAttack) and moved.source == target:
        why = f"{transfer.attack} is made on the target itself ({target}), so nothing is transferred"
        yield "attack", f"{why}; give the attack another `source`, or use kind: accuracy"
    if isinstance(moved, RandomSign):
        yield "attack", f"{transfer.attack} is random and comes from no predictor; it can be the floor"
    if isinstance(ceiling, RandomSign):
        yield "ceiling", f"{transfer.ceiling} is random; the ceiling follows the target's own gradient"
    known = {SELF, *(ids(draft, "kernels") or ()), *(ids(draft, "networks") or ())}
    if isinstance(ceiling, GradientAttack) and ceiling.source != target and {ceiling.source, target} <= known:
        why = f"{transfer.ceiling} is made on {ceiling.source}"
        yield "ceiling", f"{why}; the ceiling is a white-box attack, with source: {target}"


def _floor(draft: Draft, transfer: Transfer | TransferMatrix) -> Iterator[tuple[str, str]]:
    """Yield the field and the message where the floor follows a gradient."""
    floor = draft.cell.attacks.get(transfer.floor or "")
    if isinstance(floor, GradientAttack):
        yield "floor", f"{transfer.floor} is of kind {floor.kind}; the floor is of kind random_sign"


def _budgets(draft: Draft, transfer: Transfer | TransferMatrix) -> Iterator[tuple[str, str]]:
    """Yield the field and the message where ceiling or floor differs from the attack in its budgets or norm.

    Rates at different budgets do not compare.
    """
    moved = draft.cell.attacks.get(transfer.attack)
    for role in ("ceiling", "floor"):
        name = getattr(transfer, role, None)
        other = draft.cell.attacks.get(name or "")
        for field in ("eps", "norm") if moved and other else ():
            one, two = _shown(getattr(moved, field)), _shown(getattr(other, field))
            if one != two:
                yield role, f"{name} has {field} {two}, but {transfer.attack} has {one}; only equal budgets compare"


def _shown(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)
