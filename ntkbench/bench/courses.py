"""Rules for drift analyses, which follow a network along its training; `rules` runs them on each cell.

They refuse cells without training, attacks that do not follow a snapshot's own gradient, probes that the data cannot
fill, truncations that leave no rest, and kernels too large to be kept.
"""

from collections.abc import Iterator

from ntkbench.bench import choice, shapes
from ntkbench.bench.document import Path
from ntkbench.bench.regimes import Trained
from ntkbench.bench.spec import Drift
from ntkbench.bench.threats import SELF, GradientAttack
from ntkbench.bench.validate import Draft
from ntkbench.errors import Problem


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
        message = "drift follows a network along its training, and nothing is trained (mode none)"
        yield draft.root.at(path).key.problem(path, message)


def _attacks(draft: Draft, path: Path, drift: Drift) -> Iterator[Problem]:
    """Refuse attacks without a gradient or with another source than the network, and probes with several budgets."""
    for role in ("attack", "adversarial_probe"):
        name = getattr(drift, role)
        attack, here = draft.cell.attacks.get(name or ""), (*path, role)
        if attack is None:
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
    size = choice.rows(draft.cell, drift)
    for i, item in enumerate(draft.root.at((*path, "top")).items):
        if isinstance(item.value, int) and item.value >= size:
            message = (
                f"{item.value} of the {size} eigenvectors of the kernel leave no rest; take fewer, or a larger probe"
            )
            yield draft.problem((*path, "top", i), message)


def _kept(draft: Draft, path: Path, drift: Drift) -> Iterator[Problem]:
    """Refuse to keep the kernels of all snapshots where they exceed what the arrays of a record may hold."""
    training = draft.cell.training
    if drift.keep_kernels != "all" or not draft.whole("training") or not isinstance(training, Trained):
        return
    from ntkbench.bench.arrays import LIMIT

    count, size = len(choice.snapshots(drift.snapshots, training.epochs)), choice.rows(draft.cell, drift)
    if 4 * count * size**2 > LIMIT:
        message = f"{count} kernels of {size} x {size} are more than the {LIMIT} bytes that a record keeps"
        yield draft.problem(
            (*path, "keep_kernels"), f"{message}; write ends, or take fewer snapshots or a smaller probe"
        )
