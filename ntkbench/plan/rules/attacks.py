"""Find what a spec asks wrongly of attacks: losses, targets, starts, budgets beyond the pixel range."""

from collections.abc import Iterator, Mapping
from fractions import Fraction

from ntkbench.errors import Problem
from ntkbench.plan import shapes
from ntkbench.spec.analyses import ROLES, EvaluatedAnalysis
from ntkbench.spec.attacks import APGD, PGD, GivenImages, InnerAttack, LossAscent, Square
from ntkbench.spec.document import Path, text
from ntkbench.spec.kernels import AdvNtk, InfiniteKernel
from ntkbench.spec.reading.validate import Draft
from ntkbench.spec.training import Adversarial

# Rules for attacks that ascend a loss, in `attacks` and inside adversarial training; `check` runs them on each cell.
#
# They refuse losses and targets that need more classes than the data have, and restarts that cannot differ.


def problems(draft: Draft) -> Iterator[Problem]:
    """Yield the mistakes in a cell's gradient attacks; those about classes only if the number of classes is known."""
    for path, ascent in _ascents(draft).items():
        if isinstance(ascent, Square) and ascent.norm != "linf":
            message = "square moves pixels by eps, and has no form for l2; write norm: linf, or kind: apgd"
            yield draft.problem((*path, "norm"), message)
        if isinstance(ascent, PGD | APGD) and ascent.restarts > 1 and ascent.start == "zero":
            message = "restarts differ by their start alone, and zero is always the same; write start: uniform"
            yield draft.problem((*path, "restarts"), message)
        if draft.sized:
            outputs = shapes.outputs(draft.cell.data)
            yield from _loss(draft, path, ascent, outputs)
            yield from _targets(draft, path, ascent, outputs)


def given_images(draft: Draft) -> Iterator[Problem]:
    """Yield a problem for each attack of given images with several budgets, and for each use but that of accuracy."""
    given = {name: attack for name, attack in draft.cell.attacks.items() if isinstance(attack, GivenImages)}
    for name, attack in given.items():
        if len(attack.eps) > 1:
            message = f"{len(attack.eps)} budgets, and the images of one file are of one; write an attack for each file"
            yield draft.problem(("attacks", name, "eps"), message)
    for id, analysis in draft.cell.analyses.items():
        for role in ROLES if not isinstance(analysis, EvaluatedAnalysis) else ():
            if (name := getattr(analysis, role, None)) in given:
                message = f"{name} is given as images, of which nothing else is known; judge them with kind: accuracy"
                yield draft.problem(("analyses", id, role), message)


def _ascents(draft: Draft) -> Mapping[Path, LossAscent]:
    """Return the gradient attacks of a cell by their paths, those inside its training and its kernels included."""
    found: dict[Path, LossAscent] = {
        ("attacks", name): attack for name, attack in draft.cell.attacks.items() if isinstance(attack, LossAscent)
    }
    return {**found, **_inner(draft)}


def _inner(draft: Draft) -> Mapping[Path, InnerAttack]:
    """Return the attacks that something is fitted under, by their paths."""
    found: dict[Path, InnerAttack] = {
        ("kernels", name, "fit", "attack"): kernel.fit.attack
        for name, kernel in draft.cell.kernels.items()
        if isinstance(kernel, InfiniteKernel) and isinstance(kernel.fit, AdvNtk)
    }
    if isinstance(draft.cell.training, Adversarial):
        found["training", "attack"] = draft.cell.training.attack
    return found


def _loss(draft: Draft, path: Path, ascent: LossAscent, outputs: int) -> Iterator[Problem]:
    """Refuse the DLR loss where there are too few outputs: three, or four towards a class (Croce & Hein 2020)."""
    if ascent.loss != "dlr":
        return
    targeted = isinstance(ascent, APGD) and ascent.targeted is not None
    needed, which = (4, "fourth") if targeted else (3, "third")
    if outputs < needed:
        there = "two classes have one" if outputs == 1 else f"there are {outputs}"
        why = f"dlr{' towards a class' if targeted else ''} compares with the {which} largest output, and {there}"
        yield draft.problem((*path, "loss"), f"{why}; write margin or cross_entropy")


def _targets(draft: Draft, path: Path, ascent: LossAscent, outputs: int) -> Iterator[Problem]:
    """Refuse more target classes than there are classes beside the label."""
    if not isinstance(ascent, APGD) or ascent.targeted is None:
        return
    if outputs == 1:
        message = "with two classes, a step away from the label is a step towards the other class; write null"
        yield draft.problem((*path, "targeted"), message)
    elif ascent.targeted >= outputs:
        message = f"{ascent.targeted} targets, but with {outputs} classes an image has only {outputs - 1} wrong ones"
        yield draft.problem((*path, "targeted"), f"{message}; write at most {outputs - 1}")


def budgets(draft: Draft) -> Iterator[Problem]:
    """Yield a problem for each budget above 1 in the maximum norm: within 1 lies the whole pixel range."""
    norms: dict[Path, str] = {("attacks", name): attack.norm for name, attack in draft.cell.attacks.items()}
    norms |= {path: attack.norm for path, attack in _inner(draft).items()}
    if draft.whole("data") and (poison := draft.cell.data.poison):
        norms["data", "poison"] = "linf"
        if poison.eps.radius == 0:
            yield draft.problem(("data", "poison", "eps"), "a budget of 0 moves no image; write poison: null")
    for path, norm in norms.items():
        node = draft.root.at((*path, "eps"))
        for i, item in enumerate(node.items or (node,)):
            if norm == "linf" and Fraction(str(item.value)) > 1:
                here = (*path, "eps", i) if node.items else (*path, "eps")
                message = f"{text(item)} is more than the pixel range, which is [0, 1]; 8 of 255 gray levels are 8/255"
                yield item.place.problem(here, message)
