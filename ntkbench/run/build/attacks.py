"""Turn the attacks of a spec into attacks on arrays."""

from collections.abc import Sequence

import jax

from ntkbench.analyses.crafting import BudgetedAttack
from ntkbench.budgets import Budget
from ntkbench.ntk import apgd, attacks, balls, fab, in_turn, square
from ntkbench.plan import shapes, sizes
from ntkbench.run.build.losses import loss, targeted_loss
from ntkbench.run.build.networks import stream
from ntkbench.spec import extensions
from ntkbench.spec.attacks import (
    APGD,
    FAB,
    FGSM,
    PGD,
    AutoAttack,
    ExtensionAttack,
    GivenImages,
    InnerFGSM,
    InnerPGD,
    RandomSign,
    Restarted,
    Square,
    Steps,
)
from ntkbench.spec.cell import Cell

NO_SOURCE = "none"
"""name that records give to the source of an attack that follows no gradient"""

BALLS: dict[str, balls.Ball] = {"linf": balls.Linf(), "l2": balls.L2()}


def attack(cell: Cell, attack_id: str) -> BudgetedAttack:
    """Return an attack that `Cell.attack` knows: its budgets in pixel units, and a loss in the place of `auto`."""
    words = cell.attack(attack_id)
    ball, eps = BALLS[words.norm], budgets(cell, words.eps)
    if isinstance(words, RandomSign):
        return BudgetedAttack(attack_id, NO_SOURCE, eps, attacks.RandomSigns(ball), None)
    if isinstance(words, GivenImages):
        return BudgetedAttack(attack_id, NO_SOURCE, eps, attacks.Unmoved(ball), None)
    centered = cell.data.targets == "centered"
    own = "margin" if isinstance(words, FAB | AutoAttack) else words.loss
    objective = attacks.Objective(loss(own, centered), words.labels == "predicted")
    if isinstance(words, FAB):
        attack = fab.FAB(ball, objective, words.steps, words.restarts, words.targeted)
    elif isinstance(words, AutoAttack):
        attack = autoattack(words, objective, shapes.outputs(cell.data))
    elif isinstance(words, APGD):
        targets = apgd.Targets(words.targeted, targeted_loss(words.loss, centered)) if words.targeted else None
        attack = apgd.APGD(ball, objective, words.steps, words.start == "uniform", targets)
    elif isinstance(words, Square):
        attack = square.Square(balls.Linf(), objective, words.steps, words.area)
    elif isinstance(words, ExtensionAttack):
        attack = extensions.builder(words)(words, ball, objective)
    else:
        attack = gradient_attack(words, ball, objective)
    if isinstance(words, Restarted) and words.restarts > 1:
        attack = attacks.Restarts(ball, objective, attack, words.restarts)
    return BudgetedAttack(attack_id, words.source, eps, attack, objective)


def budgets(cell: Cell, words: Sequence[Budget]) -> tuple[Budget, ...]:
    """Return budgets of a cell as they are on its data, so that those relative to the dimension have a radius."""
    return tuple(budget.on(sizes.inputs(cell)) for budget in words)


def autoattack(words: AutoAttack, margin: attacks.Objective, outputs: int) -> in_turn.InTurn:
    """Return the four attacks of the standard set; `margin` has the loss of FAB and Square, and judges between all.

    `outputs`: the number of outputs of the source, a single one for two classes.
    """
    ball, towards = BALLS["linf"], words.towards(outputs)
    targets = apgd.Targets(towards, targeted_loss("dlr" if outputs >= 4 else "margin")) if towards else None
    cross_entropy = attacks.Objective(loss("cross_entropy"), margin.predicted)
    parts = (
        apgd.APGD(ball, cross_entropy, words.steps),
        apgd.APGD(ball, margin, words.steps, targets=targets),
        fab.FAB(ball, margin, words.steps, targets=towards or None),
        square.Square(ball, margin, words.queries),
    )
    return in_turn.InTurn(ball, margin, parts)


def gradient_attack(
    words: FGSM | PGD | InnerFGSM | InnerPGD,
    ball: balls.Ball,
    objective: attacks.Objective,
) -> attacks.Attack:
    if not isinstance(words, Steps):
        return attacks.FGSM(ball, objective)
    size = None if words.step_size is None else float(words.step_size)
    return attacks.PGD(ball, objective, words.steps, size, words.start == "uniform")


def attack_key(cell: Cell, attack_id: str) -> jax.Array:
    """Return the random key of an attack, from its own seed: its draws do not change with the seed of the run."""
    return stream(getattr(cell.attack(attack_id), "seed", 0), "attack")
