"""Find what a spec asks wrongly of attacks: losses, targets, starts, budgets beyond the pixel range."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from ntkbench.budgets import Budget
from ntkbench.errors import Problem
from ntkbench.plan import shapes, sizes, timeline
from ntkbench.spec.analyses import ROLES, EvaluatedAnalysis
from ntkbench.spec.attacks import (
    APGD,
    FAB,
    PGD,
    Attack,
    AutoAttack,
    GivenImages,
    GradientAttack,
    InnerAttack,
    LossAscent,
    Square,
)
from ntkbench.spec.data import Poisoning
from ntkbench.spec.document import Path, text
from ntkbench.spec.kernels import AdvNtk, InfiniteKernel
from ntkbench.spec.reading.validate import Draft
from ntkbench.spec.training import Adversarial, AdversarialPhase

# Rules for attacks that ascend a loss, in `attacks` and inside adversarial training; `check` runs them on each cell.
#
# They refuse losses and targets that need more classes than the data have, and restarts that cannot differ.


def problems(draft: Draft) -> Iterator[Problem]:
    """Yield the mistakes in a cell's gradient attacks; those about classes only if the number of classes is known."""
    for path, ascent in _ascents(draft).items():
        if isinstance(ascent, Square | AutoAttack) and ascent.norm != "linf":
            message = "square moves pixels by eps, and has no form for l2; write norm: linf, or kind: apgd"
            if isinstance(ascent, AutoAttack):
                message = "autoattack ends with square, which has no form for l2; write norm: linf, or apgd and fab"
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


def _ascents(draft: Draft) -> Mapping[Path, GradientAttack | InnerAttack]:
    """Return the gradient attacks of a cell by their paths, those inside its training and its kernels included."""
    found: dict[Path, GradientAttack | InnerAttack] = {
        ("attacks", name): attack for name, attack in draft.cell.attacks.items() if isinstance(attack, GradientAttack)
    }
    return {**found, **_inner(draft)}


def _inner(draft: Draft) -> Mapping[Path, InnerAttack]:
    """Return the attacks that something is fitted under, by their paths."""
    found: dict[Path, InnerAttack] = {
        ("kernels", name, "fit", "attack"): kernel.fit.attack
        for name, kernel in draft.cell.kernels.items()
        if isinstance(kernel, InfiniteKernel) and isinstance(kernel.fit, AdvNtk)
    }
    for path, words in timeline.as_written(draft.cell.training):
        if isinstance(words, Adversarial | AdversarialPhase):
            found[*path, "attack"] = words.attack
    return found


def _loss(draft: Draft, path: Path, ascent: GradientAttack | InnerAttack, outputs: int) -> Iterator[Problem]:
    """Refuse the DLR loss where there are too few outputs: three, or four towards a class (Croce & Hein 2020)."""
    if not isinstance(ascent, LossAscent) or ascent.loss != "dlr":
        return
    targeted = isinstance(ascent, APGD) and ascent.targeted is not None
    needed, which = (4, "fourth") if targeted else (3, "third")
    if outputs < needed:
        there = "two classes have one" if outputs == 1 else f"there are {outputs}"
        why = f"dlr{' towards a class' if targeted else ''} compares with the {which} largest output, and {there}"
        yield draft.problem((*path, "loss"), f"{why}; write margin or cross_entropy")


def _targets(draft: Draft, path: Path, ascent: GradientAttack | InnerAttack, outputs: int) -> Iterator[Problem]:
    """Refuse more target classes than there are classes beside the label."""
    if not isinstance(ascent, APGD | FAB | AutoAttack) or ascent.targeted is None:
        return
    if outputs == 1:
        message = "with two classes, a step away from the label is a step towards the other class; write null"
        yield draft.problem((*path, "targeted"), message)
    elif ascent.targeted >= outputs:
        message = f"{ascent.targeted} targets, but with {outputs} classes an image has only {outputs - 1} wrong ones"
        yield draft.problem((*path, "targeted"), f"{message}; write at most {outputs - 1}")


def budgets(draft: Draft) -> Iterator[Problem]:
    """Yield a problem for each budget above 1 in the maximum norm: within 1 lies the whole pixel range."""
    found: dict[Path, Attack | InnerAttack | Poisoning] = {
        ("attacks", name): a for name, a in draft.cell.attacks.items()
    }
    found |= _inner(draft)
    if draft.whole("data") and (poison := draft.cell.data.poison):
        found["data", "poison"] = poison
        if poison.eps.exact == 0:
            yield draft.problem(("data", "poison", "eps"), "a budget of 0 moves no image; write poison: null")
    for path, moved in found.items():
        budgets = moved.eps if isinstance(moved.eps, tuple) else (moved.eps,)
        if getattr(moved, "norm", "linf") != "linf":
            continue
        if budgets[0].relative:
            yield from _relative_budgets(draft, (*path, "eps"), budgets)
            continue
        node = draft.root.at((*path, "eps"))
        for i, item in enumerate(node.items or (node,)):
            if Fraction(str(item.value)) > 1:
                here = (*path, "eps", i) if node.items else (*path, "eps")
                message = f"{text(item)} is more than the pixel range, which is [0, 1]; 8 of 255 gray levels are 8/255"
                yield item.place.problem(here, message)


def _relative_budgets(draft: Draft, path: Path, budgets: Sequence[Budget]) -> Iterator[Problem]:
    """Yield a problem where the largest of some budgets c / sqrt(d) is above 1 on the data of the cell."""
    if not draft.sized:
        return
    d = sizes.inputs(draft.cell)
    largest = budgets[-1].on(d)
    if largest.radius > 1:
        message = f"{largest} is {largest.radius:.3g} with d = {d} inputs, more than the pixel range, which is [0, 1]"
        yield draft.problem(path, message)
